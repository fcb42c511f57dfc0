"""The log of a run, and the status that is read from it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from circuitsearch.errors import InputError
from circuitsearch.run_log import LOG, RunLog, logged
from circuitsearch.run_status import status


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def test_a_run_is_alive_while_it_writes_and_finished_when_it_says_so(tmp_path: Path):
    """With stage, percent, the command that continues it, and the process."""
    log = RunLog(tmp_path, "circuitsearch find ioi")
    with log.running():
        log.started("scores")
        log.step("scores", 1, 4)
        found = status(tmp_path)
        assert (found.state, found.stage, found.percent, found.process) == ("running", "scores", 25.0, os.getpid())
        assert found.command == "circuitsearch find ioi" and found.left is not None and found.memory
        log.finished("scores", 2.5)
    found = status(tmp_path)
    assert found.state == "finished" and found.stage is None and found.sentence is None
    assert [(stage.name, stage.seconds) for stage in found.stages] == [("scores", 2.5)]


@pytest.mark.parametrize(
    ("error", "state", "sentence"),
    [
        (InputError("no such prompt"), "failed", "no such prompt"),
        (KeyboardInterrupt(), "stopped", "it was stopped (Ctrl-C)"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
    ],
)
def test_an_early_end_is_told(tmp_path: Path, error: BaseException, state: str, sentence: str):
    """In the words of the error, which goes on."""
    with pytest.raises(type(error)), RunLog(tmp_path).running():
        raise error
    assert (status(tmp_path).state, status(tmp_path).sentence) == (state, sentence)


def test_a_killed_process_says_nothing_and_the_next_goes_on(tmp_path: Path):
    """A torn last line is left out; the time of all processes counts, and a stage that is read back keeps its own."""
    log = RunLog(tmp_path)
    with log.running():
        log.started("scores")
        log.finished("scores", 7.0)
    whole = [line for line in (tmp_path / LOG).read_text().splitlines() if '"ended"' not in line]
    (tmp_path / LOG).write_text("\n".join([*whole, '{"time": "2026-']))
    assert status(tmp_path).state == "killed" and status(tmp_path).stage == "scores"
    with log.running():
        log.finished("scores", None)
    found = status(tmp_path)
    assert found.state == "finished" and found.stages[0].seconds == 7.0
    assert found.seconds == pytest.approx(
        sum(json.loads(line)["seconds"] for line in whole[-1:]) + lines_after(tmp_path)
    )


def lines_after(folder: Path) -> float:
    return json.loads((folder / LOG).read_text().splitlines()[-1])["seconds"]


def test_steps_are_written_once_a_percent(tmp_path: Path):
    """However often they are told."""
    log = RunLog(tmp_path)
    with log.running():
        log.started("scores")
        for done in range(10_000):
            log.step("scores", done, 10_000)
    assert sum(line["event"] == "step" for line in lines(tmp_path)) == 100


def test_one_process_writes(tmp_path: Path):
    """A second one is refused."""
    with (
        RunLog(tmp_path).running(),
        pytest.raises(InputError, match="another process is running"),
        RunLog(tmp_path).running(),
    ):
        pass


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    """Neither an empty one, nor one with a file of that name."""
    with pytest.raises(InputError, match="is not the folder of a run"):
        status(tmp_path)
    (tmp_path / LOG).write_text("notes\n")
    with pytest.raises(InputError, match="is not the log of a run"):
        status(tmp_path)


def test_work_of_one_stage_is_logged_if_it_leaves_something(tmp_path: Path):
    """Its progress too; where it fails and leaves nothing, no folder is made."""
    told: list[tuple[int, int]] = []
    with pytest.raises(InputError), logged(tmp_path / "a/b", "", "cells", print):
        raise InputError("nothing was asked for")
    assert not (tmp_path / "a").exists()
    with logged(tmp_path / "a/b", "", "cells", lambda *step: told.append(step)) as progress:
        (tmp_path / "a/b/table").write_text("")
        progress(1, 2)
    assert told == [(1, 2)] and [line["event"] for line in lines(tmp_path / "a/b")][2] == "step"
    with pytest.raises(InputError, match="is a file"), logged(tmp_path / "a/b/table", "", "cells", print):
        pass


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path):
    """In the folder and those in it, when the next process begins to write there."""
    left = [tmp_path / ".part-1-report.json", tmp_path / "circuits" / ".part-1-parts-1.json"]
    whole = tmp_path / "circuits" / "parts-1.json"
    whole.parent.mkdir()
    for file in (*left, whole):
        file.write_text("{}")
    with RunLog(tmp_path).running():
        assert whole.exists() and not any(file.exists() for file in left)
