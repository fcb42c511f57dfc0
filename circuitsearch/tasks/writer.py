"""Writer: writes the prompts of a task from pools of names, words and templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from random import Random
from typing import Any, Protocol
from zlib import crc32

from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.example import Example
from circuitsearch.metrics import Metric, logit_diff
from circuitsearch.task import Task

from .pools import Pools, WordUse


class Rule(Protocol):
    """Writes one example from pools; every value of a factor that the example uses is in its ``factors``."""

    def __call__(self, random: Random, pools: Pools) -> Example: ...


MOST_EXAMPLES = 1_000_000
PATIENCE = 200
"""Draws in a row that may repeat an earlier prompt before the pools count as used up."""


@dataclass(frozen=True)
class Writer:
    """Writes prompts of a task from pools of values, one set of pools for each group of prompts.

    Pools of different groups have no value in common, so prompts of one group have names, words and templates that
    prompts of another group do not have.

    Attributes
    ----------
    task : str
        The task's name.
    rule : callable
        Writes one example: ``(random, pools) -> Example``.
    by_group : mapping
        For each group its pools: from a factor's name to its values.
    tokenizer
        The tokenizer of the prompts.
    metric : callable
        The task's metric.
    words : mapping
        For each list the words that this tokenizer leaves, and the others with the reason.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> writer = cs.tasks.ioi(cs.load("pico")[1], n=24).writer
    >>> sorted(writer.pools), len(writer.pools["names"]), len(writer.of_groups([0, 1]).pools["names"])
    (['names', 'templates', 'words'], 96, 16)
    >>> new_names = writer.of_groups([0, 1]).taking(writer.of_groups([2, 3]), "names")
    >>> new_names.draw(100, seed=0)
    Task('ioi', 100 examples, metric=logit_diff)
    """

    task: str
    rule: Rule
    by_group: Mapping[int, Pools]
    tokenizer: Any
    metric: Metric = logit_diff
    words: Mapping[str, WordUse] = field(default_factory=dict, repr=False)

    @property
    def pools(self) -> Pools:
        """For each factor its values in all groups."""
        factors = next(iter(self.by_group.values()))
        return {factor: _union(pools[factor] for pools in self.by_group.values()) for factor in factors}

    def of_groups(self, groups: Iterable[int]) -> Writer:
        """The writer with only the pools of these groups."""
        return replace(self, by_group={group: self.by_group[group] for group in sorted(set(groups))})

    def taking(self, other: Writer, *factors: str) -> Writer:
        """The writer with the values of these factors that another writer has, in every group.

        Raises
        ------
        InputError
            If the other writer has no such factor.
        """
        theirs = other.pools
        for factor in factors:
            if factor not in theirs:
                raise unknown("factor", factor, theirs)
        taken = {factor: theirs[factor] for factor in factors}
        return replace(self, by_group={group: {**pools, **taken} for group, pools in self.by_group.items()})

    def share(self, number: int, count: int) -> Writer:
        """The writer of one of ``count`` shares of its prompts, which have none in common: a digest of the prompt says whose it is."""
        return replace(self, rule=_Share(self.rule, number, count))

    def text(self, ids: Sequence[int]) -> str:
        """A prompt in words."""
        return self.tokenizer.decode(ids)

    def draw(self, n: int, seed: int = 0, *, at_most: bool = False) -> Task:
        """Write ``n`` prompts, all different, from the pools of all groups together: any name with any template.

        These prompts mix the pools of the groups, so the task has one group, and so has its writer.

        Parameters
        ----------
        n
            Number of prompts, at least 1.
        seed
            The same seed gives the same prompts.
        at_most
            Return fewer prompts where the pools do not allow ``n`` different ones.

        Raises
        ------
        InputError
            If the pools do not allow ``n`` different prompts, unless ``at_most``.
        """
        return replace(self, by_group={0: self.pools})._drawn(n, seed, at_most)

    def draw_by_group(self, n: int, seed: int = 0, *, at_most: bool = False) -> Task:
        """Write ``n`` prompts, all different, for one group after another, each from that group's pools alone.

        Raises
        ------
        InputError
            If the pools do not allow ``n`` different prompts, unless ``at_most``.
        """
        return self._drawn(n, seed, at_most)

    def _drawn(self, n: int, seed: int, at_most: bool) -> Task:
        check_count(self.task, n)
        examples = _distinct(self.rule, self.by_group, n, Random(seed))
        if len(examples) < n and not (at_most and examples):
            raise InputError(
                f"task {self.task}: its words and templates give about {len(examples)} distinct prompts with this tokenizer,"
                f" not {n}; ask for a smaller n"
            )
        task = Task.from_examples(self.task, examples, self.tokenizer, metric=self.metric)
        return replace(task, writer=self.of_groups(task.groups))


@dataclass(frozen=True)
class _Share:
    """A rule that writes the examples of one of some disjoint shares."""

    rule: Rule
    number: int
    count: int

    def __call__(self, random: Random, pools: Pools) -> Example:
        for _ in range(PATIENCE * self.count):
            example = self.rule(random, pools)
            if crc32(example.clean.encode()) % self.count == self.number:
                return example
        raise InputError(
            f"the task's words and templates give too few prompts for {self.count} disjoint parts: take fewer"
        )


def check_count(task: str, n: int) -> None:
    """Refuse a number of examples below 1 or too large to generate."""
    if not 1 <= n <= MOST_EXAMPLES:
        raise InputError(f"task {task}: n must be 1 to {MOST_EXAMPLES:,}, not {shortened(n)}.")


def _distinct(rule: Rule, by_group: Mapping[int, Pools], n: int, random: Random) -> Sequence[Example]:
    """At most `n` examples with different clean prompts, one of each group in turn; a group that is used up is left out."""
    found: dict[str, Example] = {}
    used_up: set[int] = set()
    for group in cycle(by_group):
        if len(found) == n or len(used_up) == len(by_group):
            return list(found.values())
        draws = (rule(random, by_group[group]) for _ in range(0 if group in used_up else PATIENCE))
        example = next((drawn for drawn in draws if drawn.clean not in found), None)
        if example is None:
            used_up.add(group)
        else:
            found[example.clean] = replace(example, group=group)
    return []


def _union(values: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for some in values for value in some))
