"""Models whose weights lie elsewhere than where they run, or in fewer bits."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

import circuitsearch as cs
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.models.digest import weights_sha256
from circuitsearch.models.offload import offloading
from circuitsearch.models.weights import read_weight
from tests.conftest import random_task, tiny_model

METHODS = (cs.EAP(), cs.EAPIG(steps=2), cs.Exact(edges=(("embed", "a1.h1<q>"), ("m0", "logits"))))


@pytest.fixture(params=["cpu", "disk"])
def offloaded(request, tmp_path):
    """From a model to a copy of it whose weights accelerate brings when a module runs."""
    accelerate = pytest.importorskip("accelerate", reason="device maps need accelerate, which is not installed")

    def offload(model):
        model = copy.deepcopy(model)
        if request.param == "cpu":
            return accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
        return accelerate.disk_offload(model, str(tmp_path), execution_device=torch.device("cpu"))

    return offload


@pytest.mark.parametrize("name", ["gpt2", "llama-grouped", "gpt_neox-parallel"])
def test_an_offloaded_model_gives_the_same_numbers_and_stays_where_it_was(name, offloaded):
    """Scores, circuits and the digest are those of the plain model, and no weight is left where it was brought."""
    model, task = tiny_model(name), random_task()
    away = offloaded(model)
    assert all(weight.is_meta for weight in away.parameters())
    for method in METHODS:
        torch.testing.assert_close(
            cs.score(away, task, method).values, cs.score(model, task, method).values, equal_nan=True
        )
    described = verified(model)
    masks = described.graph.mask & (torch.rand(3, *described.graph.mask.shape) < 0.5)
    found, expected = (Evaluator(verified(each), task).circuits(masks)[0] for each in (away, model))
    torch.testing.assert_close(found, expected)
    assert weights_sha256(away) == weights_sha256(model)
    assert all(weight.is_meta for weight in away.parameters())


class Watched(Mapping):
    """Weights by name, each a new copy whenever it is asked for; ``most`` is the largest number of bytes of copies at one time."""

    def __init__(self, weights, copies, most):
        self.weights, self.copies, self.most = weights, copies, most

    def __getitem__(self, name):
        copy = self.weights[name].clone()
        self.copies.append((StorageWeakRef(copy.untyped_storage()), copy.nbytes))
        self.most.append(sum(size for weight, size in self.copies if not weight.expired()))
        return copy

    def __iter__(self):
        return iter(self.weights)

    def __len__(self):
        return len(self.weights)


@pytest.mark.parametrize("method", [cs.EAP(), cs.EAPIG(steps=2), cs.RelP()])
def test_a_backward_pass_brings_weights_again(method):
    """At no time are more weights at the device than those of the largest module and a few of the others."""
    accelerate = pytest.importorskip("accelerate", reason="device maps need accelerate, which is not installed")
    model, task = tiny_model("llama-grouped"), random_task()
    away = accelerate.cpu_offload(copy.deepcopy(model), execution_device=torch.device("cpu"))
    copies, most = [], []
    for module in away.modules():
        if (hook := offloading(module)) is not None:
            hook.weights_map = Watched(hook.weights_map, copies, most)
    torch.testing.assert_close(cs.score(away, task, method).values, cs.score(model, task, method).values)
    sizes = sorted(weight.nbytes for weight in model.parameters())
    assert max(most) <= sizes[-1] + 2 * sizes[-2] < sum(sizes) / 2


def test_a_device_map_that_keeps_blocks_on_disk(tmp_path):
    """A folder is loaded with a block on disk; it scores as the whole does, and the block stays there."""
    pytest.importorskip("accelerate", reason="device maps need accelerate, which is not installed")
    tiny_model("llama-grouped", torch.float32).save_pretrained(tmp_path)
    device_map = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "disk", "model.norm": "cpu",
                  "model.rotary_emb": "cpu", "lm_head": "cpu"}  # fmt: skip
    split, _ = cs.load(tmp_path, device_map=device_map)
    whole, _ = cs.load(tmp_path)
    assert any(weight.is_meta for weight in split.parameters())
    task = random_task()
    torch.testing.assert_close(cs.score(split, task, cs.EAP()).values, cs.score(whole, task, cs.EAP()).values)
    assert weights_sha256(split) == weights_sha256(whole)


def test_a_device_map_is_refused_with_its_reason(tmp_path, monkeypatch):
    """Beside a device, and where accelerate is not installed."""
    with pytest.raises(InputError, match="a device and a device map"):
        cs.load("pico", device="cpu", device_map="auto")
    monkeypatch.setattr("circuitsearch.models.load.find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs the package accelerate: pip install"):
        cs.load("pico", device_map="auto")


class Int8Linear(nn.Module):
    """Weights in whole numbers, which this package knows nothing of."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight: torch.Tensor
        self.scale = linear.weight.abs().amax() / 127
        self.register_buffer("weight", (linear.weight / self.scale).round().to(torch.int8))
        self.bias = linear.bias

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """As a linear module."""
        return nn.functional.linear(value, self.weight.to(value) * self.scale, self.bias)


def test_unknown_quantisation_is_refused_by_name():
    """What cannot be read as numbers is not scored."""
    model = tiny_model("llama-grouped")
    model.model.layers[1].self_attn.q_proj = Int8Linear(model.model.layers[1].self_attn.q_proj)
    with pytest.raises(InputError, match=r"Int8Linear .*int8.* quantised in a way that cannot be read"):
        verified(model)


def test_a_projection_that_is_not_its_weight_is_refused():
    """An adapter, or a quantisation of what comes in, changes what a projection gives."""
    model = tiny_model("llama-grouped")
    own = model.model.layers[0].self_attn.v_proj.forward
    model.model.layers[0].self_attn.v_proj.forward = lambda value: 1.01 * own(value)
    with pytest.raises(InputError, match=r"the v projection of block 0 \(Linear\) is not its weight"):
        verified(model)


def test_torchao_weights_are_read():
    """Linear modules in int8 by torchao: each is read as it computes, and all edges are scored."""
    quantization = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    model = tiny_model("llama-grouped", torch.float32)
    quantization.quantize_(model, quantization.Int8WeightOnlyConfig())
    linear = model.model.layers[0].self_attn.q_proj
    value = torch.randn(3, 32)
    torch.testing.assert_close(value @ read_weight(linear).T, linear(value), atol=1e-4, rtol=1e-4)
    scores = cs.score(model, random_task(), cs.EAP())
    exact = cs.score(model, random_task(), cs.Exact())
    assert scores.values.isfinite().all() and exact.values.isfinite().all() and scores.values.abs().max() > 0
