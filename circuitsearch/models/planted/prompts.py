"""The prompts of a planted model, and their writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from zlib import crc32

from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.metrics import Metric, logit_diff
from circuitsearch.models.planted.layout import Layout
from circuitsearch.models.planted.motif import Motif, Pair
from circuitsearch.task import Task

GROUPS = 64
PATIENCE = 200
"""Prompts of its groups in a row that a writer may have written before, until they count as used up."""


@dataclass(frozen=True)
class PlantedWriter:
    """Writes prompts of a motif for the models with a given layout.

    A prompt belongs to one of 64 groups by its clean words, so that writers of different groups never write the same one.

    Attributes
    ----------
    task : str
        The task's name.
    motif, layout
        The rule for prompts, and which token stands for which word.
    metric : callable
        The task's metric.
    by_group : tuple of int
        The groups of its prompts.
    part, count : int
        Which of some disjoint parts of these prompts it writes; a digest of the clean words divides them.
    """

    task: str
    motif: Motif
    layout: Layout
    metric: Metric = logit_diff
    by_group: tuple[int, ...] = tuple(range(GROUPS))
    part: int = 0
    count: int = 1

    @property
    def pools(self) -> Mapping[str, tuple[str, ...]]:
        """No factor has values of its own: all prompts have the same words."""
        return {}

    def of_groups(self, groups: Iterable[int]) -> PlantedWriter:
        """The writer of these groups' prompts alone."""
        return replace(self, by_group=tuple(sorted(set(groups))))

    def taking(self, other: Any, *factors: str) -> PlantedWriter:
        """The writer itself, which has no factors; raises an InputError if one is named."""
        if factors:
            raise unknown("factor", factors[0], self.pools)
        return self

    def share(self, number: int, count: int) -> PlantedWriter:
        """The writer of one of ``count`` shares of its prompts."""
        return replace(self, part=number, count=count)

    def draw_by_group(self, n: int, seed: int = 0) -> Task:
        """As :meth:`draw`: every prompt is of a group."""
        return self.draw(n, seed)

    def text(self, ids: Sequence[int]) -> str:
        """A prompt as numbers, since its tokens are no words of any language."""
        return " ".join(map(str, ids))

    def draw(self, n: int, seed: int = 0, *, at_most: bool = False) -> Task:
        """Write ``n`` prompts, all different.

        Raises
        ------
        InputError
            If ``n`` is less than 1, or there are not so many different prompts; with ``at_most`` there may be fewer.
        """
        _check_count(n)
        pairs = list(self._distinct(n, Random(seed)))
        if len(pairs) < n and not (at_most and pairs):
            raise InputError(
                f"task {self.task}: its words give about {len(pairs)} distinct prompts, not {n}; ask for a smaller n"
            )
        task = _task_of(self.motif, self.layout, pairs)
        groups = tuple(map(group_of, pairs))
        return replace(task, name=self.task, metric=self.metric, groups=groups, writer=self.of_groups(groups))

    def _distinct(self, n: int, random: Random) -> Iterator[Pair]:
        """At most ``n`` of the writer's pairs with different clean prompts."""
        written: set[bytes] = set()
        patience = PATIENCE * self.count * GROUPS // len(self.by_group)
        while len(written) < n:
            drawn = (self.motif.write(random, self.layout.sites) for _ in range(patience))
            pair = next((each for each in drawn if self._writes(each) and bytes(each.clean) not in written), None)
            if pair is None:
                return
            written.add(bytes(pair.clean))
            yield pair

    def _writes(self, pair: Pair) -> bool:
        return group_of(pair) in self.by_group and crc32(bytes(pair.clean)) // GROUPS % self.count == self.part


def group_of(pair: Pair) -> int:
    """The group of a pair, by its clean words."""
    return crc32(bytes(pair.clean)) % GROUPS


def write_prompts(motif: Motif, layout: Layout, n: int, seed: int) -> Task:
    """Write ``n`` prompts of a motif, each in a group of its own, for the models with a given layout."""
    _check_count(n)
    random = Random(seed)
    return _task_of(motif, layout, [motif.write(random, layout.sites) for _ in range(n)])


def _check_count(n: int) -> None:
    if n < 1:
        raise InputError(f"a planted task has at least 1 prompt, not {shortened(n)}")


def _task_of(motif: Motif, layout: Layout, pairs: Sequence[Pair]) -> Task:
    clean, corrupt = (
        [[layout.words[word] for word in getattr(pair, side)] for pair in pairs] for side in ("clean", "corrupt")
    )
    answers, wrong = ([layout.words[getattr(pair, side)] for pair in pairs] for side in ("answer", "wrong"))
    return Task.from_ids(clean, corrupt, answers, wrong, name=f"planted-{motif.name}")
