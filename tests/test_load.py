"""load(): from the bundle and from folders, quiet, ready to be explained. (What it refuses: cli/test_bad_input.py.)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import circuitsearch as cs
from circuitsearch.models.load import locate
from circuitsearch.models.weights import is_finite


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


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "../other/model.safetensors", "/etc/model.safetensors", "gone.safetensors"]
)
def test_an_index_names_safetensors_in_its_folder_only(folder: Path, name: str):
    """Other formats and other folders are not read, and a file that is not there is named."""
    index = {"metadata": {}, "weight_map": {"transformer.wte.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(
        cs.InputError, match=r"index\.json names '.*(not a safetensors file in its folder|does not exist)"
    ):
        cs.load(folder)


@pytest.mark.parametrize("change", [{"n_head": 3}, {"n_layer": "two"}, {"activation_function": "none"}, {"n_embd": -8}])
def test_whatever_transformers_raises_is_one_sentence(folder: Path, change: dict[str, object]):
    """A config.json with values that no model has."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(cs.InputError) as caught:
        cs.load(folder)
    assert len(str(caught.value)) <= 300 and "gpt2" in str(caught.value)


def test_too_little_memory_is_named_as_that(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever's allocator says so."""

    def allocate(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", allocate)
    with pytest.raises(cs.InputError, match=r"memory ran out while .* was loaded: give dtype='bfloat16'"):
        cs.load(folder)


@pytest.mark.parametrize("change", [{"n_embd": 8000, "n_head": 2}, {"vocab_size": 10**9}, {"n_layer": 10**7}])
def test_a_config_of_a_far_larger_model_is_refused_before_it_is_allocated(
    folder: Path, change: dict[str, int], monkeypatch: pytest.MonkeyPatch
):
    """The headers of the weights say so; transformers is not asked to load it."""
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(cs.InputError, match=r"gpt2 is of a far larger model than its weights, 1,\d\d\d numbers in 16"):
        cs.load(folder)


@pytest.mark.parametrize(("bad", "finite"), [(0.0, True), (torch.nan, False), (torch.inf, False), (-torch.inf, False)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_what_is_finite(bad: float, finite: bool, dtype: torch.dtype):
    """One number that is not, anywhere; whole numbers and no numbers are."""
    tensor = torch.arange(12.0).reshape(3, 4).to(dtype)
    tensor[1, 2] = bad
    assert is_finite(tensor) is finite
    assert is_finite(torch.zeros(0, 4)) and is_finite(torch.tensor([1, 2]))
