"""The worst prompts, and kinds of prompts on which the circuit is worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import bounded
from circuitsearch.models.planted import plant
from circuitsearch.validation import Trial
from circuitsearch.validation.checks import WorstPrompts
from circuitsearch.validation.significance import holm


@pytest.fixture(scope="module")
def halves() -> tuple[Any, list[bool]]:
    """One of the two paths of an XOR, as a circuit: it does the prompts that differ at one place, which are the second value."""
    planted = plant("xor", seed=3, n=24)
    planted = replace(planted, task=replace(planted.task, writer=None))
    place = planted.layout.sites[0]
    first = [
        bool(clean[place] != corrupt[place])
        for clean, corrupt in zip(planted.task.clean, planted.task.corrupt, strict=True)
    ]
    return planted, first


def trial_of(halves: tuple[Any, list[bool]], **task: Any) -> Trial:
    planted, _ = halves
    experiment = cs.Experiment(planted.model, replace(planted.task, **task))
    edges = [planted.layout.named(edge) for edge in (("embed", "first<v>"), ("first", "mlp<in>"), ("mlp", "logits"))]
    return Trial(experiment, cs.Circuit.from_edges(experiment.graph, edges), n_resamples=20)


def test_the_worst_come_first_with_their_numbers(halves: tuple[Any, list[bool]]):
    """As the metric of every prompt says."""
    trial = trial_of(halves)
    circuit, model, ablated = trial.metric
    values = bounded(circuit, model, ablated)
    found = WorstPrompts(count=3).measure(trial)
    assert [row["faithfulness"] for row in found.table] == sorted(values.tolist())[:3]
    for row in found.table:
        at = int(row["row"]) - 1  # pyright: ignore[reportArgumentType]
        assert (row["model"], row["circuit"], row["ablated"]) == (
            float(model[at]),
            float(circuit[at]),
            float(ablated[at]),
        )
        assert row["prompt"] == " ".join(map(str, trial.experiment.task.clean[at].tolist()))
    assert [name for name, _ in found.lines] == ["worst prompt"] * 3 + ["worst kind"]


def test_a_kind_of_prompts_that_the_circuit_does_not_do_is_named(halves: tuple[Any, list[bool]]):
    """With p by Mann-Whitney and Holm over both kinds."""
    factors = tuple({"place": ("first" if first else "sec\x07ond",)} for first in halves[1])
    trial = trial_of(halves, factors=factors)
    (_, line) = WorstPrompts().measure(trial).lines[-1]
    values, first = bounded(*trial.metric).numpy(), np.array(halves[1])
    p = stats.mannwhitneyu(values[~first], values[first], alternative="less").pvalue
    assert (
        line.startswith("the circuit is worse on place sec\ufffdond: faithfulness 0.000")
        and f"p = {2 * p:.2g}, Holm, 2 compared" in line
    )


def test_kinds_that_do_not_differ_are_not_named(halves: tuple[Any, list[bool]]):
    """Groups count where there are no factors."""
    shuffled = np.random.default_rng(0).permutation(24) % 2
    line = WorstPrompts().measure(trial_of(halves, groups=tuple(shuffled.tolist()))).lines[-1][1]
    assert line.startswith("none is significantly worse; the least likely is group")


def test_small_kinds_are_not_compared(halves: tuple[Any, list[bool]]):
    """Few prompts of a planted task are of one group."""
    line = WorstPrompts().measure(trial_of(halves)).lines[-1][1]
    assert line == "no kind of prompts has 5 or more beside 5 others: none are compared"


def test_prompts_of_a_named_task_are_text():
    """As the tokenizer reads them, with what they are written from."""
    model, tokenizer = cs.load("pico")
    task = cs.tasks.gendered_pronoun(tokenizer, n=8)
    experiment = cs.Experiment(model, task)
    circuit = cs.top(experiment.score("eap"), 10)
    row = WorstPrompts(count=1).measure(Trial(experiment, circuit, n_resamples=20)).table[0]
    at = int(row["row"]) - 1  # pyright: ignore[reportArgumentType]
    name = task.factors[at]["names"][0]
    assert name in str(row["prompt"]) and f"names {name}" in str(row["written_from"])


def test_holm_is_that_of_his_paper():
    """Step by step: the k-th smallest p times the number of those left, never less than before."""
    p = [0.013, 0.2, 0.004, 0.04, 0.9]
    expected: dict[float, float] = {}
    largest = 0.0
    for place, value in enumerate(sorted(p)):
        largest = max(largest, min(1.0, value * (len(p) - place)))
        expected[value] = largest
    assert holm(p) == pytest.approx([expected[value] for value in p])


def test_wrong_knobs_are_refused():
    """In a sentence."""
    with pytest.raises(InputError, match="1 prompt or more to list, not 0"):
        WorstPrompts(count=0)
