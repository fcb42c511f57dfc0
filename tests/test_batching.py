"""Division into batches, against every possible division of small tasks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from circuitsearch.batching import TOKENS_WORTH_A_PASS, Extent, batched
from circuitsearch.task import Task


def cost(extents: list[Extent], batches: list[list[int]]) -> int:
    """Tokens run, and the fixed cost of the passes."""
    tokens = sum(
        len(rows) * (max(extents[row][1] for row in rows) - min(extents[row][0] for row in rows)) for rows in batches
    )
    return tokens + TOKENS_WORTH_A_PASS * len(batches)


def divisions(rows: list[int]) -> Iterator[list[list[int]]]:
    """All ways to divide rows into batches."""
    if not rows:
        yield []
        return
    first, *others = rows
    for chosen in range(1 << len(others)):
        together = [row for place, row in enumerate(others) if chosen >> place & 1]
        left = [row for row in others if row not in together]
        yield from ([[first, *together], *rest] for rest in divisions(left))


@pytest.mark.parametrize("seed", range(20))
def test_no_division_costs_much_less(seed):
    """The division found costs at most a twentieth more than the cheapest of all, and each row comes once."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(20, 200, (7,), generator=draw).tolist()
    extents = [(int(torch.randint(0, length - 5, (1,), generator=draw)), length) for length in lengths]
    found = batched(extents, 7, mix_lengths=True)
    assert sorted(row for rows in found for row in rows) == list(range(7))
    assert cost(extents, found) <= 1.05 * min(cost(extents, each) for each in divisions(list(range(7))))


def test_a_size_bounds_every_batch_and_counts_as_passes():
    """Prompts that need several passes anyway are divided where they differ."""
    extents = [(0, 10)] * 3 + [(0, 30)] * 3
    assert batched(extents, 6, mix_lengths=True) == [[0, 1, 2, 3, 4, 5]]
    assert batched(extents, 3, mix_lengths=True) == [[0, 1, 2], [3, 4, 5]]


def test_short_prompts_are_padded_only_where_that_saves_more_than_it_costs():
    """Prompts of 13 to 20 tokens come together; one of 500 tokens stays alone."""
    ids = [list(range(1, length + 1)) for length in (13, 20, 15, 500)]
    corrupt = [[each[0], 0, *each[2:]] for each in ids]
    task = Task.from_ids(ids, corrupt, [1] * 4, [2] * 4)
    together, alone = task.batches(pad=True)
    assert sorted(together.rows.tolist()) == [0, 1, 2] and alone.rows.tolist() == [3]
    assert together.clean.shape == (3, 20) and together.start == 1
    for row, length, clean, position in zip(
        together.rows, together.lengths, together.clean, together.position, strict=True
    ):
        assert torch.equal(clean[:length], task.clean[row]) and position == length - 1
        assert (clean[length:] == clean[length - 1]).all()
    assert len(list(task.batches())) == 4
