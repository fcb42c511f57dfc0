"""Variations over samples: other prompts of the same kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

import numpy as np

from circuitsearch.example import PromptWriter
from circuitsearch.replication.configuration import Configuration
from circuitsearch.replication.variation import SAMPLES, Repeated, check_enough
from circuitsearch.task import Task


@dataclass(frozen=True)
class Resamples(Repeated):
    """Bootstrap resamples (Efron 1979) of the given prompts: as many, drawn with replacement. No search gets other prompts, even if
    the task can write them.

    Parameters
    ----------
    count : int
        How many.
    """

    count: int = 10
    source: ClassVar[str] = SAMPLES

    def configurations(self, base: Configuration) -> list[Configuration]:
        """One for each resample."""
        check_enough(base.task, base.task.n_distinct, self)
        given, n = replace(base.task, writer=None), len(base.task)
        rows = np.random.default_rng(base.seed).integers(n, size=(self.count, n))
        return [base.on(given.subset(sorted(some))) for some in rows.tolist()]


@dataclass(frozen=True)
class Parts(Repeated):
    """Disjoint sets of prompts with the same names, words and templates.

    A task that writes its prompts writes as many for each part as there are, and in every search only prompts of its own part,
    into which a digest of the prompt divides them. Given prompts are dealt out, those of each group evenly.

    Parameters
    ----------
    count : int
        How many; 2 for halves.
    """

    count: int = 4
    source: ClassVar[str] = SAMPLES

    def configurations(self, base: Configuration) -> list[Configuration]:
        """One for each part."""
        parts = self._given(base) if base.task.writer is None else self._written(base.task, base.task.writer, base.seed)
        return [base.on(part) for part in parts]

    def _given(self, base: Configuration) -> Iterator[Task]:
        task, prompts = base.task, _by_group(base.task, base.seed)
        check_enough(task, len(prompts) // self.count, self)
        part_of = {prompt: place % self.count for place, prompt in enumerate(prompts)}
        for part in range(self.count):
            yield task.subset([row for row, ids in enumerate(task.clean) if part_of[tuple(ids.tolist())] == part])

    def _written(self, task: Task, writer: PromptWriter, seed: int) -> Iterator[Task]:
        check_enough(task, len(task), self)
        for part in range(self.count):
            yield writer.share(part, self.count).draw_by_group(len(task), seed)


def _by_group(task: Task, seed: int) -> list[tuple[int, ...]]:
    """The different clean prompts, those of each group together in random order."""
    groups = dict(zip((tuple(ids.tolist()) for ids in task.clean), task.split_groups, strict=True))
    prompts = list(groups)
    Random(seed).shuffle(prompts)
    return sorted(prompts, key=lambda prompt: groups[prompt])


@dataclass(frozen=True)
class Seeds(Repeated):
    """Other seeds: of the split into prompts that choose edges and prompts that choose the circuit, of the passes, and, if the task
    writes its prompts, of the prompts.

    Parameters
    ----------
    count : int
        How many; the first is the seed after the experiment's.
    """

    count: int = 5
    source: ClassVar[str] = SAMPLES

    def configurations(self, base: Configuration) -> list[Configuration]:
        """One for each seed."""
        check_enough(base.task, base.task.n_distinct, self)
        return [_seeded(base, base.seed + 1 + number) for number in range(self.count)]


def _seeded(base: Configuration, seed: int) -> Configuration:
    seeded, writer = base.seeded(seed), base.task.writer
    return seeded if writer is None else seeded.on(writer.draw_by_group(len(base.task), seed))
