"""load(): from the bundle and from folders, quiet, ready to be explained. (What it refuses: cli/test_bad_input.py.)"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import circuitsearch as cs
from circuitsearch.models.load import locate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A random GPT-2, saved in float16."""
    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=20, n_positions=8, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).half().save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


def test_pico_comes_with_its_tokenizer():
    """The bundled model, from any working folder."""
    model, tokenizer = cs.load("pico")
    assert len(cs.tasks.ioi(tokenizer, n=8)) == 8
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())


def test_a_folder_without_tokenizer(folder: Path):
    """Token ids need none, so None is given."""
    model, tokenizer = cs.load(folder)
    assert tokenizer is None and model.config.model_type == "gpt2"


def test_dtype_is_the_stored_one_or_the_one_asked_for(folder: Path):
    """By name or as torch names it."""
    assert cs.load(folder)[0].dtype == torch.float16
    assert cs.load(folder, dtype="float64")[0].dtype == torch.float64
    assert cs.load(str(folder), dtype=torch.float32)[0].dtype == torch.float32


def test_sharded_weights(tmp_path: Path):
    """Weights in several files are read as one model."""
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=2, hidden_size=16, intermediate_size=16, num_attention_heads=2, vocab_size=30
    )
    saved = LlamaForCausalLM(config).eval()
    saved.save_pretrained(tmp_path, max_shard_size="4KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(cs.load(tmp_path)[0](ids).logits, saved(ids).logits)


def test_it_is_quiet(folder: Path, capfd: pytest.CaptureFixture[str]):
    """No bars, no notes; and transformers' own settings are as before."""
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    cs.load(folder)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_folder_goes_before_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of the working folder is read without asking the hub."""
    monkeypatch.chdir(folder.parent)
    assert locate("gpt2").folder == folder


def test_pickled_weights_are_not_read(folder: Path):
    """Only safetensors are: a pickle may hold code."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(cs.InputError, match="no weights"):
        cs.load(folder)
