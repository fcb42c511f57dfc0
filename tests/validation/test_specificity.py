"""Specificity: every circuit on every task, held-out prompts, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.models.planted import INDUCTION_EDGES, induction_model, induction_task

NOTHING = [("embed", "logits")]


@pytest.fixture(scope="module")
def planted() -> dict[str, Any]:
    """A planted model, its circuit and one that does nothing, and a task that it does and one that it does not."""
    model, task = induction_model(), induction_task(20)
    swapped = replace(task, name="swapped", answers=task.wrong, wrong=task.answers)
    graph = cs.Experiment(model, task).graph
    circuits = {
        "planted-induction": cs.Circuit.from_edges(graph, INDUCTION_EDGES),
        "swapped": cs.Circuit.from_edges(graph, NOTHING),
    }
    return {"model": model, "circuits": circuits, "tasks": {task.name: task, "swapped": swapped}}


@pytest.fixture(scope="module")
def found(planted: dict[str, Any]) -> cs.Specificity:
    return cs.specificity(**planted, n_resamples=50)


@pytest.fixture(scope="module")
def pico() -> tuple[Any, list[cs.Task], list[cs.Circuit]]:
    """pico on two tasks, each with a circuit that was chosen by the first half of its prompts."""
    model, tokenizer = cs.load("pico")
    tasks = [cs.tasks.induction(tokenizer, n=12), cs.tasks.gendered_pronoun(tokenizer, n=12)]
    return model, tasks, [cs.top(cs.score(model, task.subset(range(6)), cs.EAP()), 20) for task in tasks]


def test_the_circuit_of_a_planted_model_does_its_task_and_no_edge_alone_does(found: cs.Specificity):
    """1 for the true edges and 0 for an edge that carries nothing."""
    own = found["planted-induction", "planted-induction"]
    assert own.faithfulness.value == pytest.approx(1, abs=0.02) and own.per_prompt.value == pytest.approx(1, abs=0.02)
    assert found["swapped", "planted-induction"].faithfulness.value == pytest.approx(0, abs=0.02)
    assert own.n == 20 and own.n_seen is None


def test_a_task_that_the_model_does_not_do_is_undefined_with_the_reason(found: cs.Specificity):
    """Its cells are NaN, in the text too, and circuits have no specificity from it."""
    assert list(found.undefined) == ["swapped"] and "does not do the task 'swapped'" in found.undefined["swapped"]
    assert str(found["planted-induction", "swapped"].faithfulness) == "not defined"
    assert found.largest_other("planted-induction") is None and found.value("swapped") != found.value("swapped")
    assert "not defined       the model does not do the task" in str(found)


def test_numbers_are_those_of_plain_runs_on_prompts_that_chose_nothing(
    pico: tuple[Any, list[cs.Task], list[cs.Circuit]],
):
    """On a circuit's own task only the other half of the prompts counts; on another task all do."""
    model, tasks, circuits = pico
    found = cs.specificity(model, circuits, tasks, n_resamples=50)
    for circuit in circuits:
        for task in tasks:
            rows = range(6, 12) if circuit.task == task.name else range(12)
            experiment = cs.Experiment(model, task.subset(rows))
            ((clean, ablated),) = experiment.evaluator.ends()
            kept = (experiment.evaluator.metric_of(circuit.mask) - ablated).mean() / (clean - ablated).mean()
            cell = found[circuit.task, task.name]
            assert cell.faithfulness.value == pytest.approx(float(kept), abs=1e-6)
            assert (cell.n, cell.n_seen) == (len(rows), 0) and cell.faithfulness.low <= cell.faithfulness.value


def test_prompts_that_chose_the_circuit_count_if_there_are_no_others(pico: tuple[Any, list[cs.Task], list[cs.Circuit]]):
    """And the text says so."""
    model, tasks, circuits = pico
    found = cs.specificity(model, circuits[:1], [tasks[0].subset(range(6))], n_resamples=20)
    assert found["induction", "induction"].n_seen == 6
    assert "6 of the 6 prompts of induction chose the circuit of induction: none are held out" in str(found)


def test_overlap_is_that_of_sets_of_edges(pico: tuple[Any, list[cs.Task], list[cs.Circuit]]):
    """Counted by Python's sets; it has no order."""
    model, tasks, circuits = pico
    one, two = (set(circuit.edges) for circuit in circuits)
    both = cs.specificity(model, circuits, tasks, n_resamples=20).overlap("gendered_pronoun", "induction")
    assert both.shared == len(one & two) and both.jaccard == len(one & two) / len(one | two)
    assert both.contained == len(one & two) / min(len(one), len(two))


def made_up(found: cs.Specificity, value: float) -> cs.Specificity:
    """The same with a task that both circuits do, the second one so well."""
    interval = replace(found["planted-induction", "planted-induction"].faithfulness, value=value)
    cells = [
        replace(each, faithfulness=interval) if each.circuit != each.task == "planted-induction" else each
        for each in found.on_tasks
    ]
    return replace(found, on_tasks=tuple(cells))


def test_every_task_that_a_circuit_also_does_is_named(found: cs.Specificity):
    """From the level on; above 1 too."""
    for value, named in ((0.87, True), (0.5, True), (0.49, False), (2.0, True)):
        (sentence,) = made_up(found, value).sentences()
        assert sentence.startswith(
            "the circuit of swapped also does planted-induction" if named else "no circuit does another task"
        )
        assert (f"({value:.3f}" in sentence) == named


def test_specificity_is_the_own_faithfulness_less_the_largest_other(found: cs.Specificity):
    """A circuit that does another task better is less than 0 specific."""
    own = found["planted-induction", "planted-induction"]
    interval = replace(own.faithfulness, value=0.9)
    other = replace(own, task="more", faithfulness=replace(interval, value=1.1))
    third = replace(own, task="third", faithfulness=replace(interval, value=0.2))
    cells = (replace(own, faithfulness=interval), third, other)
    made = replace(
        found, circuits={"planted-induction": 3}, tasks=("planted-induction", "third", "more"), on_tasks=cells
    )
    largest = made.largest_other("planted-induction")
    assert largest is not None and largest.task == "more"
    assert made.value("planted-induction") == pytest.approx(-0.2)
    assert "specificity -0.200" in str(made)


def test_files_give_back_the_same_and_refuse_others(found: cs.Specificity, tmp_path: Path):
    """NaN is null; an unknown field, or a number as text, is refused."""
    found.save(tmp_path / "found.json")
    again = cs.Specificity.load(tmp_path / "found.json")
    assert str(again) == str(found) and again.setups == found.setups and again.to_markdown() == found.to_markdown()
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["on_tasks"][2]["faithfulness"]["value"] is None
    for wrong in (content | {"more": 1}, content | {"level": "0.5"}):
        with pytest.raises(InputError):
            cs.Specificity.from_dict(wrong)


def test_text_of_names_is_no_markup(found: cs.Specificity):
    """In Markdown and LaTeX."""
    name = "a|b_c"
    cell = replace(found.on_tasks[0], circuit=name, task=name)
    made = replace(found, circuits={name: 3}, tasks=(name,), on_tasks=(cell,), overlaps=(), undefined={})
    assert r"| a\|b\_c | " in made.to_markdown() and r"a\textbar{}b\_c & \textbf{1.00} \\" in made.to_latex()


def test_the_figure_shows_every_number(found: cs.Specificity, tmp_path: Path):
    """Names and two decimals in each map; the same bytes twice."""
    cs.draw(made_up(found, 0.87), tmp_path / "one.svg")
    cs.draw(made_up(found, 0.87), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    words = list(ElementTree.fromstring((tmp_path / "one.svg").read_bytes()).itertext())
    assert ".87" in words and "planted-induction" in words and "edges shared" in words


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"circuits": {}}, "1 circuit or more"),
        ({"tasks": {"other": induction_task(4)}}, "has no task of its own among other"),
        ({"tasks": [induction_task(4), induction_task(4)]}, "two named 'planted-induction'"),
        ({"ablation": "nought"}, "unknown ablation"),
    ],
)
def test_wrong_arguments_are_refused(planted: dict[str, Any], changed: dict[str, Any], sentence: str):
    """In a sentence."""
    with pytest.raises(InputError, match=sentence):
        cs.specificity(**planted | changed)


def test_circuits_of_different_graphs_are_refused(planted: dict[str, Any]):
    """With both graphs."""
    other = cs.Circuit.from_edges(cs.Graph(1, 2, 2), [("embed", "logits")])
    with pytest.raises(InputError, match="the circuit was made on Graph"):
        cs.specificity(**planted | {"circuits": planted["circuits"] | {"swapped": other}})
