"""The run folder: written whole or not at all, taken up again, refused where it is another's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.files import write_whole
from circuitsearch.graph import Graph
from circuitsearch.models.digest import weights_sha256
from circuitsearch.run import Choices, Manifest, RunFolder

CHOICES = Choices(
    model="pico",
    weights_sha256="a",
    task="ioi",
    task_sha256="b",
    n=4,
    seed=0,
    train_fraction=0.5,
    method="EAP()",
    ablation="resample",
    metric="logit_diff",
    faithfulness=0.9,
    dtype="float32",
    device="cpu",
)
CIRCUIT = Circuit.from_edges(Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")])


def test_nothing_is_written_before_it_is_opened(tmp_path: Path):
    """Looking whether the folder is free makes none."""
    RunFolder.at(tmp_path / "run", CHOICES)
    assert not (tmp_path / "run").exists()


def test_a_step_is_done_once(tmp_path: Path):
    """The second time it is read back, in this run or the next."""
    made = []

    def make() -> Circuit:
        made.append(1)
        return CIRCUIT

    for _ in range(2):
        folder = RunFolder.at(tmp_path / "run", CHOICES)
        with folder.open():
            assert folder.once("circuit.json", Circuit, make).edges == CIRCUIT.edges
    assert made == [1]


def test_a_failed_step_leaves_nothing(tmp_path: Path):
    """Neither a half file, nor an empty folder, nor the folders made on the way to it."""
    folder = RunFolder.at(tmp_path / "deep/run", CHOICES)

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("broken off")

    with pytest.raises(OSError), folder.open():
        folder.write("report.md", fail)
    assert not (tmp_path / "deep").exists()


def test_folders_that_were_there_stay(tmp_path: Path):
    """An empty folder of the person's own is not taken away."""
    (tmp_path / "run").mkdir()
    with pytest.raises(RuntimeError), RunFolder.at(tmp_path / "run", CHOICES).open():
        raise RuntimeError
    assert (tmp_path / "run").exists() and not list((tmp_path / "run").iterdir())


def test_write_whole_keeps_the_old_file_until_the_new_one_is_whole(tmp_path: Path):
    """A reader never meets half a file."""
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("ne")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(file, fail)
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
    write_whole(file, lambda path: path.write_text("new"))
    assert file.read_text() == "new"


def test_safetensors_errors_are_those_of_the_disk(tmp_path: Path):
    """The library's own error for a full disk becomes the system's."""

    def full(path: Path) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError) as error:
        write_whole(tmp_path / "a.safetensors", full)
    assert error.value.errno == 28


def test_files_are_as_readable_as_others(tmp_path: Path):
    """Every file has the mode that the umask gives, whoever wrote it."""

    def private(path: Path) -> None:
        path.write_text("")
        path.chmod(0o600)

    write_whole(tmp_path / "a", private)
    (tmp_path / "b").touch()
    assert os.stat(tmp_path / "a").st_mode == os.stat(tmp_path / "b").st_mode


def test_another_run_is_refused_with_what_differs(tmp_path: Path):
    """The sentence names the choices; where a model or a task file lies is none of them."""
    folder = RunFolder.at(tmp_path, CHOICES)
    with folder.open():
        folder.write("circuit.json", CIRCUIT.save)
    with pytest.raises(InputError, match="seed 0 instead of 1; method EAP"):
        RunFolder.at(tmp_path, CHOICES.model_copy(update={"seed": 1, "method": "Exact()"}))
    RunFolder.at(tmp_path, CHOICES.model_copy(update={"model": "elsewhere", "task_file": "/moved.jsonl"}))


def test_the_manifest_is_read_back(tmp_path: Path):
    """What is written is what is read."""
    folder = RunFolder.at(tmp_path, CHOICES)
    with folder.open():
        folder.write("circuit.json", CIRCUIT.save)
    assert Manifest.load(tmp_path / "manifest.json") == folder.manifest


def test_weights_are_told_apart():
    """Any change of value, dtype, shape or name changes the hash; the order of modules and the object do not."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    same = torch.nn.Linear(3, 2)
    same.load_state_dict(layer.state_dict())
    digest = weights_sha256(layer)
    assert weights_sha256(same) == digest
    with torch.no_grad():
        same.weight[0, 0] += 1e-6
    others = [same, torch.nn.Sequential(layer), layer.double()]
    assert len({digest, *map(weights_sha256, others)}) == 4
    assert weights_sha256(layer.to(torch.bfloat16)) != digest
