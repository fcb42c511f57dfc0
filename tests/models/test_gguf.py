"""GGUF files: read as the model they were written from, dequantised once, and refused in one sentence where they are broken."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import circuitsearch as cs
from circuitsearch.engine.estimate import estimate
from circuitsearch.errors import InputError
from circuitsearch.models.cache import cache_folder, made_whole
from circuitsearch.models.gguf import origin_of
from circuitsearch.models.load import locate
from tests.models.gguf_files import BYTES, write_llama

VOCABULARY = 320
IDS = torch.arange(7)[None] * 11 % VOCABULARY
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "circuitsearch"


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    """A random Llama whose rows are as long as blocks of quantised numbers are."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, initializer_range=0.2,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def file(llama: LlamaForCausalLM, tmp_path: Path) -> Path:
    """The Llama as a GGUF file in float32."""
    return write_llama(tmp_path / "tiny.gguf", llama)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def left_in(cache: Path) -> list[Path]:
    """Files in the cache."""
    return [file for file in cache.rglob("*") if file.is_file()]


# ---- what is read


def test_a_file_is_the_model_it_was_written_from(llama: LlamaForCausalLM, file: Path):
    """In float32 to the last bit, with the permutation of queries and keys undone."""
    model, _ = cs.load(file)
    assert torch.equal(logits(model), logits(llama))


def test_quantised_weights_are_read_as_their_format_says(llama: LlamaForCausalLM, tmp_path: Path):
    """Q8_0 by hand: blocks of 32 numbers, each the nearest whole multiple of its block's largest over 127, in float16."""
    model, _ = cs.load(write_llama(tmp_path / "tiny.gguf", llama, "Q8_0"))
    weight = llama.get_parameter("model.layers.1.mlp.up_proj.weight").detach()
    blocks = weight.reshape(-1, 32)
    step = blocks.abs().amax(1, keepdim=True) / 127
    expected = ((blocks / step).round() * step.half().float()).reshape(weight.shape)
    torch.testing.assert_close(model.model.layers[1].mlp.up_proj.weight, expected, atol=1e-7, rtol=0)


def test_the_tokenizer_comes_from_the_file(file: Path):
    """With its merges and the beginning-of-text token, which this file adds."""
    _, tokenizer = cs.load(file)
    assert tokenizer("x the").input_ids == [BYTES_AND_MERGES.index(token) for token in ("<s>", "x", "Ġthe")]


BYTES_AND_MERGES = [*BYTES, "Ġt", "he", "Ġthe", "<s>"]


def test_a_file_without_a_tokenizer(llama: LlamaForCausalLM, tmp_path: Path):
    """Tasks of token ids need none."""
    assert cs.load(write_llama(tmp_path / "tiny.gguf", llama, tokens=False))[1] is None


def test_a_folder_with_one_gguf(llama: LlamaForCausalLM, file: Path):
    """It is read like the file, unless it has safetensors; of several files one must be named."""
    assert torch.equal(logits(cs.load(file.parent)[0]), logits(llama))
    shutil.copy(file, file.with_name("other.gguf"))
    with pytest.raises(InputError, match=r"has 2 GGUF files: give one of them, as in .*other\.gguf"):
        cs.load(file.parent)
    llama.save_pretrained(file.parent)
    assert locate(file.parent).gguf is None


def test_it_is_dequantised_once(file: Path, cache: Path):
    """The second time the cache is read, which depends on the file's content and not on its name."""
    cs.load(file)
    before = {made: made.stat().st_mtime_ns for made in left_in(cache)}
    moved = file.rename(file.with_name("moved.gguf"))
    cs.load(moved)
    assert before and before == {made: made.stat().st_mtime_ns for made in left_in(cache)}
    assert not list(cache.rglob(".part-*"))


def test_the_origin_is_known(file: Path):
    """A model from a file has its name, digest and licence; another model has none."""
    origin = origin_of(cs.load(file)[0])
    assert origin is not None and (origin.file, origin.license) == ("tiny.gguf", "cc0-1.0")
    assert origin_of(cs.load("pico")[0]) is None


def test_the_estimate_reads_no_weights(file: Path, cache: Path, llama: LlamaForCausalLM):
    """Nothing is dequantised for it."""
    assert estimate(file, "cpu").parameters == sum(weight.numel() for weight in llama.parameters())
    assert left_in(cache) == []


# ---- what is refused


def refused(file: Path, cache: Path, match: str) -> None:
    """One sentence, and nothing is left in the cache."""
    with pytest.raises(InputError, match=match) as caught:
        cs.load(file)
    assert "\n" not in str(caught.value)
    assert left_in(cache) == []


@pytest.mark.parametrize("kept", [0, 3, 20, 300, 5000, -1])
def test_a_file_that_is_cut_off(file: Path, cache: Path, kept: int):
    """Anywhere: in the magic, the counts, the metadata, the table of tensors, the tensors."""
    file.write_bytes(file.read_bytes()[:kept])
    refused(
        file, cache, r"tiny\.gguf (has .* bytes, its tensors need .*: it is cut off|is not a GGUF file, or its start)"
    )


def test_a_file_with_a_part_twice(file: Path, cache: Path):
    """It is longer than its tensors."""
    content = file.read_bytes()
    file.write_bytes(content + content[-4096:])
    refused(file, cache, "joined from the wrong parts")


@pytest.mark.parametrize(
    ("place", "value"), [(0, 0x47), (4, 9), (8, 0xFF), (15, 0xFF), (16, 0xFF), (24, 0xFF), (31, 0x7F)]
)
def test_a_file_with_a_damaged_start(file: Path, cache: Path, place: int, value: int):
    """Another magic, version, number of tensors or values, or length of a text."""
    content = bytearray(file.read_bytes())
    content[place] = value ^ (content[place] == value)
    file.write_bytes(content)
    refused(file, cache, "is not a GGUF file|damaged")


def test_a_part_of_a_split_model(llama: LlamaForCausalLM, tmp_path: Path, cache: Path):
    """llama.cpp's own splits say how many they are."""
    refused(
        write_llama(tmp_path / "one.gguf", llama, parts=3), cache, r"is one of 3 parts .* join them with llama-gguf"
    )


def test_an_unknown_architecture(llama: LlamaForCausalLM, tmp_path: Path, cache: Path):
    """By name, as transformers says it."""
    refused(
        write_llama(tmp_path / "odd.gguf", llama, architecture="oddformer"),
        cache,
        r"odd\.gguf cannot be read .*oddformer",
    )


@pytest.mark.parametrize(
    ("kind", "match"),
    [(99, r"unknown type 99 \(blk\.0\.ffn_up\.weight\).*take another"), (26, r"cannot be read .*I32.*take another")],
)
def test_a_quantisation_that_cannot_be_read(file: Path, cache: Path, kind: int, match: str):
    """A type of tensors that the format does not have, or that transformers' reader does not dequantise."""
    content, name = file.read_bytes(), b"blk.0.ffn_up.weight"
    place = content.index(name) + len(name) + 4 + 2 * 8  # after the number of dimensions and the dimensions
    file.write_bytes(content[:place] + kind.to_bytes(4, "little") + content[place + 4 :])
    refused(file, cache, match)


def test_a_missing_tensor(llama: LlamaForCausalLM, file: Path, cache: Path):
    """transformers would fill it with random numbers."""
    file.write_bytes(file.read_bytes().replace(b"blk.1.ffn_down.weight", b"blk.1.ffn_dawn.weight"))
    refused(file, cache, r"lacks weights.*layers\.1\.mlp\.down_proj")


@pytest.mark.parametrize("package", ["gguf", "accelerate"])
def test_the_extra_is_not_installed(file: Path, cache: Path, package: str, monkeypatch: pytest.MonkeyPatch):
    """The sentence says how to install it."""
    monkeypatch.setattr("circuitsearch.models.gguf.find_spec", lambda name: None if name == package else name)
    refused(file, cache, r"pip install 'circuitsearch\[gguf\]'")


def test_no_room_on_the_disk(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """It is said before anything is written, with what is needed."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(1 << 40, 1 << 40, 1 << 20))
    refused(file, cache, r"has 1 MiB free, and 64 MiB are needed: free some space, or set XDG_CACHE_HOME")


def test_the_disk_is_full_meanwhile(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """What was written is removed."""
    save = LlamaForCausalLM.save_pretrained

    def fill(model, folder, **options):
        save(model, folder, **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", fill)
    refused(file, cache, "the cache cannot be written .No space left on device")


def test_a_cache_that_is_a_file(file: Path, cache: Path):
    """One sentence, whatever the system calls it."""
    cache.parent.mkdir()
    cache.write_text("mine")
    with pytest.raises(InputError, match="the cache cannot be written"):
        cs.load(file)


def test_another_file_is_not_a_model(tmp_path: Path):
    """Neither a folder nor GGUF."""
    other = tmp_path / "model.bin"
    other.write_bytes(b"1234")
    with pytest.raises(InputError, match="is a file, and not in GGUF"):
        locate(other)


# ---- the cache


def test_the_cache_is_where_the_system_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """XDG_CACHE_HOME if it is a full path, else ~/.cache."""
    assert cache_folder() == tmp_path / "cache" / "circuitsearch"
    monkeypatch.setenv("HOME", str(tmp_path))
    for other in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", other)
        assert cache_folder() == tmp_path / ".cache" / "circuitsearch"


def test_two_processes_make_the_same_folder(tmp_path: Path):
    """The first stays, and the second is content with it."""
    target = tmp_path / "made"
    with made_whole(target, 1) as slower:
        (slower / "who").write_text("second")
        with made_whole(target, 1) as faster:
            (faster / "who").write_text("first")
    assert (target / "who").read_text() == "first" and list(tmp_path.iterdir()) == [target]
