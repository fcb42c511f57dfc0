"""Variation over rephrasings: each search has other templates, or other values of another factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from circuitsearch.errors import InputError, shortened
from circuitsearch.example import PromptWriter
from circuitsearch.replication.configuration import Configuration
from circuitsearch.replication.variation import REPHRASINGS, Repeated, check_enough
from circuitsearch.task import Task


@dataclass(frozen=True)
class Templates(Repeated):
    """Disjoint sets of templates, with the same names and words.

    A task that writes its prompts writes as many for each set as there are. Of given prompts with ``factors``, each search has those
    whose values are in its set.

    Parameters
    ----------
    count : int
        How many sets.
    left_out : bool
        Each search has all templates but those of one set.
    factor : str
        What is divided instead of templates: ``"names"``, ``"words"`` ..., as the prompts' ``factors`` name it.
    """

    count: int = 4
    left_out: bool = False
    factor: str = "templates"
    source: ClassVar[str] = REPHRASINGS

    def configurations(self, base: Configuration) -> list[Configuration]:
        """One for each set."""
        task = base.task
        if not has_factor(task, self.factor):
            known = ", ".join(dict.fromkeys(name for row in task.factors for name in row)) or "none"
            raise InputError(
                f"task {task.name!r} has no factor {shortened(repr(self.factor))} to vary (it has {known}): give prompts with"
                " factors, or vary something else"
            )
        parts = self._given(task, base.seed) if task.writer is None else self._written(task, task.writer, base.seed)
        return [base.on(part) for part in parts]

    def _written(self, task: Task, writer: PromptWriter, seed: int) -> Iterator[Task]:
        """Sets are those of some groups, since the pools of each group have what a prompt needs."""
        check_enough(task, len(task), self)
        for groups in self._dealt(sorted(writer.by_group), "groups of values", seed):
            yield writer.taking(writer.of_groups(groups), self.factor).draw_by_group(len(task), seed)

    def _given(self, task: Task, seed: int) -> Iterator[Task]:
        values = [set(row.get(self.factor, ())) for row in task.factors]
        for chosen in self._dealt(sorted(set().union(*values)), self.factor, seed):
            rows = [row for row, own in enumerate(values) if own and own <= set(chosen)]
            check_enough(task, len({tuple(task.clean[row].tolist()) for row in rows}), self)
            yield task.subset(rows)

    def _dealt(self, values: list, what: str, seed: int) -> list[list]:
        """The values of each search."""
        if len(values) < self.count:
            raise InputError(f"{self.count} sets need as many {what}, and the task has {len(values)}: change count")
        order = Random(seed).sample(values, len(values))
        parts = [order[part :: self.count] for part in range(self.count)]
        return [[each for each in values if each not in part] for part in parts] if self.left_out else parts


def has_factor(task: Task, factor: str) -> bool:
    """Whether the prompts, and the writer if there is one, name the values of a factor."""
    named = any(factor in row for row in task.factors)
    return named and (task.writer is None or factor in task.writer.pools)
