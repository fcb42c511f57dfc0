"""The main job on a real language model: SmolLM2, read from the GGUF file of the catalogue."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.models.fetch import fetch
from circuitsearch.models.gguf_header import read_header
from circuitsearch.task import Task
from circuitsearch.validation.checks import USUAL, NewPrompts, RandomCircuits, SizeCurve
from tests.engine.plain import PlainRun, plain_writes
from tests.engine.test_circuit_gradient import assert_is_derivative
from tests.exact import exact_throughout

pytestmark = pytest.mark.real

EDGES = (("embed", "m0<in>"), ("m2", "a18.kv2<k>"))


@pytest.fixture(scope="module")
def smollm2() -> tuple[Any, Any]:
    """Model and tokenizer, fetched unless they are in the cache."""
    try:
        fetch("smollm2")
    except InputError as error:
        pytest.skip(f"SmolLM2 cannot be fetched: {error}")
    return cs.load("smollm2")


@pytest.fixture(scope="module")
def task(smollm2: tuple[Any, Any]) -> Task:
    """One pair of prompts."""
    return cs.tasks.ioi(smollm2[1], n=1, seed=0)


def test_it_is_the_language_model(smollm2: tuple[Any, Any]):
    """It knows a capital, and whom the drink was given to."""
    model, tokenizer = smollm2
    for prompt, answer in (
        ("The capital of France is", " Paris"),
        ("When Mary and John went to the store, John gave a drink to", " Mary"),
    ):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            assert tokenizer.decode(model(ids).logits[0, -1].argmax()) == answer


def test_weights_are_dequantised_as_the_format_says(smollm2: tuple[Any, Any]):
    """Q4_1 by hand: blocks of 32 numbers, of 4 bits each, times a scale, plus a smallest value, both in float16."""
    file = fetch("smollm2").file
    header, name = read_header(file), "blk.7.ffn_up.weight"
    (tensor,) = (each for each in header.tensors if each.name == name)
    columns, rows = tensor.shape
    with file.open("rb") as content:
        content.seek(header.data_start + tensor.offset)
        blocks = np.frombuffer(content.read(rows * columns // 32 * 20), np.uint8).reshape(-1, 20)
    scale, least = (blocks[:, at : at + 2].copy().view(np.float16).astype(np.float32) for at in (0, 2))
    numbers = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], 1)  # (blocks, 32)
    expected = torch.from_numpy((scale * numbers + least).reshape(rows, columns))
    assert torch.equal(smollm2[0].model.layers[7].mlp.up_proj.weight, expected)


def test_exact_effects_are_those_of_plain_runs(smollm2: tuple[Any, Any], task: Task):
    """An early edge and one in the middle, neither without effect, on one pair of prompts."""
    model, _ = smollm2
    found = cs.score(model, task, cs.Exact(edges=EDGES))
    corrupt, mask = plain_writes(model, task.corrupt[0]), found.graph.mask
    (batch,) = task.batches()
    with torch.no_grad():
        whole = task.metric(model(task.clean[0][None]).logits[:, -1], batch)
    for edge in EDGES:
        run = PlainRun(model, task.clean[0], mask & ~found.graph.edge_mask([edge]), corrupt)
        expected = float(whole - task.metric(run.logits[None, -1], batch))
        assert found[edge] == pytest.approx(expected, abs=2e-4) and abs(expected) > 5e-3


def test_find_searches_it(smollm2: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch):
    """With few prompts and passes: every stage is done, and the circuit is a small part of the model."""
    model, tokenizer = smollm2
    few = [NewPrompts(8), RandomCircuits(count=2, prompts=4), SizeCurve(prompts=2)]
    usual = [next((each for each in few if type(each) is type(check)), check) for check in USUAL]
    monkeypatch.setattr(import_module("circuitsearch.validation.validate"), "USUAL", usual)
    prompts = cs.tasks.ioi(tokenizer, n=6, seed=0)
    finding = cs.find(model, prompts, tokenizer=tokenizer, refine=cs.Refine(passes=2, prompts=4), listeners=[])
    assert finding.circuit.history is not None and len(finding.circuit.history.passes) == 2
    assert 0 < len(finding.circuit) < finding.circuit.graph.n_edges / 5
    assert finding.report.n_edges == len(finding.circuit) and finding.report.by_factor


def test_the_gradient_at_a_circuit_is_the_derivative(smollm2: tuple[Any, Any], task: Task):
    """In float64, of edges in a circuit of EAP's strongest and outside it, against finite differences."""
    with exact_throughout():
        experiment = Experiment(smollm2[0].double(), task)
        circuit = cs.top(experiment.score("eap"), 2000)
        assert_is_derivative(experiment.evaluator, circuit.mask, count=2)
