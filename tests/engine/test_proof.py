"""Models that cannot be read as described are refused."""

from __future__ import annotations

import pytest
import torch
from transformers import OPTConfig, OPTForCausalLM

from circuitsearch.engine.proof import proven
from circuitsearch.errors import InputError
from circuitsearch.methods import EAPIG
from circuitsearch.scores import score
from circuitsearch.task import Task
from tests.conftest import random_task, tiny_model


def test_an_unknown_family_is_refused_by_name():
    """The sentence lists the families that are known."""
    model = OPTForCausalLM(
        OPTConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_dim=8, word_embed_proj_dim=8
        )
    )
    with pytest.raises(InputError, match=r"unknown model family 'opt'.*gpt2"):
        proven(model.eval())


def test_something_that_is_no_model_is_refused():
    """A thing without a config is named by its type."""
    with pytest.raises(InputError, match="Linear is not a Hugging Face"):
        proven(torch.nn.Linear(2, 2))


def test_training_mode_is_refused():
    """Dropout would change every run; the model is not switched behind the user's back."""
    model = tiny_model("gpt2").train()
    with pytest.raises(InputError, match=r"model\.eval\(\)"):
        proven(model)
    assert model.training


@pytest.mark.parametrize("where", ["attn", "mlp"])
def test_a_write_that_the_description_misses_is_caught(where):
    """A block that adds something else to the stream fails the proof, and the difference is measured."""
    model = tiny_model("gpt2")
    block = model.transformer.h[1]
    own = block.attn.resid_dropout if where == "attn" else block.ln_2
    own.register_forward_hook(lambda module, args, output: output * 1.01)
    with pytest.raises(InputError, match=r"refuses it rather than give wrong scores"):
        proven(model)


def test_nan_in_the_weights_is_caught():
    """Logits that are not finite are refused before anything is computed."""
    model = tiny_model("gpt2")
    model.transformer.h[0].mlp.c_fc.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        proven(model)


def test_a_prompt_longer_than_the_model_reads_is_refused(gpt2):
    """The row and both lengths are named."""
    task = Task.from_ids([[1] * 33], [[1] * 32 + [2]], [1], [2])
    with pytest.raises(InputError, match="row 1: the prompt has 33 tokens, more than the 32 positions"):
        proven(gpt2, task)


def test_reduced_precision_is_accepted():
    """A bfloat16 model passes: its rounding is not mistaken for a wrong description."""
    assert proven(tiny_model("llama-grouped", torch.bfloat16)).dtype == torch.bfloat16


def test_a_model_that_learns_is_scored_and_goes_on_learning():
    """A model as from_pretrained gives it, with gradients on, is scored the same and left as it was."""
    model = tiny_model("gpt2").requires_grad_(True)
    scores = score(model, random_task(), EAPIG(steps=2))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.equal(scores.values, score(tiny_model("gpt2"), random_task(), EAPIG(steps=2)).values)
