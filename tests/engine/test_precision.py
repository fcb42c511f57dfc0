"""Models in half precision give float32's scores, to their own rounding, also where squares would overflow."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import circuitsearch as cs
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.models.norm import describe_norm
from tests.conftest import random_task, tiny_model

pytestmark = pytest.mark.rounded
METHODS = (cs.EAP(), cs.EAPIG(steps=2), cs.RelP(), cs.GIM(), cs.QKFix())
HALVES = {torch.bfloat16: 0.15, torch.float16: 0.02}  # some twenty roundings


def wide_stream(width: int = 256) -> LlamaForCausalLM:
    """A small Llama, one entry of whose stream is 300 at some tokens: its square overflows in float16."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=width, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        initializer_range=0.05, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    model.model.embed_tokens.weight.normal_(0, 4.0)[:, 0] = 0
    model.model.embed_tokens.weight[[1, 2, 6, 8], 0] = 300.0
    return model


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_scores_in_half_precision_are_float32s(method, dtype):
    """Every method, on a model with norms after its parts and grouped keys: the relative difference of all scores."""
    task = random_task()
    wide, half = (cs.score(tiny_model("gemma2", each), task, method).values for each in (torch.float32, dtype))
    edges = wide.isfinite()
    assert float((half - wide)[edges].norm() / wide[edges].norm()) < HALVES[dtype]


@pytest.mark.parametrize("dtype", HALVES)
def test_the_gradient_at_a_circuit_in_half_precision_is_float32s(dtype):
    """With whole and with fractional weights, for edges inside and outside the circuit."""
    for seed, weights in enumerate((torch.ones, torch.rand)):
        found = []
        for each in (torch.float32, dtype):
            evaluator = cs.Experiment(tiny_model("gemma2", each), random_task()).evaluator
            mask = evaluator.described.graph.mask
            some = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
            torch.manual_seed(seed)
            runs = evaluator.run(mask * some * weights(mask.shape), gradient=True)
            gradients = [run.gradient.double().sum(0) for _, run in runs if run.gradient is not None]
            found.append(torch.stack(gradients).sum(0))
        wide, half = found
        assert float((half - wide).norm() / wide.norm()) < HALVES[dtype]


@pytest.mark.parametrize("dtype", HALVES)
def test_a_circuit_is_found_in_half_precision(dtype):
    """By the search with its exact removals; float32 confirms the circuit's faithfulness."""
    model, task = tiny_model("llama-grouped", dtype), random_task(n=8)
    experiment = cs.Experiment(model, done_by(model, task))
    fit, stopping = experiment.split(0.5)
    circuit = cs.refine(fit, fit.task, fit.score("eap"), stopping, 0.8, how=cs.Refine(passes=2, prompts=4))
    assert 0 < len(circuit) < circuit.graph.n_edges
    wide = cs.Experiment(copy.deepcopy(model).float(), experiment.task)
    kept, confirmed = (Faithfulness(each).measured_alone(circuit.mask).value for each in (experiment, wide))
    assert kept == pytest.approx(confirmed, abs=0.1)


def done_by(model, task: cs.Task) -> cs.Task:
    """The same prompts, answered by what the clean prompt makes likelier than the corrupt one."""
    clean, corrupt = torch.stack(task.clean), torch.stack(task.corrupt)
    change = (model(clean).logits - model(corrupt).logits)[:, -1]
    return cs.Task.from_ids(clean, corrupt, change.argmax(-1), change.argmin(-1))


def test_a_stream_whose_squares_overflow_in_float16():
    """An edge that matters scores as in float32, by its gradient and exactly."""
    model, edge = wide_stream(), ("embed", "a0.h2<v>")
    clean, corrupt = torch.tensor([[5, 1, 3, 4], [5, 2, 3, 4]]), torch.tensor([[5, 6, 3, 4], [5, 8, 3, 4]])
    task = done_by(model, cs.Task.from_ids(clean, corrupt, [0, 0], [1, 1]))
    half = copy.deepcopy(model).half()
    for method in (cs.EAP(), cs.Exact(edges=(edge,))):
        expected = cs.score(model, task, method)[edge]
        assert abs(expected) > 0.02
        assert cs.score(half, task, method)[edge] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize("dtype", HALVES)
def test_statistics_of_a_norm_are_those_of_float32(name, dtype):
    """The pull-back through a norm of entries up to 1000, against autograd in float64."""
    model = tiny_model(name, dtype)
    module = next(module for module in model.modules() if "Norm" in type(module).__name__)
    stream, grad = (1000 * torch.randn(2, 3, 32)).to(dtype), torch.randn(2, 3, 32).to(dtype)
    exact = copy.deepcopy(module).double()
    leaf = stream.double().requires_grad_()
    (expected,) = torch.autograd.grad(exact(leaf), leaf, grad.double())
    found = describe_norm(module, 32).pull_back(grad, stream)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=float(expected.abs().max()) * 1e-4)
