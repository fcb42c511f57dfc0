"""Models that cannot be read as described are refused."""

from __future__ import annotations

import copy
import re
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.granularity import Granularity
from circuitsearch.loading import load
from circuitsearch.methods import EAPIG
from circuitsearch.models.families import FAMILIES, REFUSED
from circuitsearch.task import Task
from tests.conftest import CONFIGS, TINY, random_task, tiny_model


def test_an_unknown_family_is_refused_by_name():
    """The sentence lists the families that are known."""
    model = tiny_model("gpt2")
    model.config = copy.deepcopy(model.config)
    model.config.model_type = "gpt-of-mine"
    with pytest.raises(InputError, match=r"unknown model family 'gpt-of-mine'.*gpt2"):
        verified(model)


@pytest.mark.parametrize("name", sorted(set(TINY) - set(CONFIGS)))
def test_a_family_that_cannot_be_read_is_refused_with_the_reason(name):
    """The sentence names the family, says what is wrong, and what to do."""
    model = tiny_model(name)
    reason = re.escape(REFUSED[model.config.model_type])
    with pytest.raises(
        InputError, match=f"'{model.config.model_type}' model cannot be read: {reason}; take a model of"
    ):
        verified(model)


@pytest.mark.parametrize("name", ["deepseek_v3", "qwen3_next", "jetmoe"])
def test_heads_that_cannot_be_told_apart_are_refused_as_nodes(name):
    """The sentence says why, and how their attention can be read all the same."""
    model = tiny_model(name)
    kind = f"the heads of a '{model.config.model_type}' model cannot be separated: .*"
    with pytest.raises(InputError, match=kind + r"Granularity\(merged_heads=True\) reads each attention as one node"):
        verified(model)
    graph = verified(model, granularity=Granularity(merged_heads=True)).graph
    assert graph.writers == ("embed", "s0", "m0", "s1", "m1")


@pytest.mark.parametrize("name", ["afmoe", "lfm3", "deepseek_v3"])
def test_attention_that_reads_the_stream_elsewhere_is_caught(name, monkeypatch):
    """Gates and shared keys, which the sum of the writers cannot show, are seen where NaN stands for the stream.

    Latent keys do not even have as many features as heads that share them could have.
    """
    model = tiny_model(name)
    row = FAMILIES[model.config.model_type]

    def as_if_heads(config, block):
        mine = row.of(config, block)
        latent = {"q": "self_attn.q_b_proj", "k": "self_attn.kv_b_proj", "v": "self_attn.kv_b_proj"}
        named = latent if name == "deepseek_v3" else {}
        post = mine.mixer[1] if len(mine.mixer) > 1 else None
        if mine.undivided is None:
            return mine
        return replace(mine, parts="heads>mlp", attn_norm=mine.mixer_norm, attn_post_norm=post, undivided=None, **named)

    monkeypatch.setitem(FAMILIES, model.config.model_type, replace(row, block=as_if_heads))
    elsewhere = "reads the stream elsewhere than at its q, k and v ports, by nan"
    with pytest.raises(InputError, match="4 heads cannot share 9" if name == "deepseek_v3" else elsewhere):
        verified(model)


def test_something_that_is_no_model_is_refused():
    """A thing without a config is named by its type."""
    with pytest.raises(InputError, match="Linear is not a Hugging Face"):
        verified(torch.nn.Linear(2, 2))


def test_training_mode_is_refused():
    """Dropout would change every run; the model is not switched behind the user's back."""
    model = tiny_model("gpt2").train()
    with pytest.raises(InputError, match=r"model\.eval\(\)"):
        verified(model)
    assert model.training


@pytest.mark.parametrize("where", ["attn", "mlp"])
def test_a_write_that_the_description_misses_is_caught(where):
    """A block that adds something else to the stream fails verification, and the difference is measured."""
    model = tiny_model("gpt2")
    block = model.transformer.h[1]
    own = block.attn.resid_dropout if where == "attn" else block.ln_2
    own.register_forward_hook(lambda module, args, output: output * 1.01)
    with pytest.raises(InputError, match=r"refuses it rather than give wrong scores"):
        verified(model)


def test_nan_in_the_weights_is_caught():
    """Logits that are not finite are refused before anything is computed."""
    model = tiny_model("gpt2")
    model.transformer.h[0].mlp.c_fc.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        verified(model)


def test_a_prompt_longer_than_the_model_reads_is_refused(gpt2):
    """The row and both lengths are named."""
    task = Task.from_ids([[1] * 33], [[1] * 32 + [2]], [1], [2])
    with pytest.raises(InputError, match="row 1: the prompt has 33 tokens, more than the 32 positions"):
        verified(gpt2, task)


@pytest.mark.rounded
def test_reduced_precision_is_accepted():
    """A bfloat16 model passes: its rounding is not mistaken for a wrong description."""
    assert verified(tiny_model("llama-grouped", torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.rounded
@pytest.mark.parametrize("name", ["llama-grouped", "gemma2", "gemma3_text", "olmo2", "glm4", "qwen3", "gpt2"])
def test_a_float64_model_is_read_though_its_norms_turn_to_float32(name):
    """Nothing keeps Hugging Face from float32 here, as nothing does for a user."""
    assert verified(tiny_model(name)).dtype == torch.float64


@pytest.mark.rounded
def test_float64_stays_strict_where_the_model_is_float64_throughout():
    """GPT-2 turns to float32 nowhere, so that a difference of 1e-9 is no rounding; a Llama's norms do."""
    for name, refused in (("gpt2", True), ("llama-grouped", False)):
        model = tiny_model(name)
        last: torch.nn.Module = model.transformer.ln_f if name == "gpt2" else model.model.norm
        last.register_forward_hook(lambda _, __, output: output * (1 + 1e-9))
        with pytest.raises(InputError, match="every edge") if refused else nullcontext():
            verified(model)


@pytest.mark.rounded
def test_overflow_in_the_models_own_float16_is_named():
    """Its weights are finite and its activations are not: the sentence says which dtypes to take."""
    model = tiny_model("llama-grouped", torch.float32)
    model.model.layers[0].mlp.down_proj.weight.mul_(5e4)
    verified(model)
    with pytest.raises(
        InputError, match=r"activations exceed 6\.55e\+04, the largest number in float16.*'bfloat16' or 'float32'"
    ):
        verified(model.half())


def test_a_model_that_learns_is_scored_and_goes_on_learning():
    """A model as from_pretrained gives it, with gradients on, is scored the same and left as it was."""
    model = tiny_model("gpt2").requires_grad_(True)
    scores = score(model, random_task(), EAPIG(steps=2))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.equal(scores.values, score(tiny_model("gpt2"), random_task(), EAPIG(steps=2)).values)


def test_experts_that_know_no_float64_are_named():
    """Hugging Face's fast product of experts raises in float64; the sentence says what to do."""
    config = copy.deepcopy(TINY["mixtral"])
    config._experts_implementation = None
    model = AutoModelForCausalLM.from_config(config).eval().double()
    with pytest.raises(InputError, match=r"float64 .*set_experts_implementation\('eager'\)"):
        verified(model)


def test_a_stream_that_is_halved_is_refused_and_loaded_without(tmp_path):
    """RWKV halves its stream every few blocks unless it is told not to, as load does."""
    config = copy.deepcopy(TINY["rwkv"])
    config.rescale_every = 1
    model = AutoModelForCausalLM.from_config(config).eval().double()
    with pytest.raises(InputError, match=r"set model\.config\.rescale_every = 0"):
        verified(model)
    model.save_pretrained(tmp_path)
    assert load(tmp_path)[0].config.rescale_every == 0
