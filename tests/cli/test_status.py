"""``status``, and how much commands say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from circuitsearch.details import details
from circuitsearch.run_log import LOG

RUN = Path("runs/mine-tiny")


def test_a_run_says_what_it_did_and_how_to_go_on(command: Callable[..., Any], task_file: Path, tiny: Path):
    """Quiet while it runs; then every stage with time and memory; of one that was killed the command that goes on."""
    said = command("find", task_file, "--model", tiny, "--memory", "2GiB", "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")
    found = json.loads(command("status", RUN, "--json").out)
    assert found["state"] == "finished" and found["sentence"] is None and found["memory"] > 0
    names = ["behaviour", "scores", "circuit", "report", "figures"]
    assert [stage["name"] for stage in found["stages"]] == names
    assert all(stage["seconds"] > 0 and stage["memory"] > 0 for stage in found["stages"])
    log = (RUN / LOG).read_text()
    (RUN / LOG).write_text(log[: log.index('"event": "started", "seconds"', log.index('"scores"'))])
    shown = command("status", RUN).out
    assert "killed" in shown and "circuitsearch find" in shown and "--memory 2GiB" in shown and "scores" in shown


def test_verbose_tells_chunks_and_memory(command: Callable[..., Any], task_file: Path, tiny: Path):
    """Of every stage; with quiet it is refused, and so is a memory that is no size or too small."""
    said = command("score", task_file, "--model", tiny, "--method", "eap", "--verbose")
    assert not details.handlers  # the next command in this process tells none
    assert said.code == 0 and "prompts of at most" in said.out and "memory at most so far" in said.out
    for wrong, sentence in (
        (("--verbose", "--quiet"), "cannot both be given"),
        (("--memory", "lots"), "is not a size of memory: write it as 4GiB"),
        (("--memory", "1MB"), "cannot run in 977 KiB"),
    ):
        said = command("score", task_file, "--model", tiny, *wrong)
        assert said.code == 2 and sentence in said.err and said.err.count("\n") == 1


def test_a_folder_that_is_no_run_is_refused(command: Callable[..., Any], tmp_path: Path):
    """In one sentence."""
    said = command("status", tmp_path)
    assert said.code == 2 and "is not the folder of a run" in said.err and said.err.count("\n") == 1
