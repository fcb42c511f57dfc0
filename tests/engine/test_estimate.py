"""What a run will take is said from the configuration, and is what it takes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.estimate import estimate
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.loading import load
from circuitsearch.models.describe import graph_of
from circuitsearch.models.load import BUNDLED, outline
from tests.conftest import mixed_task


@pytest.mark.rounded
def test_a_configuration_is_enough(tmp_path):
    """Parameters, bytes and edges are those of the model itself, though there are no weights to read."""
    (tmp_path / "config.json").write_bytes((BUNDLED["pico"] / "config.json").read_bytes())
    model, _ = load("pico")
    found = estimate(tmp_path, "cpu")
    assert found.parameters == sum(weight.numel() for weight in dict.fromkeys(model.parameters()))
    assert found.edges == verified(model).graph.n_edges
    assert found.weight_bytes == 4 * found.parameters
    assert estimate(tmp_path, "cpu", "bfloat16").weight_bytes == 2 * found.parameters


def test_the_shape_of_a_model_too_large_to_be_here(tmp_path):
    """Llama 3 8B: 805,681 edges and 16 GB in bfloat16, said without a byte of it."""
    config = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
              "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "dtype": "bfloat16",
              "tie_word_embeddings": False}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert graph_of(outline(tmp_path)).n_edges == 805_681
    found = estimate(tmp_path, "cpu")
    assert (found.parameters, found.weight_bytes) == (8_030_261_248, 2 * 8_030_261_248)
    assert found.prompts_at_once == 1 and found.working_bytes < 2 << 30


def test_more_prompts_at_once_need_a_larger_budget():
    """Chunks follow from the memory; one prompt is the least."""
    small, large = (estimate("pico", "cpu", memory=memory) for memory in (1, 1 << 26))
    assert small.prompts_at_once == 1 < large.prompts_at_once
    assert large.working_bytes <= 1 << 26 and large.bytes_a_prompt == small.bytes_a_prompt


def test_the_time_of_a_run_is_its_forwards():
    """In words, from the number of prompts and their plain forward passes; EAP takes more than three of them."""
    found = replace(estimate("pico", "cpu"), seconds_a_forward=0.05)
    assert found.of_run(100, 60).endswith("; at least 5 min (60 forward passes of 100 prompts)")
    assert "921,088 parameters" in found.of_run(1, 1) and "EAP" not in found.of_run(1, 1)
    measured = estimate("pico", "cpu")
    assert measured.seconds_a_prompt > 3 * measured.seconds_a_forward > 0


def test_an_unknown_family_is_named_before_anything_is_read(tmp_path):
    """The configuration tells."""
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(InputError, match="unknown model family 'nothing'"):
        estimate(tmp_path, "cpu")


def test_circuits_do_not_depend_on_what_is_kept(grouped):
    """Where memory is too small to keep what batches share it is made anew for every call, to the same numbers."""
    task = mixed_task()
    kept, anew = (Evaluator(verified(grouped), task, memory=memory) for memory in (1 << 30, 1))
    mask = kept.described.graph.mask
    masks = mask & (torch.rand(3, *mask.shape, generator=torch.Generator().manual_seed(0)) < 0.7)
    assert (kept.circuits(masks)[0] - anew.circuits(masks)[0]).abs().max() < 1e-12
    assert (kept.circuits(masks, near=mask)[0] - anew.circuits(masks, near=mask)[0]).abs().max() < 1e-12
    assert (kept.clean()[0] - anew.clean()[0]).abs().max() < 1e-12
    assert kept._keeps_references and not anew._keeps_activations
