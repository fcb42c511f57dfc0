"""``circuitsearch specificity``: the circuits of several runs on each other's held-out prompts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.cli import main
from circuitsearch.run import Manifest

specificity_module = import_module("circuitsearch.validation.specificity")

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def found(tiny_model: Any, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of one model on two halves of its task file, ``one`` and ``two``."""
    place = tmp_path_factory.mktemp("runs")
    tiny_model.save_pretrained(place / "tiny")
    for name, some in (("one", rows[:8]), ("two", rows[8:])):
        file = write_rows(place / f"{name}.jsonl", some)
        code = main(["find", str(file), "--model", str(place / "tiny"), "--out", str(place / name), "--passes", "1"])
        assert code == 0
    return place


@pytest.fixture
def runs(found: Path, command: Command) -> list[Path]:
    """Copies of the runs, one's own to change."""
    return [Path(shutil.copytree(found / name, name)) for name in ("one", "two")]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_tasks_that_are_finished_are_not_measured_again(
    command: Command, runs: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """After an interruption the file beside the folder has the first task; it goes when the folder is written."""
    assert command("specificity", *runs, "--out", "whole").code == 0
    measured = specificity_module._measured

    def interrupted(name: str, *others: Any) -> Any:
        if name == "two":
            raise KeyboardInterrupt
        return measured(name, *others)

    monkeypatch.setattr(specificity_module, "_measured", interrupted)
    assert command("specificity", *runs, "--out", "both").code == 130
    assert Path("both.steps").exists() and not Path("both").exists()
    monkeypatch.setattr(specificity_module, "_measured", lambda name, *others: _only("two", name, measured, others))
    assert command("specificity", *runs, "--out", "both").code == 0
    assert not Path("both.steps").exists()
    for file in Path("whole").iterdir():
        assert (Path("both") / file.name).read_bytes() == file.read_bytes()


def _only(expected: str, name: str, measured: Callable[..., Any], others: tuple[Any, ...]) -> Any:
    assert name == expected
    return measured(name, *others)


def test_the_matrix_is_printed_and_written(command: Command, runs: list[Path]):
    """A circuit on its own task has the faithfulness that its run reported, on the same held-out prompts."""
    said = command("specificity", *runs, "--out", "both", "--level", 0.7)
    assert said.code == 0, said.err
    assert "faithfulness of circuits (rows) on tasks (columns)" in said.out and "specificity" in said.out
    assert sorted(path.name for path in Path("both").iterdir()) == [
        "specificity.json",
        "specificity.md",
        "specificity.svg",
    ]
    found = cs.Specificity.load("both/specificity.json")
    assert found.level == 0.7 and found.tasks == ("one", "two")
    for run in runs:
        own, report = found[run.name, run.name], cs.Report.load(run / "report.json")
        assert own.faithfulness.value == pytest.approx(report.faithfulness.value, abs=1e-6)
        assert (own.n, own.n_seen) == (report.n, 0)
    assert Path("both/specificity.md").read_text(encoding="utf-8") == found.to_markdown()


def test_wrong_runs_are_refused(command: Command, runs: list[Path], tmp_path: Path):
    """One that was made from Python, of another model, given twice, or whose prompts are others now."""
    assert "given twice" in command("specificity", runs[0], runs[0]).err
    assert command("specificity", tmp_path).code == 2
    path = runs[1] / "manifest.json"
    manifest = Manifest.load(path)
    changes = [
        ({"question": None}, "made from Python"),
        ({"setup": manifest.setup.model_copy(update={"weights": "w"})}, "of two: give runs of one"),
        ({"held_out_sha256": "p"}, "cannot be written again"),
    ]
    for changed, sentence in changes:
        path.write_text(manifest.model_copy(update=changed).model_dump_json(), encoding="utf-8")
        said = command("specificity", *runs)
        assert said.code == 2 and sentence in said.err
