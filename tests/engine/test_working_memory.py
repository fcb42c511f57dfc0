"""How working memory is divided, and what becomes of a chunk that does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.working_memory import MemoryWarning, WorkingMemory, in_halves
from tests.conftest import random_task

pytestmark = pytest.mark.rounded

N = 6  # prompts


class Some(list):
    """Prompts."""

    def halves(self) -> tuple[Some, Some]:
        half = len(self) // 2
        return Some(self[:half]), Some(self[half:])


def fitting(most: int, error: Exception) -> Any:
    """Work that needs more memory than there is for more than so many prompts."""

    def work(prompts: Some) -> int:
        if len(prompts) > most:
            raise error
        return sum(prompts)

    return work


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_chunk_is_halved_until_it_fits(error: Exception):
    """In order, each prompt once; the same words each time, so that Python shows them once."""
    halvings: list[int] = []
    with pytest.warns(MemoryWarning) as said:
        found = list(in_halves(Some(range(5)), fitting(2, error), lambda: halvings.append(1)))
    assert found == [([0, 1], 1), ([2], 2), ([3, 4], 7)]
    assert len(halvings) == 2 and len({str(each.message) for each in said}) == 1


def test_one_prompt_that_does_not_fit_ends_in_a_sentence():
    """What to do stands in it; other errors go through as they are."""
    with pytest.raises(cs.InputError, match="one prompt at a time: give shorter prompts"), pytest.warns(MemoryWarning):
        list(in_halves(Some(range(2)), fitting(0, MemoryError()), lambda: None))
    with pytest.raises(RuntimeError, match="shapes"):
        list(in_halves(Some(range(2)), fitting(0, RuntimeError("shapes differ")), lambda: None))


def test_chunks_that_follow_are_halved_before_they_are_tried():
    """Memory runs out twice, for the first of ten chunks, and no more."""
    memory, tried = WorkingMemory(400), []

    def work(prompts: Some) -> int:
        tried.append(len(prompts))
        return fitting(1, MemoryError())(prompts)

    with pytest.warns(MemoryWarning):
        found = list(memory.each([Some(range(4))] * 10, work, memory.size.bit_length))
    assert [result for _, result in found] == [0, 1, 2, 3] * 10
    assert tried[:3] == [4, 2, 1] and tried.count(4) == 1 and tried.count(2) == 2 and memory.chunk == 12


def test_work_on_parts_of_parts_is_halved_within_and_then_outside():
    """If the least that can be run at once of one chunk does not fit, that chunk is halved."""
    memory = WorkingMemory(400)

    def inner(copies: Some, prompts: int) -> int:
        return fitting(3, MemoryError())(Some(range(len(copies) * prompts)))

    def outer(prompts: Some) -> int:
        return sum(found for _, found in memory.each([Some(range(4))], lambda copies: inner(copies, len(prompts))))

    with pytest.warns(MemoryWarning):
        found = [part for part, _ in memory.each([Some(range(4)), Some(range(2))], outer)]
    assert all(len(part) <= 3 for part in found) and sum(map(len, found)) == 6


def test_what_is_kept_leaves_room_for_a_chunk():
    """All owners share it; what an owner gives back, or dies with, is free again."""
    memory, owners = WorkingMemory(100), [Narrow(None, 0), Narrow(None, 0)]
    assert memory.chunk == 25 and not memory.keep(owners[0], 76, 1)
    assert memory.keep(owners[0], 50, 1) and not memory.keep(owners[1], 26, 1) and not memory.keep(owners[1], 25, 30)
    assert memory.keep(owners[0], 75, 1) and not memory.keep(owners[1], 1, 1)
    memory.release(owners[0])
    assert memory.keep(owners[1], 75, 1)
    owners.clear()
    assert memory.keep(memory, 75, 1)


class Narrow:
    """A metric for which memory runs out on more than some prompts, and that of the task otherwise."""

    def __init__(self, metric: Any, most: int) -> None:
        self.metric, self.most, self.asked = metric, most, []

    def __call__(self, logits: Tensor, batch: Any) -> Tensor:
        self.asked.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.metric(logits, batch)


def of_evaluator(evaluator: Evaluator) -> list[Tensor]:
    """Everything that an evaluator measures."""
    mask = evaluator.described.graph.mask
    masks = torch.stack([mask, mask & (torch.arange(mask.shape[1]) % 3 > 0)])
    gradient = torch.zeros(N, *mask.shape, dtype=torch.float64)
    for rows, run in evaluator.run(masks[1], gradient=True):
        assert run.gradient is not None
        gradient[rows] = run.gradient.double()
    ends = evaluator.ends()[0]
    return [
        *evaluator.clean(),
        *ends,
        evaluator.metric_of_each(list(masks)),
        *evaluator.circuits(masks, near=mask),
        gradient,
    ]


def test_numbers_are_those_of_smaller_chunks(gpt2: Any):
    """Whatever is measured when memory runs out, it is measured again on halves; the next call takes these at once."""
    task = random_task(n=N)
    plain = Evaluator(cs.Experiment(gpt2, task).described, task)
    metric = Narrow(task.metric, N - 1)
    narrow = Evaluator(plain.described, replace(task, metric=metric))
    with pytest.warns(MemoryWarning):
        found = of_evaluator(narrow)
    for own, expected in zip(found, of_evaluator(plain), strict=True):
        assert (own - expected).abs().max() < 1e-9
    assert narrow.memory.chunk < plain.memory.chunk


def test_scores_too(gpt2: Any):
    """Effects of halves are added up once each."""
    task = random_task(n=N)
    experiment = cs.Experiment(gpt2, task)
    narrow = experiment.on(replace(task, metric=Narrow(task.metric, N - 1)))
    with pytest.warns(MemoryWarning):
        found = narrow.score("eap")
    assert (found.values - experiment.score("eap").values).abs().max() < 1e-9
