"""Roles of heads: every detector on every head, each compared with its null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from circuitsearch.errors import InputError, unknown
from circuitsearch.instruments.detectors import DETECTORS, Detector, Inputs, NameMover, inhibition, usable
from circuitsearch.instruments.prompts import drawn_twice, shuffled
from circuitsearch.instruments.result import Result
from circuitsearch.instruments.subject import Subject, subject
from circuitsearch.progress import Progress, silent
from circuitsearch.task import Task

SAID_TWICE = 16  # prompts of random tokens


@dataclass(frozen=True, eq=False)
class HeadRoles(Result):
    """Scores of every head for every role that could be measured.

    Attributes
    ----------
    roles : tuple of str
        The R roles.
    heads : tuple of str
        Every head by name, in the stream's order.
    layers : tuple of int
        The A blocks that have attention in heads.
    scores, nulls : Tensor
        (R, A, H), float64; the null is averaged over shuffles.
    highest_null : Tensor
        (R,), the largest null score of any head in any shuffle.
    definitions, null_definitions, papers, units : tuple of str
        For each role.
    least : tuple of float
        Least excess of the score over the head's null of a head with the role; its score must also exceed every null.
    left_out : tuple of str
        Roles that could not be measured, each with the reason.
    task : str
    n : int
        How many of the task's prompts were used.
    """

    roles: tuple[str, ...]
    heads: tuple[str, ...]
    layers: tuple[int, ...]
    scores: Tensor
    nulls: Tensor
    highest_null: Tensor
    definitions: tuple[str, ...]
    null_definitions: tuple[str, ...]
    papers: tuple[str, ...]
    units: tuple[str, ...]
    least: tuple[float, ...]
    left_out: tuple[str, ...]
    task: str
    n: int

    @property
    def given(self) -> Tensor:
        """Boolean (R, A, H): which head has which role."""
        excess = self.scores - self.nulls >= torch.tensor(self.least, dtype=torch.float64)[:, None, None]
        return excess & (self.scores > self.highest_null[:, None, None])

    def ranked(self, role: str) -> list[tuple[str, float]]:
        """All heads by their score for one role, the highest first."""
        if role not in self.roles:
            raise unknown("role", role, self.roles)
        scores = self.scores[self.roles.index(role)].flatten()
        order = scores.sort(descending=True, stable=True).indices.tolist()
        return [(self.heads[at], float(scores[at])) for at in order]

    @property
    def by_head(self) -> dict[str, tuple[str, ...]]:
        """The roles of each head that has any, first the largest excess relative to ``least``; for labels in figures."""
        over = ((self.scores - self.nulls) / torch.tensor(self.least, dtype=torch.float64)[:, None, None]).flatten(1)
        given = self.given.flatten(1)
        found: dict[str, tuple[str, ...]] = {}
        for at, head in enumerate(self.heads):
            mine = [role for role in range(len(self.roles)) if given[role, at]]
            if mine:
                mine.sort(key=lambda role: -float(over[role, at]))
                found[head] = tuple(self.roles[role] for role in mine)
        return found

    def to_dict(self) -> dict[str, Any]:
        """All numbers, and the table of roles."""
        return {**super().to_dict(), "by_head": {head: list(roles) for head, roles in self.by_head.items()}}

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        rows = []
        for at, role in enumerate(self.roles):
            given = self.given[at].flatten()
            heads = [(head, score) for head, score in self.ranked(role) if given[self.heads.index(head)]]
            listed = ", ".join(f"{head} {score:.2f}" for head, score in heads) or "none"
            rows.append((role, listed, f"{float(self.highest_null[at]):.2f}"))
        return ("role", "heads and scores", " highest null"), rows


def head_roles(
    model: Any,
    task: Task | None = None,
    *,
    tokenizer: Any = None,
    shuffles: int = 4,
    seed: int = 0,
    progress: Progress = silent,
) -> HeadRoles:
    """Score every head for every role, and compare the scores with those on shuffled prompts.

    The result contains each role's definition, null and paper. Previous-token, duplicate-token and induction heads are
    measured on repeated random tokens; copying on the weights; copy suppression at the position that the metric reads; movers
    and S-inhibition on a task that names the spans IO, S1, S2 and END.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, with heads that can be separated.
    task : Task, optional
        Prompts; without it, roles that need a task are left out.
    tokenizer
        For random prompts: its special tokens are not drawn, and a prompt begins with those that it adds.
    shuffles : int
        Number of shuffled copies of the prompts for the null, 1 or more.
    seed : int
        Of the random prompts and the shuffles.
    progress : callable
        Called with (measurements done, measurements in all).

    Raises
    ------
    InputError
        If model and task do not fit, the model has no heads, or ``shuffles`` is below 1.
    """
    if shuffles < 1:
        raise InputError(f"the null needs at least one shuffle of the prompts, not {shuffles}")
    seen = subject(model, task or _any_prompt())
    if not list(seen.described.heads):
        raise InputError(f"a {seen.described.model.config.model_type!r} model has no heads that can be separated")
    inputs, nulls = _prompts(seen, task, tokenizer, shuffles, seed)
    found = _Found(inputs, nulls, shuffles, progress)
    for detector in usable(task):
        found.measure(detector)
    if task is not None and (movers := found.heads_given(NameMover.name)):
        detector = inhibition(model, inputs, movers)
        if detector is not None:
            found.measure(detector)
    return found.result(task)


def _any_prompt() -> Task:
    return Task.from_ids([[0, 1]], [[1, 1]], [0], [1])


def _prompts(seen: Subject, task: Task | None, tokenizer: Any, shuffles: int, seed: int) -> tuple[Inputs, list[Inputs]]:
    """The inputs of the detectors, and shuffled copies of them."""
    twice, start, half = drawn_twice(seen.described, SAID_TWICE, tokenizer, seed)
    in_place = tuple(torch.arange(len(ids)) for ids in twice.clean)
    inputs = Inputs(seen, twice, start, half, in_place, task)
    difference = None if task is None else inputs.on_task.difference
    nulls = []
    for each in range(1, shuffles + 1):
        mixed, positions = shuffled(twice, seed + each, keep=start)
        other = None if task is None else shuffled(task, seed + each, keep=start, last=True)[0]
        nulls.append(Inputs(seen, mixed, start, half, positions, other, difference))
    return inputs, nulls


class _Found:
    """The scores measured so far."""

    def __init__(self, inputs: Inputs, nulls: Sequence[Inputs], shuffles: int, progress: Progress) -> None:
        self.inputs, self.nulls, self.progress = inputs, nulls, progress
        self.total = (len(DETECTORS) + 1) * (shuffles + 1)
        self.detectors: list[Detector] = []
        self.scores: list[Tensor] = []
        self.null: list[Tensor] = []  # (S, A, H) each

    def measure(self, detector: Detector) -> None:
        """Score every head, and again on each shuffled copy."""
        self.detectors.append(detector)
        self.scores.append(detector.score(self.inputs))
        self.null.append(torch.stack([detector.chance(null) for null in self.nulls]))
        self.progress(len(self.detectors) * (len(self.nulls) + 1), self.total)

    @property
    def heads(self) -> tuple[str, ...]:
        """Every head by name."""
        graph = self.inputs.described.graph.base
        return tuple(
            name for index, _ in self.inputs.described.heads for name in graph.writers[graph.parts[index].rows]
        )

    def heads_given(self, role: str) -> list[str]:
        """The heads that have a role."""
        result = self.result(self.inputs.task)
        if role not in result.roles:
            return []
        given = result.given[result.roles.index(role)].flatten().tolist()
        return [head for head, has in zip(self.heads, given, strict=True) if has]

    def result(self, task: Task | None) -> HeadRoles:
        """The result of all detectors."""
        described = self.inputs.described
        return HeadRoles(
            roles=tuple(each.name for each in self.detectors),
            heads=self.heads,
            layers=tuple(described.graph.base.parts[index].layer for index, _ in described.heads),
            scores=torch.stack(self.scores),
            nulls=torch.stack([null.mean(0) for null in self.null]),
            highest_null=torch.stack([null.max() for null in self.null]),
            definitions=tuple(each.definition for each in self.detectors),
            null_definitions=tuple(each.null for each in self.detectors),
            papers=tuple(each.paper for each in self.detectors),
            units=tuple(each.unit for each in self.detectors),
            least=tuple(each.least for each in self.detectors),
            left_out=self._left_out(),
            task="random tokens said twice" if task is None else task.name,
            n=0 if task is None else len(task),
        )

    def _left_out(self) -> tuple[str, ...]:
        there = {each.name for each in self.detectors}
        spans = ", ".join(NameMover.spans)
        missing = tuple(f"{each.name}: the task names no spans {spans}" for each in DETECTORS if each.name not in there)
        return (
            missing
            if "S-inhibition" in there
            else (*missing, "S-inhibition: no head is a name mover whose queries depend on other writers")
        )
