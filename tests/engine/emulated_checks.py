"""Run by test_emulated.py in a process of its own: the engine on emulated accelerators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import circuitsearch as cs
from circuitsearch import instruments
from circuitsearch.models import weights
from circuitsearch.models.offload import run_on_first
from tests.conftest import mixed_task, random_task, tiny_model
from tests.engine.emulated import FIRST, KIND, SECOND, Emulated, Factories, reads

pytestmark = pytest.mark.rounded

NAMES = ("gpt2", "llama-grouped", "mixtral", "mamba")
EDGES = (("embed", "logits"),)
METHODS = (cs.EAP(), cs.EAPIG(steps=2), cs.Exact(EDGES), cs.RelP(), cs.GIM(), cs.QKFix(), cs.EAPIGActivations(steps=2))


@pytest.fixture(autouse=True)
def emulation(monkeypatch):
    """Emulated weights are numbers like any others."""
    monkeypatch.setattr(weights, "PLAIN", (*weights.PLAIN, Emulated))
    with Factories():
        yield
    reads.clear()


def both(name: str, task: cs.Task | None = None) -> list[cs.Experiment]:
    """The same model on the CPU and on the first device."""
    models = tiny_model(name, torch.float32), tiny_model(name, torch.float32).to(FIRST)
    return [cs.Experiment(model, task or mixed_task()) for model in models]


def close(found: torch.Tensor | None, expected: torch.Tensor | None) -> None:
    """Equal to float32's rounding, and on the CPU."""
    assert found is not None and expected is not None and found.device.type == "cpu"
    scale = float(expected.nan_to_num().abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * scale, equal_nan=True)


def some(graph: cs.Graph, n: int) -> torch.Tensor:
    """Circuits of seven in ten edges: boolean (n, U, V)."""
    return graph.mask & (torch.rand(n, *graph.mask.shape, generator=torch.Generator().manual_seed(0)) < 0.7)


def test_devices_are_told_apart():
    """The emulation itself: operations across devices, and float64, are refused."""
    one, other = torch.ones(2, 2).to(FIRST), torch.ones(2, 2).to(SECOND)
    for mixed in (other, torch.ones(2, 2)):
        with pytest.raises(RuntimeError, match="tensors on"):
            torch.mm(one, mixed)
    with pytest.raises(TypeError, match="no float64"):
        one.double()
    assert (one @ other.to(FIRST)).tolist() == [[2, 2], [2, 2]] and one.sum().item() == 4


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_circuits_are_those_on_the_cpu(name):
    """Every tensor of the engine is where the model is, and none is of float64 there."""
    here, there = both(name)
    for method in METHODS if name == "llama-grouped" else METHODS[:3]:
        close(there.score(method).values, here.score(method).values)
    masks = some(here.graph, 3)
    for near in (None, masks[0]):
        close(there.evaluator.circuits(masks, near=near)[0], here.evaluator.circuits(masks, near=near)[0])


def test_a_search_and_its_circuits_are_those_on_the_cpu():
    """The search by the gradient at the circuit, effects in it, paths and ACDC."""
    here, there = both("llama-grouped", random_task(8))
    scores = here.score(cs.EAP())
    circuits = [
        cs.refine(each, each.task, scores, each, faithfulness=0.5, how=cs.Refine(passes=1)) for each in (there, here)
    ]
    assert torch.equal(circuits[0].mask, circuits[1].mask)
    effects = [cs.with_effects(each, each.task, circuits[1]).effects for each in (there, here)]
    close(*effects)
    found, expected = (cs.acdc(each, each.task, 0.1)[0.1].mask for each in (there, here))
    assert torch.equal(found, expected)
    close(*(cs.direct_sweep(each, each.task, ["logits"]).values for each in (there, here)))


LOOKS = {
    "lens": lambda model, task: instruments.logit_lens(model, task).kl,
    "attribution": lambda model, task: instruments.direct_logit(model, task).per_prompt,
    "decomposition": lambda model, task: instruments.decompose(model, task).shares,
    "attention": lambda model, task: instruments.attention(model, task).patterns,
    "patching": lambda model, task: instruments.activation_patching(model, task).effects,
    "heads": lambda model, task: instruments.activation_patching(model, task, instruments.HeadOut()).effects,
    "tracing": lambda model, task: instruments.causal_trace(model, task, "IO", seeds=1).effects,
    "roles": lambda model, task: instruments.head_roles(model, task, shuffles=1).scores,
    "words": lambda model, task: _numbers(instruments.written_words(model, task)),
}


def _numbers(said: dict[str, instruments.Words]) -> torch.Tensor:
    return torch.tensor([[number for _, number in words.raised] for words in said.values()])


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_instruments_are_those_on_the_cpu(look: Callable[..., torch.Tensor]):
    """Each of them, on prompts whose spans name what movers look at."""
    spans = {"IO": (2,), "S1": (1,), "S2": (4,), "END": (8,)}
    here, there = both("llama-grouped", replace(random_task(), spans=(spans,) * 5))
    close(look(there, there.task), look(here, here.task))


# What one batch may read of the device, outside transformers' own code: the size of what is computed, and the results.
READS = {cs.EAP(): 3, cs.EAPIG(steps=2): 4, cs.RelP(): 3, cs.GIM(): 3, cs.Exact(EDGES): 5}


def test_a_batch_is_read_a_few_times():
    """The engine never waits for the device inside a loop over parts, heads or edges, nor once for each of many circuits."""
    _, there = both("llama-grouped", random_task())
    there.score(cs.EAP())
    for method, most in READS.items():
        reads.clear()
        there.score(method)
        assert sum(reads[place] for place in reads if place != "model" and "digest" not in place) <= most, (
            method,
            reads,
        )
    masks = some(there.graph, 40)
    there.evaluator.circuits(masks[:1])
    reads.clear()
    there.evaluator.circuits(masks)
    assert sum(reads.values()) <= 4, reads


def test_a_model_spread_over_two_devices_runs_on_the_first():
    """Scores and circuits are those of the model on one device, and the second one keeps its weights."""
    accelerate = pytest.importorskip("accelerate", reason="device maps need accelerate, which is not installed")
    task, whole = random_task(), tiny_model("llama-grouped", torch.float32)
    places = {"model.embed_tokens": FIRST, "model.rotary_emb": FIRST, "model.layers.0": FIRST,
              "model.layers.1": SECOND, "model.norm": SECOND, "lm_head": SECOND}  # fmt: skip
    spread = accelerate.dispatch_model(tiny_model("llama-grouped", torch.float32), places)
    spread.hf_device_map = places
    with pytest.raises(cs.InputError, match=f"on several devices, {FIRST}, {SECOND}: load it with"):
        cs.score(spread, task, cs.EAP())
    run_on_first(spread)
    for method in METHODS[:3]:
        close(cs.score(spread, task, method).values, cs.score(whole, task, method).values)
    here, there = (cs.Experiment(model, task) for model in (whole, spread))
    masks = some(here.graph, 3)
    close(there.evaluator.circuits(masks)[0], here.evaluator.circuits(masks)[0])
    assert there.described.device == FIRST
    assert {str(weight.device) for weight in spread.model.layers[1].parameters()} == {"meta"}
    assert KIND in str(spread.model.layers[0].mlp.down_proj.weight.device)
