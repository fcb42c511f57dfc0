"""Prompts of different lengths in one batch give what each gives by itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, Phi3Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from circuitsearch.ablation import Mean, Resample
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.pair import pairs
from circuitsearch.engine.verify import verified
from circuitsearch.methods import EAP, EAPIG, Exact
from circuitsearch.scores import Work
from tests.conftest import LLAMA_LIKE, mixed_task, verified_once
from tests.families_dense import SMALL


def effects(described, task, method, ablation=None):
    """The sum over prompts of each edge's effect (U, V)."""
    each = [method.effects(pair, Work()) for pair in pairs(described, task, ablation or Resample())]
    return torch.stack(each).sum(0)


def some_masks(graph, n: int = 3):
    """Random circuits (n, U, V)."""
    shares = torch.rand(n, *graph.mask.shape, generator=torch.Generator().manual_seed(5))
    return (shares < torch.tensor([0.3, 0.6, 0.9])[:n, None, None]) & graph.mask


def test_padding_changes_nothing(every_family):
    """In every family the padded batch gives each prompt's own logits, and EAP, exact effects and circuits as in buckets."""
    task = mixed_task()
    described = verified_once(every_family)
    assert described.causal
    (pair,) = pairs(described, task, Resample())
    assert len(set(pair.batch.lengths.tolist())) == 2
    for row, logits in zip(pair.batch.rows.tolist(), pair.clean[1], strict=True):
        assert (logits - every_family(task.clean[row][None]).logits[0, -1]).abs().max() < 1e-10
    buckets, few = replace(described, causal=False), task.subset([0, 1, 3, 7])
    graph = described.graph
    edges = list(graph.edges(graph.mask))
    for method in (EAP(), Exact(edges=(edges[0], edges[len(edges) // 2], edges[-1]))):
        padded, apart = effects(described, few, method), effects(buckets, few, method)
        assert (padded - apart).nan_to_num().abs().max() < 1e-10 * max(1, apart.nan_to_num().abs().max())
    masks = some_masks(graph)
    (padded,), (apart,) = (Evaluator(each, few).circuits(masks) for each in (described, buckets))
    assert (padded - apart).abs().max() < 1e-10


@pytest.mark.parametrize("ablation", [Mean(), Mean(over_positions=True)], ids=repr)
def test_means_are_of_prompts_without_their_padding(ablation, gpt2):
    """Padding enters no mean, and a mean by position is of prompts of the same length."""
    task = mixed_task()
    described = verified(gpt2, task)
    for method in (EAP(), EAPIG(2)):
        padded = effects(described, task, method, ablation)
        apart = effects(replace(described, causal=False), task, method, ablation)
        assert (padded - apart).abs().max() < 1e-10


def test_scores_have_no_share_of_the_padding(gpt2):
    """The gradient at every padded position is exactly zero."""
    task = mixed_task()
    (pair,) = pairs(verified(gpt2, task), task, Resample())
    ports = pair.gradients().ports
    padding = torch.arange(pair.clean_ids.shape[1]) >= (pair.batch.lengths - pair.batch.start)[:, None]  # (B, T)
    assert padding.any() and not ports.final[padding].any()
    for values in ports.heads.values():
        assert not values[padding].any()


@pytest.mark.rounded
def test_rounding_that_grows_with_depth_is_not_taken_for_later_tokens():
    """A deep model in float32 differs by hundreds of roundings between prompts of two lengths, and is causal all the same."""
    torch.manual_seed(0)
    deep: dict[str, Any] = LLAMA_LIKE | {"num_hidden_layers": 48, "initializer_range": 0.5}
    assert verified(AutoModelForCausalLM.from_config(LlamaConfig(**deep)).eval().requires_grad_(False)).causal


def phi3(**rope):
    """A tiny Phi-3, in float64."""
    torch.manual_seed(0)
    config = Phi3Config(**SMALL, original_max_position_embeddings=8, rope_parameters=rope)
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False).double()


@pytest.mark.rounded
def test_positions_that_turn_with_the_length_keep_buckets_of_one_length():
    """Phi-3's long prompts turn queries and keys otherwise than its short ones, so that padding would change the short ones."""
    long = dict(rope_type="longrope", rope_theta=1e4, short_factor=[1.0] * 4, long_factor=[3.0] * 4, factor=4.0)
    model, task = phi3(**long, original_max_position_embeddings=8), mixed_task()
    described = verified(model, task)
    assert not described.causal
    own = torch.cat([model(ids[None]).logits[:, -1] for ids in task.clean])
    for pair in pairs(described, task, Resample()):
        assert (pair.clean[1] - own[pair.batch.rows]).abs().max() < 1e-6
    (pair,) = pairs(replace(described, causal=True), task, Resample())
    assert (pair.clean[1] - own[pair.batch.rows]).abs().max() > 1e-3


def test_a_model_that_reads_later_tokens_keeps_buckets_of_one_length(gpt2):
    """Verification runs half of a prompt alone: without a causal mask its activations are others."""
    model = copy.deepcopy(gpt2)
    for block in model.transformer.h:
        block.attn.is_causal = False
    model.config.is_causal = False
    described = verified(model)
    assert not described.causal and verified(gpt2).causal
    for pair in pairs(described, mixed_task(), Resample()):
        assert len(set(pair.batch.lengths.tolist())) == 1
