"""How prompts are divided into batches: few tokens to run, in few passes.

A batch runs each of its prompts from the earliest first difference of clean and corrupt prompts to the end of the longest
prompt. The more alike its prompts, the fewer tokens that are; the more prompts, the fewer passes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

TOKENS_WORTH_A_PASS = 64  # the fixed cost of one more pass: 25 to 100 tokens on one CPU thread, most in small models

Extent = tuple[int, int]  # first difference and length of a pair of prompts


def batched(extents: Sequence[Extent], size: int, *, mix_lengths: bool) -> list[list[int]]:
    """Divide rows into batches of at most ``size``, with prompts of one length each unless ``mix_lengths``.

    Rows are sorted by first difference, or by length, and cut where that costs least: the number of tokens plus
    :data:`TOKENS_WORTH_A_PASS` for each batch. The cheaper of the two orders is taken.

    Examples
    --------
    >>> extents = [(0, 4), (2, 90), (1, 5), (0, 4)]
    >>> batched(extents, 3, mix_lengths=True)
    [[0, 3, 2], [1]]
    >>> batched(extents, 3, mix_lengths=False)
    [[0, 3], [2], [1]]
    """
    lengths = sorted({length for _, length in extents})
    allowed = [lengths] if mix_lengths else [[length] for length in lengths]
    divisions = [_division([extent for extent in extents if extent[1] in some], size) for some in allowed]
    rows: dict[Extent, list[int]] = defaultdict(list)
    for row, extent in enumerate(extents):
        rows[extent].append(row)
    return [
        batch
        for division in divisions
        for group in division
        for batch in _of_equal_size([row for extent in group for row in rows[extent]], size)
    ]


def _division(extents: Sequence[Extent], size: int) -> list[list[Extent]]:
    """The different extents in groups that are each one batch, or several where they exceed ``size``."""
    counts = Counter(extents)
    orders = [sorted(counts), sorted(counts, key=lambda extent: extent[::-1])]
    return min(_cheapest_cuts(order, counts, size) for order in orders)[1]


def _cheapest_cuts(order: list[Extent], counts: Counter[Extent], size: int) -> tuple[int, list[list[Extent]]]:
    """Cut a list of extents where that costs least, by dynamic programming: the cost and the pieces."""
    starts, lengths = np.array(order).T
    prompts = np.array([counts[extent] for extent in order])
    least, first_of_last = [0], [0]  # for the first so many extents: the least cost, and where the last piece begins
    for end in range(1, len(order) + 1):
        back = slice(end - 1, None, -1)
        together = prompts[back].cumsum()  # of the piece that begins at end - 1, at end - 2, ...
        width = np.maximum.accumulate(lengths[back]) - np.minimum.accumulate(starts[back])
        costs = np.array(least[back]) + together * width + TOKENS_WORTH_A_PASS * -(-together // size)
        best = int(costs.argmin())
        least.append(int(costs[best]))
        first_of_last.append(end - 1 - best)
    pieces, end = [], len(order)
    while end:
        pieces.append(order[first_of_last[end] : end])
        end = first_of_last[end]
    return least[-1], pieces[::-1]


def _of_equal_size(rows: list[int], size: int) -> list[list[int]]:
    """Divide rows into parts of at most ``size``, all of about the same size, since a small one costs nearly as much."""
    step = -(-len(rows) // -(-len(rows) // size))
    return [rows[first : first + step] for first in range(0, len(rows), step)]
