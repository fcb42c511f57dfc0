"""Our numbers against another implementation's, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.experiment import score
from circuitsearch.faithfulness import ratio_of_means
from circuitsearch.methods import EAP, EAPIG, CleanCorrupt, EAPIGActivations, Exact
from circuitsearch.scores import Scores
from circuitsearch.search import greedy, top
from circuitsearch.task import Task
from circuitsearch.validation.checks.curve import area_from_model, area_under
from circuitsearch.validation.report import CurvePoint

FOLDER = Path(__file__).parent / "reference"
METHODS = {
    "EAP": EAP(),
    "EAP-IG-inputs(5)": EAPIG(steps=5),
    "EAP-IG-activations(5)": EAPIGActivations(steps=5),
    "clean-corrupted": CleanCorrupt(),
    "exact": Exact(),
}


@pytest.fixture(scope="module")
def reference():
    """The other implementation's numbers."""
    return json.loads((FOLDER / "scores.json").read_text())


@pytest.fixture(scope="module")
def model():
    """The model that they were computed on."""
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float64).eval()


@pytest.fixture(scope="module")
def task(reference):
    """The prompts that they were computed on."""
    (batch,) = reference["batches"]
    return Task.from_ids(batch["clean"], batch["corrupt"], batch["good"], batch["bad"])


def edge(name: str) -> tuple[str, str]:
    """Writer and reader of ``"a0.h1->a2.h3<q>"``."""
    writer, reader = name.split("->")
    return writer, reader


@pytest.mark.parametrize("name", METHODS)
def test_scores_of_all_edges(name, reference, model, task):
    """Every edge has the same score, with the opposite sign."""
    scores = score(model, task, METHODS[name])
    theirs = reference["scores"][name]
    assert len(theirs) == scores.graph.n_edges
    assert max(abs(scores[edge(key)] + value) for key, value in theirs.items()) <= 1e-9


def test_metric_and_faithfulness_of_given_circuits(reference, model, task):
    """The circuits that it lists have the same metric on every prompt, and the same faithfulness."""
    described = verified(model, task)
    evaluator = Evaluator(described, task)
    listed = list(reference["circuits"].values())
    masks = torch.stack([described.graph.edge_mask(map(edge, circuit["edges"])) for circuit in listed])
    (values,) = evaluator.circuits(torch.cat([masks, torch.zeros_like(masks[:1])]))
    (clean,) = evaluator.clean()
    theirs = torch.tensor([circuit["per_example"] for circuit in listed], dtype=torch.float64)
    assert (values[:-1] - theirs).abs().max() <= 1e-9
    faithfulness = ratio_of_means(values[:-1], clean, values[-1])
    theirs = torch.tensor([circuit["faithfulness"] for circuit in listed], dtype=torch.float64)
    assert (faithfulness - theirs).abs().max() <= 1e-9


def test_the_same_scores_give_the_same_circuits(reference, model):
    """Our top and greedy choose, from its scores, exactly the edges that it chose."""
    graph = verified(model).graph
    for name, theirs in reference["scores"].items():
        values = torch.zeros(graph.mask.shape, dtype=torch.float64)
        for key, value in theirs.items():
            values[graph.find_writer(edge(key)[0]), graph.find_reader(edge(key)[1])] = -value
        scores = Scores(graph, values)
        for size in (5, 10, 20, 50, 100, 200):
            for how, search in (("topn", top), ("greedy", greedy)):
                listed = reference["circuits"][f"{name}/{how}/{size}"]["edges"]
                assert torch.equal(search(scores, size).mask, graph.edge_mask(map(edge, listed)))


def test_areas_of_the_mib_benchmark(reference):
    """From the same curve we compute the same CPR and CMD."""
    for theirs in reference["mib"].values():
        columns = (theirs["edge_counts"], theirs["percentages"], theirs["faithfulness"])
        points = [CurvePoint(*point) for point in zip(*columns, strict=True)]
        assert area_under(points) == pytest.approx(theirs["CPR"], abs=1e-9)
        assert area_from_model(points) == pytest.approx(theirs["CMD"], abs=1e-9)
