"""Variations: which prompts and settings each search has, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.models.planted import plant
from circuitsearch.registry import METHODS, VARIATIONS
from circuitsearch.replication import Classes, Configuration, Variation
from circuitsearch.search.prompts import PassPrompts


@cache
def base(task: str = "ioi", n: int = 48) -> Configuration:
    """A configuration of pico on a task that writes its prompts."""
    model, tokenizer = cs.load("pico")
    return Configuration(cs.Experiment(model, getattr(cs.tasks, task)(tokenizer, n=n)), 0.9, METHODS.read("eap"))


def given(task: str = "ioi", n: int = 48) -> Configuration:
    """The same prompts, without their writer."""
    return base(task, n).on(replace(base(task, n).task, writer=None))


def prompts(task: cs.Task) -> set[tuple[int, ...]]:
    return {tuple(ids.tolist()) for ids in task.clean}


def values(task: cs.Task, factor: str) -> set[str]:
    return {value for row in task.factors for value in row[factor]}


def of(variation: Variation, start: Configuration) -> list[cs.Task]:
    return [each.task for each in variation.configurations(start)]


def test_parts_of_given_prompts_are_all_of_them_once():
    """Each prompt is in one part, and each part has prompts of nearly every group."""
    start = given()
    parts = of(cs.Parts(3), start)
    assert sorted(len(part) for part in parts) == [16, 16, 16]
    assert set().union(*map(prompts, parts)) == prompts(start.task)
    assert sum(len(prompts(part)) for part in parts) == len(prompts(start.task))
    assert all(len(set(part.groups)) >= 11 for part in parts)


def test_equal_prompts_stay_in_one_part():
    """A prompt that is there twice does not make parts overlap."""
    start = given()
    twice = start.on(start.task.subset([*range(48), *range(24)]))
    first, second = map(prompts, of(cs.Parts(2), twice))
    assert not first & second


def test_parts_of_written_prompts_stay_disjoint_in_every_pass():
    """Neither the parts nor the prompts that their searches write have one in common; all have the same templates to choose from."""
    parts = cs.Parts(2).configurations(base())
    seen = [
        prompts(each.task).union(*(prompts(PassPrompts(each.experiment, 32).of_pass(n).task) for n in range(4)))
        for each in parts
    ]
    assert len(seen[0]) > 150 and not seen[0] & seen[1]
    pools = [each.task.writer.pools for each in parts]  # type: ignore[union-attr]
    assert [len(each.task) for each in parts] == [48, 48] and pools[0] == pools[1] == base().task.writer.pools  # type: ignore[union-attr]


def test_resamples_are_of_the_given_prompts():
    """As many, drawn with replacement, others each time, and none that the search writes."""
    found = of(cs.Resamples(3), base())
    assert all(task.writer is None and len(task) == 48 and prompts(task) < prompts(base().task) for task in found)
    assert len({task.digest() for task in found}) == 3
    assert 24 < len(prompts(found[0])) < 40  # 1 - 1/e of them


@pytest.mark.parametrize("start", [base, given], ids=["written", "given"])
def test_templates_are_disjoint(start: Any):
    """No template is in two sets, all names may be in each; with left_out each set is that of all others."""
    sets = [values(task, "templates") for task in of(cs.Templates(3), start())]
    assert all(sets) and not any(sets[i] & sets[j] for i, j in ((0, 1), (0, 2), (1, 2)))
    others = [values(task, "templates") for task in of(cs.Templates(3, left_out=True), start())]
    assert all(not own & other for own, other in zip(sets, others, strict=True))


def test_rephrased_prompts_have_the_names_of_all():
    """Only the templates are divided: the writer of each set has all names and words."""
    own = base().task.writer
    for task in of(cs.Templates(4), base()):
        assert own is not None and task.writer is not None
        assert set(task.writer.pools["names"]) == set(own.pools["names"])
        assert set(task.writer.pools["templates"]) < set(own.pools["templates"])


def test_seeds_give_other_prompts_and_other_splits():
    """Written prompts are others, given ones the same, and the seed is the search's own."""
    written, same = cs.Seeds(2).configurations(base()), cs.Seeds(2).configurations(given())
    assert [each.seed for each in written] == [each.seed for each in same] == [1, 2]
    assert len({each.task.digest() for each in written}) == 2
    assert all(each.task is given_task for each, given_task in zip(same, [same[0].task] * 2, strict=True))
    assert written[0].experiment.setup.seed == 1


def test_settings_vary_on_the_same_prompts():
    """Targets and methods change nothing else."""
    assert [each.faithfulness for each in cs.Targets((0.5, 0.8)).configurations(base())] == [0.5, 0.8]
    methods = cs.Methods(("eap", cs.EAPIG(steps=3))).configurations(base())
    assert [each.method for each in methods] == [cs.EAP(), cs.EAPIG(steps=3)]
    assert all(each.task is base().task for each in methods)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cs.Parts(0), "Parts must give 2 searches or more to compare, not 0"),
        (lambda: cs.Resamples(1), "Resamples must give 2 searches"),
        (lambda: cs.Seeds(-1), "Seeds must give 2"),
        (lambda: cs.Templates(1), "Templates must give 2"),
        (lambda: cs.Targets((0.9,)), "Targets must give 2"),
        (lambda: cs.Targets((0.9, 0.9)), "a value twice"),
        (lambda: cs.Targets((0.9, 1.2)), "1.2"),
        (lambda: cs.Methods(("eap", "EAP()")), "a value twice"),
        (lambda: cs.Methods(("epa", "eap")), "unknown method 'epa'"),
        (lambda: cs.Parts(2.5), "Parts's count must be an integer"),  # type: ignore[arg-type]
        (lambda: VARIATIONS.read("part"), "did you mean 'parts'"),
        (lambda: Classes(core=0.5, optional=0.9), "core not the smaller one"),
        (lambda: Classes(core=1.5), "in (0, 1]"),
    ],
)
def test_wrong_knobs_are_refused(make: Any, words: str):
    """One sentence says which and why."""
    with pytest.raises(InputError) as refused:
        make()
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("variation", "start", "words"),
    [
        (cs.Parts(20), lambda: given(n=48), "leaves 2 different prompts"),
        (cs.Templates(), lambda: base("induction", 12), "no factor 'templates' to vary (it has words)"),
        (cs.Templates(), lambda: planted_prompts(12), "no factor 'templates' to vary (it has none)"),
        (cs.Templates(13), base, "13 sets need as many groups of values, and the task has 12"),
        (cs.Templates(20), lambda: given(n=48), "different prompts of task 'ioi' to a search"),
        (cs.Resamples(2), lambda: planted_prompts(3), "leaves 3 different prompts"),
        (cs.Seeds(2), lambda: planted_prompts(3), "leaves 3"),
    ],
)
def test_prompts_that_do_not_suffice_are_refused(variation: Variation, start: Any, words: str):
    """Too few for the parts, or without what is to be varied."""
    with pytest.raises(InputError) as refused:
        variation.configurations(start())
    assert words in str(refused.value)


def planted_prompts(n: int) -> Configuration:
    planted = plant("induction", 0, n=n)
    return Configuration(cs.Experiment(planted.model, planted.task), 0.9, cs.EAP())


def test_pools_too_small_for_the_parts_are_refused():
    """A writer that has no prompt for a part says so instead of drawing forever."""
    start = base("ioi", 4)
    example = start.task.writer.rule  # type: ignore[union-attr]
    writer = replace(start.task.writer, rule=lambda random, pools: example(type(random)(0), pools))  # type: ignore[type-var]
    with pytest.raises(InputError, match="too few prompts for 2 disjoint parts"):
        cs.Parts(2).configurations(start.on(replace(start.task, writer=writer)))
