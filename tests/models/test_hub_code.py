"""A folder of weights does not decide what code runs."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.models.hub_code import check_no_hub_code
from tests.conftest import TINY, tiny_model

FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])  # the OCP microscaling standard


def with_config(folder: Path, **entries) -> Path:
    """The folder with more in its config.json."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | entries))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny Llama as its author would save it."""
    tiny_model("llama-grouped", torch.float32).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", ["attn_implementation", "_attn_implementation", "text_config"])
@pytest.mark.parametrize("kernel", ["someone/attention", "someone/attention@main:layer", "nobody-knows-this"])
def test_attention_of_a_hub_is_refused(place: str, kernel: str):
    """By any key that transformers reads, and in a part of the configuration."""
    config = {place: {"attn_implementation": {"": kernel}} if place == "text_config" else kernel}
    with pytest.raises(InputError, match=f"asks for the attention '{kernel}'.* 'eager' or 'sdpa'"):
        check_no_hub_code({"model_type": "llama", **config}, "config.json")


@pytest.mark.parametrize("name", ["flash_attention_2", "flash_attention_3", "flash_attention_4"])
def test_a_package_that_is_not_installed_is_not_replaced_by_a_kernel(name: str):
    """transformers would take one from the hub, if it can."""
    with pytest.raises(InputError, match=name):
        check_no_hub_code({"attn_implementation": name}, "config.json")


def test_load_refuses_it_before_any_weight_is_read(folder: Path):
    """With one sentence that says what to write; attention of its own is read."""
    assert cs.load(with_config(folder, attn_implementation="eager"))[0].config._attn_implementation == "eager"
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"config\.json of .* asks for the attention 'someone/attention'"):
        cs.load(with_config(folder, attn_implementation="someone/attention"))


def test_weights_that_need_kernels_are_refused(folder: Path):
    """With what to do instead."""
    with pytest.raises(InputError, match=r"quantised by eetq, .* bitsandbytes or torchao"):
        cs.load(with_config(folder, quantization_config={"quant_method": "eetq"}))


def test_mxfp4_weights_are_read_as_numbers(tmp_path: Path):
    """Experts in four bits, as gpt-oss has them, equal the standard's definition, and the model can be explained."""
    config = copy.deepcopy(next(one for one in TINY.values() if one.model_type == "gpt_oss"))
    config.hidden_size, config.intermediate_size = 64, 32
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(tmp_path)
    weights, expected = load_file(tmp_path / "model.safetensors"), {}
    for name in [name for name in weights if "experts" in name and name.endswith("_proj")]:
        experts, rows, columns = weights.pop(name).shape
        blocks = torch.randint(0, 256, (experts, columns, rows // 32, 16), dtype=torch.uint8)
        scales = torch.randint(120, 126, (experts, columns, rows // 32), dtype=torch.uint8)
        weights |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        numbers = FP4[torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2).long()] * 2.0 ** (
            scales[..., None] - 127.0
        )
        expected[name] = numbers.flatten(-2).mT.bfloat16()  # (experts, rows, columns)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model, _ = cs.load(with_config(tmp_path, quantization_config={"quant_method": "mxfp4"}))
    own = dict(model.named_parameters())
    assert expected
    assert all(torch.equal(own[name], value) for name, value in expected.items())
