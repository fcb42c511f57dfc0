"""Writers: pools by group, new prompts from them, and three parts that share none of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any

import pytest

from benchmarks.tasks import LEARNED
from circuitsearch.errors import InputError
from circuitsearch.example import Example
from circuitsearch.metrics import log_likelihood
from circuitsearch.registry import TASKS
from circuitsearch.task import Task
from circuitsearch.tasks.pools import Pools
from circuitsearch.tasks.writer import Writer

all_tasks = pytest.mark.parametrize("make", list(map(TASKS.load, LEARNED)), ids=LEARNED)
PARTS = (0.5, 0.25, 0.25)


def likes(random: Random, pools: Pools) -> Example:
    """A sentence of one name and one template; the corrupt one has another word in front."""
    name, template = random.choice(pools["names"]), random.choice(pools["templates"])
    text = template.format(name)
    factors = {"names": (name,), "templates": (template,)}
    return Example(f"So {text}", f"To {text}", (" friend",), (" book",), factors=factors)


@pytest.fixture
def writer(pico_tokenizer: Any) -> Writer:
    """Two groups of two names and a template each: eight prompts, four of them of one group."""
    by_group = {
        0: {"names": ("Mary", "John"), "templates": ("{} is the",)},
        1: {"names": ("Emma", "Paul"), "templates": ("{} was a",)},
    }
    return Writer("likes", likes, by_group, pico_tokenizer)


@all_tasks
def test_prompts_use_the_pools_of_their_group_alone(make: Callable[..., Task], tokenizer: Any) -> None:
    """Each value in a prompt's factors is in its own group's pools, and pools of two groups have none in common."""
    task = make(tokenizer, n=48)
    assert isinstance(task.writer, Writer)
    by_group = task.writer.by_group
    for group, factors in zip(task.groups, task.factors, strict=True):
        assert set(factors) == set(by_group[group])
        assert all(set(values) <= set(by_group[group][name]) for name, values in factors.items())
    for one, other in combinations(by_group.values(), 2):
        assert not any(set(one[name]) & set(other[name]) for name in one)


@all_tasks
def test_factors_are_what_the_prompts_say(make: Callable[..., Task], pico_tokenizer: Any) -> None:
    """Every word among the factors of a prompt is in its clean or its corrupt text."""
    task = make(pico_tokenizer, n=24)
    for factors, *pair in zip(task.factors, task.clean, task.corrupt, strict=True):
        text = set(re.findall(r"\w+", " ".join(map(pico_tokenizer.decode, pair))))
        values = [value for name, values in factors.items() if name != "templates" for value in values]
        assert values and all(set(value.split("/")) & text for value in values)


@all_tasks
def test_three_parts_share_no_pools(make: Callable[..., Task], tokenizer: Any) -> None:
    """The first part has more than four groups, and no name, word or template of one part is in another's prompts."""
    parts = make(tokenizer, n=96).parts(PARTS, seed=3)
    assert [len(part) for part in parts] == [48, 24, 24]
    assert len(set(parts[0].groups)) > 4
    used = [{(name, v) for row in part.factors for name in row for v in row[name]} for part in parts]
    assert not any(one & other for one, other in combinations(used, 2))


@all_tasks
def test_fresh_prompts_are_new_and_of_the_same_pools(make: Callable[..., Task], tokenizer: Any) -> None:
    """They mix the groups of their part, take nothing of another part, and repeat hardly any of its prompts."""
    part, other = make(tokenizer, n=96).split(0.5)
    fresh = part.fresh(60, seed=1)
    assert len({tuple(ids.tolist()) for ids in fresh.clean}) == 60 and (fresh.name, fresh.metric) == (
        part.name,
        part.metric,
    )
    assert part.writer and other.writer
    pools, others = part.writer.pools, other.writer.pools
    for name in pools:
        values = {value for row in fresh.factors for value in row[name]}
        assert values <= set(pools[name]) and not values & set(others[name])
    assert fresh.digest() == part.fresh(60, seed=1).digest() != part.fresh(60, seed=2).digest()


def test_a_draw_mixes_the_groups(writer: Writer) -> None:
    """All eight prompts of two groups can be drawn, four of them with one group's name and the other's template."""
    task = writer.draw(8, seed=0)
    assert {row["names"][0] for row in task.factors if row["templates"] == ("{} is the",)} == {
        "Mary",
        "John",
        "Emma",
        "Paul",
    }
    assert set(task.groups) == {0} and task.writer is not None and task.writer.pools == writer.pools


def test_too_many_prompts_are_refused_or_cut(writer: Writer) -> None:
    """There are eight: nine are one sentence, or eight if at most nine are wanted."""
    with pytest.raises(InputError, match=r"task likes: .* about 8 distinct prompts .* not 9; ask for a smaller n"):
        writer.draw(9, seed=0)
    assert len(writer.draw(9, seed=0, at_most=True)) == 8


def test_a_group_that_is_used_up_is_left_out(pico_tokenizer: Any) -> None:
    """One group gives one prompt, the other the remaining three."""
    by_group = {
        0: {"names": ("Mary",), "templates": ("{} is the",)},
        1: {"names": ("Emma", "Paul", "John"), "templates": ("{} was a",)},
    }
    task = Writer("likes", likes, by_group, pico_tokenizer).draw_by_group(4)
    assert sorted(task.groups) == [0, 1, 1, 1]


def test_values_of_another_writer_are_taken(writer: Writer) -> None:
    """New names with old templates, in every group."""
    mixed = writer.of_groups([0]).taking(writer.of_groups([1]), "names")
    assert mixed.pools == {"names": ("Emma", "Paul"), "templates": ("{} is the",)}
    assert len(mixed.draw(2)) == 2
    with pytest.raises(InputError, match="unknown factor 'name': did you mean 'names'"):
        writer.taking(writer, "name")


def test_the_writer_goes_with_the_groups(writer: Writer) -> None:
    """A subset's writer has the pools of its groups, and the task's own metric and name."""
    task = replace(writer.draw_by_group(4), metric=log_likelihood, name="mine")
    part = task.subset([row for row, group in enumerate(task.groups) if group == 1])
    fresh = part.fresh(2)
    assert (fresh.metric, fresh.name) == (log_likelihood, "mine")
    assert part.writer is not None and set(part.writer.by_group) == {1}


def test_groups_without_their_writer_are_refused(writer: Writer) -> None:
    """A writer without pools for a group of the task cannot belong to it."""
    task = writer.draw_by_group(4)
    with pytest.raises(InputError, match="row 3: the task's writer has no group 7"):
        replace(task, groups=(0, 1, 7, 0))
    assert replace(task, groups=(0, 1, 7, 0), writer=None).writer is None


def test_prompts_that_are_given_cannot_be_drawn_anew() -> None:
    """A task of ids says so."""
    with pytest.raises(InputError, match="task 'task' cannot write new prompts, because its prompts were given"):
        Task.from_ids([[1]], [[2]], [3], [4]).fresh(5)


def test_the_digest_does_not_see_writer_and_factors(writer: Writer) -> None:
    """They are no part of the prompts."""
    task = writer.draw_by_group(4)
    assert replace(task, writer=None, factors=()).digest() == task.digest()
