"""The run folder: written whole or not at all, continued, refused where another run is in it."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import RATIO, Average
from circuitsearch.files import write_whole
from circuitsearch.graph import Graph
from circuitsearch.models.digest import weights_sha256
from circuitsearch.question import Question
from circuitsearch.run import Manifest, RunFolder, open_run
from circuitsearch.run_files import run_caption, write_figure
from circuitsearch.scores import Method, Scores
from circuitsearch.search import Refine
from circuitsearch.setup import Setup
from circuitsearch.validation import Check
from tests.setups import made_up

GRAPH = Graph(1, 1, 1)
CIRCUIT = Circuit.from_edges(GRAPH, [("embed", "m0<in>"), ("m0", "logits")])
SCORES = Scores(GRAPH, torch.zeros(GRAPH.mask.shape, dtype=torch.float64), made_up())


@dataclass(frozen=True)
class Side:
    """Stands for an experiment, of which a folder reads the setup alone."""

    setup: Setup


@dataclass(frozen=True)
class MadeUpPlan:
    """Stands for a plan."""

    setup: Setup
    held_out: Side
    faithfulness: float = 0.9
    origin: None = None
    average: Average = RATIO
    starts: tuple[Method, ...] = ()
    checks: tuple[Check, ...] = ()
    refine: Refine = field(default_factory=Refine)
    complete: None = None

    @property
    def stopping(self) -> Side:
        return self.held_out


def plan(faithfulness: float = 0.9, **others: Any) -> Any:
    return MadeUpPlan(made_up(**others), Side(made_up(prompts_sha256="h")), faithfulness)


QUESTION = Question(task="ioi")


def test_nothing_is_written_before_a_run(tmp_path: Path):
    """Looking whether the folder is free makes none."""
    RunFolder(tmp_path / "run", QUESTION)
    assert not (tmp_path / "run").exists()


def test_what_is_finished_is_recalled(tmp_path: Path):
    """In this run and in the next, and what is not finished is not."""
    for known in (False, True):
        folder = RunFolder(tmp_path / "run")
        with folder.running(plan()):
            assert (folder.recall("scores") is not None) is known
            folder.finished("scores", SCORES, 1.0)
            assert folder.recall("circuit") is None
    assert folder.recall("scores").setup == SCORES.setup


def test_a_failed_run_leaves_nothing(tmp_path: Path):
    """Neither half a file, nor a manifest, nor an empty folder, nor the folders made on the way to it."""
    folder = RunFolder(tmp_path / "deep/run")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("broken off")

    with pytest.raises(OSError), folder.running(plan()):
        folder.write("report.md", fail)
    assert not (tmp_path / "deep").exists()


def test_folders_that_were_there_stay(tmp_path: Path):
    """An empty folder of the person's own is not removed."""
    (tmp_path / "run").mkdir()
    with pytest.raises(RuntimeError), RunFolder(tmp_path / "run").running(plan()):
        raise RuntimeError
    assert (tmp_path / "run").exists() and not list((tmp_path / "run").iterdir())


def test_measurements_outlive_a_failed_run(tmp_path: Path):
    """A journal is worth keeping, and so is the manifest that says of what."""
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RuntimeError), folder.running(plan()):
        folder.journal.write_text("measured")
        raise RuntimeError
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"manifest.json", "scores.journal", "log.jsonl"}


def test_a_file_left_half_written_does_not_count(tmp_path: Path):
    """A first manifest that a kill cut short is no other run, and goes when the run begins."""
    (tmp_path / ".part-17-manifest.json").write_text("{")
    with RunFolder(tmp_path).running(plan()) as _:
        assert (tmp_path / "manifest.json").exists()
    assert not list(tmp_path.iterdir())


def test_a_second_process_is_told(tmp_path: Path):
    """While one runs in a folder, another is refused there; afterwards it is not."""
    hold = (
        "import sys, fcntl, os\n"
        "handle = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(handle, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another process is running in"), RunFolder(tmp_path).running(plan()):
            pytest.fail("both ran")
    with RunFolder(tmp_path).running(plan()):
        pass


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


def finished(path: Path, **others: Any) -> RunFolder:
    """A folder with finished scores."""
    folder = RunFolder(path, QUESTION)
    with folder.running(plan(**others)):
        folder.finished("scores", SCORES, 1.0)
    return folder


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ({"weights": "x"}, "another weights"),
        ({"prompts_sha256": "x"}, "another prompts"),
        ({"metric": "prob_diff", "metric_sha256": "x"}, "metric logit_diff, not prob_diff"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"faithfulness": 0.8}, "faithfulness 0.9, not 0.8"),
    ],
)
def test_another_run_is_refused_with_what_differs(tmp_path: Path, others: dict[str, Any], sentence: str):
    """Digests count, and the sentence says what to do."""
    finished(tmp_path)
    with (
        pytest.raises(InputError, match="already has another run") as caught,
        RunFolder(tmp_path).running(plan(**others)),
    ):
        pytest.fail("it ran")
    assert sentence in str(caught.value) and "--overwrite" in str(caught.value)


@pytest.mark.parametrize("others", [{"task": "renamed"}, {"versions": {"torch": "3"}}, {"n": 8}])
def test_names_and_versions_are_no_part_of_a_run(tmp_path: Path, others: dict[str, Any]):
    """What was measured is what counts."""
    finished(tmp_path)
    with RunFolder(tmp_path).running(plan(**others)):
        pass


def test_another_question_is_refused_before_anything_is_loaded(tmp_path: Path):
    """When the folder is looked at; the device is none of the words that count."""
    finished(tmp_path)
    RunFolder(tmp_path, QUESTION.model_copy(update={"device": "cuda"}))
    with pytest.raises(InputError, match="n None, not 64"):
        RunFolder(tmp_path, QUESTION.model_copy(update={"n": 64}))


def test_overwriting_removes_the_other_run_and_nothing_else(tmp_path: Path):
    """Files that the run did not write stay."""
    finished(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with RunFolder(tmp_path, replace_n(64), overwrite=True).running(plan(weights="x")):
        assert {file.name for file in tmp_path.iterdir()} == {"notes.txt", "manifest.json", "log.jsonl"}
    assert {file.name for file in tmp_path.iterdir()} == {"notes.txt"}


def replace_n(n: int) -> Question:
    return QUESTION.model_copy(update={"n": n})


def test_the_manifest_is_read_back(tmp_path: Path):
    """What is written is what is read."""
    folder = finished(tmp_path)
    assert Manifest.load(tmp_path / "manifest.json") == folder.manifest
    assert folder.manifest.question == QUESTION


def test_a_manifest_names_files_of_its_folder_only(tmp_path: Path):
    """A path that leads elsewhere is refused, so that nothing there can be read or removed."""
    finished(tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace('"scores.safetensors"', '"../elsewhere"'))
    with pytest.raises(InputError, match="is not the manifest of a run"):
        RunFolder(tmp_path)


def test_an_unfinished_run_cannot_be_opened(tmp_path: Path):
    """The sentence says what is missing."""
    finished(tmp_path)
    with pytest.raises(InputError, match=r"not finished \(behaviour.json, circuit.json, report.json\)"):
        open_run(tmp_path)


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


def test_a_circuit_too_large_for_a_page_is_drawn_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A search that took an hour must not end without a figure; the caption says so, and the DOT file has all edges."""
    monkeypatch.setattr("circuitsearch.figures.plan.MOST", 1)
    monkeypatch.setattr("circuitsearch.run_files.DRAWN", 1)
    for suffix, n_edges in (("svg", 1), ("dot", len(CIRCUIT))):
        write_figure(CIRCUIT, tmp_path / f"circuit.{suffix}")
        drawn = html.unescape((tmp_path / f"circuit.{suffix}").read_text())
        assert sum("->".join(edge) in drawn for edge in CIRCUIT.edges) == n_edges
    assert run_caption(CIRCUIT, None).endswith("The 1 strongest of its edges are drawn.")
