"""``stability`` from the prompts to the result: on models with known circuits, and what its folder keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.models.planted import Design, Planted, plant
from circuitsearch.replication import Classes, Configuration, Find
from circuitsearch.replication.text import rows
from circuitsearch.validation import Interval


@cache
def planted(motif: str = "induction", n: int = 24, noise: float = 0.0) -> Planted:
    made = plant(motif, 0, n=n, design=Design(noise=noise))
    return replace(made, task=replace(made.task, writer=None))


@cache
def verified(model: Planted) -> cs.Experiment:
    """So that the model is verified once for all tests."""
    return cs.Experiment(model.model, model.task)


def named(edges: Any) -> set[str]:
    return {f"{writer}->{reader}" for writer, reader in edges}


def by_eap(configuration: Configuration) -> cs.Circuit:
    """A quick search: the six strongest edges."""
    return cs.top(configuration.experiment.score("eap"), 6).pruned()


def test_a_models_only_circuit_is_the_core():
    """Every search of find's finds the true edges alone: all are core, with an effect, and do the task."""
    model = planted()
    found = cs.stability(verified(model), model.task, vary=cs.Parts(2))
    assert named(found.core.edges) == named(model.edges) == {each.edge for each in found.edges}
    assert found.stable and [each.name for each in found.agreement] == ["parts", "all"]
    assert found.core_faithfulness.value == pytest.approx(1, abs=0.02) and found.held_out
    assert all(each.adjusted < 0.05 and each.effect.low > 0 for each in found.edges)


def test_branches_that_stand_in_for_one_another_are_optional():
    """Of an OR each search finds one branch; what both need is core."""
    model = planted("or", n=36, noise=0.02)
    quick = Find(cs.Refine(passes=2))
    found = cs.stability(verified(model), model.task, vary=(cs.Parts(3), cs.Methods(("eap-ig", "eap"))), discover=quick)
    assert named(found.core.edges) == {"m2->logits"}
    optional = {each.edge for each in found.named("optional")}
    assert optional == named(model.edges) - {"m2->logits"} and not found.named("unstable")
    assert not found.stable and found.core_faithfulness.value < 0.1
    assert all(each.effect.low > 1 for each in found.edges)  # in a circuit that has one branch


def test_a_search_is_that_of_find():
    """The same circuit as find returns for the same prompts and settings."""
    model = planted("vote", n=16)
    experiment = verified(model).seeded(3)
    by_find = cs.find(experiment, model.task, method="eap", listeners=())
    assert Find()(Configuration(experiment, 0.9, cs.EAP())).edges == by_find.circuit.edges


def test_inclusion_counts_the_circuits():
    """By variation and altogether, over a search that finds what it is told to."""
    model = planted()
    graph = verified(model).graph
    first, second, third = (graph.edge_mask([edge]) for edge in model.edges)
    told = iter([first | second, first, first | second | third, first, first])

    def search(configuration: Configuration) -> cs.Circuit:
        return cs.Circuit(graph, next(told))

    found = cs.stability(verified(model), model.task, vary=("parts(count=2)", "seeds(count=3)"), discover=search)
    shares = {each.edge: (each.inclusion.value, each.by_variation["parts"].value) for each in found.edges}
    names = ["->".join(edge) for edge in model.edges]
    assert shares == {names[0]: (1.0, 1.0), names[1]: (0.4, 0.5), names[2]: (0.2, 0.0)}
    assert [each.status for each in found.edges] == ["core", "optional", "optional"]
    assert [each.edge for each in found.edges] == names  # the most often found first
    assert found.inclusion.sum() == pytest.approx(1.6) and named(found.union.edges) == set(names)
    assert [each.forwards for each in found.circuits] == [None] * 5 and np.isnan(found.forwards)


def test_core_and_circuits_are_measured_on_prompts_of_no_search():
    """Their faithfulness is that of the masks on the held-out prompts, which no configuration has."""
    model, seen = planted(), []

    def search(configuration: Configuration) -> cs.Circuit:
        seen.append(configuration.task)
        return by_eap(configuration)

    found = cs.stability(verified(model), model.task, vary="resamples(count=3)", discover=search)
    held_out = model.task.split(0.75, 0)[1].distinct()
    searched = {digest for task in seen for digest in task.prompt_digests()}
    assert not searched & set(held_out.prompt_digests()) and found.n_tested == len(held_out)
    measure = Faithfulness(verified(model).on(held_out))
    assert found.core_faithfulness.value == pytest.approx(float(measure(found.core.mask[None])))
    masks = [found.graph.edge_mask(tuple(edge.split("->")) for edge in each.edges) for each in found.circuits]  # type: ignore[misc]
    assert [each.faithfulness for each in found.circuits] == measure.measured_each(masks)


def test_prompts_of_one_group_are_not_held_out():
    """Then the result says that none are."""
    model = planted()
    together = replace(model.task, groups=(0,) * len(model.task))
    found = cs.stability(verified(model), together, vary="seeds(count=2)", discover=by_eap)
    assert not found.held_out and "none held out" in str(found)


def test_what_varies_by_default():
    """Parts, and templates where the prompts name them; rephrasings are compared with samples."""
    model, tokenizer = cs.load("pico")
    task = cs.tasks.ioi(tokenizer, n=12)
    found = cs.stability(model, task, discover=by_eap, effects=3)
    assert [each.name for each in found.agreement] == ["parts", "templates", "all"]
    (compared,) = found.rephrasing
    means = {each.name: each.mean for each in found.agreement}
    assert compared.difference == pytest.approx(means["parts"] - means["templates"])
    measured = [not np.isnan(each.effect.value) for each in found.edges]
    assert sum(measured) == 3 and all(measured[:3])  # the most often found
    assert [np.isnan(each.adjusted) for each in found.edges] == [not each for each in measured]


# ---- files and figures


@cache
def vote() -> cs.Stability:
    """Two of the three voters of a vote, not always the same."""
    model = planted("vote", n=24)
    return cs.stability(verified(model), model.task, vary=cs.Parts(3), discover=by_eap)


def test_it_is_read_as_it_was_saved(tmp_path: Path):
    """JSON keeps everything, also what is not defined."""
    vote().save(tmp_path / "stability.json")
    read = cs.Stability.load(tmp_path / "stability.json")
    assert read.to_dict() == cs.Stability.from_dict(vote().to_dict()).to_dict()
    assert str(read) == str(vote()) and read.core.edges == vote().core.edges
    json.loads((tmp_path / "stability.json").read_text())


@pytest.mark.parametrize("change", [{"edges": 3}, {"more": 1}, {"classes": {"core": 0.1, "optional": 0.9}}])
def test_files_of_something_else_are_refused(tmp_path: Path, change: dict[str, Any]):
    """One sentence names the file."""
    path = tmp_path / "stability.json"
    path.write_text(json.dumps(json.loads(json.dumps(vote().to_dict())) | change), encoding="utf-8")
    with pytest.raises(InputError, match=r"is not a stability analysis"):
        cs.Stability.load(path)


def test_every_edge_is_on_the_page():
    """The Markdown has the table of edges, by variation, and each circuit."""
    page = vote().to_markdown()
    assert all(f"`{each.edge}`" in page for each in vote().edges)
    assert all(f"| {each.name} |" in page for each in vote().circuits)


def test_a_sign_is_given_where_it_can_be_told():
    """Of an effect with an adjusted p-value of .05 or more, and of one that was not measured, the table says no sign."""
    effect = Interval(-1.0, -2.0, 0.0)
    edges = [replace(vote().edges[0], effect=effect, adjusted=p) for p in (0.04, 0.05, float("nan"))]
    assert [row[-1] for row in rows(edges)] == ["opposes", "not shown", ""]


def test_a_line_is_solid_if_every_search_found_its_edge(tmp_path: Path):
    """Its style is the inclusion, which the legend explains; the width is the effect."""
    found = cs.stability(
        verified(planted()),
        planted().task,
        vary="parts(count=2)",
        discover=_growing(planted()),
        classes=Classes(0.9, 0.1),
    )
    found.draw(tmp_path / "figure.svg")
    root = ElementTree.parse(tmp_path / "figure.svg").getroot()
    dashed = {
        node.attrib["id"]: "stroke-dasharray" in path.attrib["style"]
        for node in root.iter()
        if "->" in node.attrib.get("id", "")
        for path in list(node.iter("{http://www.w3.org/2000/svg}path"))[:1]
    }
    shares = {each.edge: each.inclusion.value for each in found.edges}
    assert set(shares.values()) == {1.0, 0.5} and dashed == {edge: share < 1 for edge, share in shares.items()}
    words = "".join(root.itertext())
    assert (
        all(text in words for text in ("found by every search", "by half or more", "|effect|"))
        and "into q" not in words
    )
    assert "solid if every search found them" in found.caption and "Jaccard" not in words


def _growing(model: Planted) -> Any:
    """A search that finds all edges at its first call, and then all but one."""
    graph = verified(model).graph
    told = iter([model.edges, model.edges[:-1]])
    return lambda configuration: cs.Circuit.from_edges(graph, next(told))


def test_too_many_edges_for_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Those most often found are drawn, and the caption says so."""
    monkeypatch.setattr("circuitsearch.figures.plan.MOST", 3)
    monkeypatch.setattr("circuitsearch.replication.result.DRAWN", 2)
    assert len(vote().edges) > 3
    vote().draw(tmp_path / "figure.svg")
    assert "The 2 most often found are drawn" in vote().caption and (tmp_path / "figure.svg").is_file()


def test_searches_that_find_nothing():
    """Circuits without edges agree, and there is nothing to draw."""
    model = planted()
    empty = cs.Circuit.from_edges(verified(model).graph, ())
    found = cs.stability(verified(model), model.task, vary="parts(count=2)", discover=lambda configuration: empty)
    assert found.edges == () and found.stable and found.core_faithfulness.value == 0
    with pytest.raises(InputError, match="no edges"):
        found.draw("figure.svg")


# ---- the folder


class Stopped(Exception):
    """The process was killed."""


def test_it_goes_on_after_a_stop(tmp_path: Path):
    """Circuits that were found are read back, also by a call with more searches; the result is that of one call."""
    model, calls = planted("vote", n=24), []

    def search(configuration: Configuration) -> cs.Circuit:
        calls.append(configuration)
        if len(calls) == 3:
            raise Stopped
        assert configuration.checkpoint is None or configuration.checkpoint.parent.is_dir()
        return by_eap(configuration)

    def run(count: int, out: Path | None = tmp_path / "out") -> cs.Stability:
        return cs.stability(verified(model), model.task, vary=cs.Seeds(count), discover=search, out=out)

    with pytest.raises(Stopped):
        run(4)
    found = run(4)
    assert len(calls) == 5  # two before the stop, the one that was stopped, and two after
    assert len(run(5).circuits) == 5 and len(calls) == 6
    assert run(4).to_dict() == found.to_dict() and len(calls) == 6
    assert run(4, None).to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"faithfulness": 0.8}, "faithfulness 0.8, not 0.9"),
        ({"seed": 1}, "seed 1, not 0"),
        ({"ablation": "zero"}, "ablation Zero()"),
        ({"vary": "parts(count=3)"}, "another prompts"),
        ({"discover": Find()}, "discover Find("),
        ({"method": "eap"}, "method EAP()"),
    ],
)
def test_a_folder_of_other_searches_is_refused(tmp_path: Path, change: dict[str, Any], words: str):
    """The sentence says in what they differ, before any search runs."""
    model = planted()
    asked: dict[str, Any] = {"vary": "parts(count=2)", "discover": by_eap, "out": tmp_path / "out"}
    cs.stability(verified(model), model.task, **asked)
    with pytest.raises(InputError, match="has circuits of other searches") as refused:
        cs.stability(model.model, model.task, **asked | change)
    assert words in str(refused.value)


def test_other_folders_are_refused(tmp_path: Path):
    """A file, and a folder with something else."""
    model = planted()
    (tmp_path / "mine.txt").write_text("mine")
    for path, words in ((tmp_path, "is not empty"), (tmp_path / "mine.txt", "is a file")):
        with pytest.raises(InputError, match=words):
            cs.stability(verified(model), model.task, vary="parts", discover=by_eap, out=path)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"vary": ("parts", "Parts(count=2)")}, "vary has parts twice"),
        ({"vary": ()}, "vary is empty"),
        ({"vary": "templates"}, "has no factor 'templates'"),
        ({"vary": "parts(count=9)"}, "leaves 2 different prompts"),
        ({"effects": -1}, "must be 0 or more"),
        ({"confidence": 1.0}, "confidence"),
        ({"faithfulness": 0}, "faithfulness"),
        ({"vary": 3}, "is not a variation"),
        ({"colour": "blue"}, "unknown setting 'colour'"),
    ],
)
def test_wrong_arguments_are_refused_before_any_search(wrong: dict[str, Any], words: str):
    """One sentence each."""

    def never(configuration: Configuration) -> cs.Circuit:
        raise AssertionError("a search was run")

    asked: dict[str, Any] = {"vary": "parts", "discover": never, **wrong}
    with pytest.raises(InputError) as refused:
        cs.stability(verified(planted()), planted().task, **asked)
    assert words in str(refused.value)


def test_variations_and_searches_of_ones_own():
    """A variation is any dataclass with configurations, at least two; a circuit of another graph is refused."""
    model = planted()

    @dataclass(frozen=True)
    class Halves:
        count: int = 2
        source: ClassVar[str] = "samples"

        def configurations(self, base: Configuration) -> list[Configuration]:
            rows = range(len(base.task))
            return [base.on(base.task.subset(rows[part::2])) for part in range(self.count)]

    def run(count: int, search: Any) -> cs.Stability:
        return cs.stability(verified(model), model.task, vary=Halves(count), discover=search)

    assert [each.name for each in run(2, by_eap).circuits] == ["halves-1", "halves-2"]
    with pytest.raises(InputError, match="Halves must give 2 searches or more to compare, not 1"):
        run(1, by_eap)
    with pytest.raises(InputError, match="the search of halves-1 gave a circuit of another graph"):
        run(2, lambda configuration: cs.Circuit.from_edges(cs.Graph(1, 1, 1), ()))


def test_progress_counts_searches():
    """One step each, also of circuits that are read back."""
    steps: list[tuple[int, int]] = []
    cs.stability(
        verified(planted()), planted().task, vary="parts(count=2)", discover=by_eap, progress=lambda *s: steps.append(s)
    )
    assert steps == [(1, 2), (2, 2)]
