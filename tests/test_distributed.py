"""Several processes come to what one comes to, and go on or end in a sentence when one of them is lost."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.run import get_args_parser

import circuitsearch as cs
from circuitsearch.ablation import Resample
from circuitsearch.cli import main
from circuitsearch.cli.processes import run_together
from circuitsearch.distributed import ALONE, World, joined
from circuitsearch.engine.pair import pairs
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from tests.conftest import mixed_task, tiny_model
from tests.forks import served
from tests.shared_work import eap_until, results, results_together

SCORE = ["score", "induction", "--n", "8", "--method", "exact", "--out"]
NUMBER = re.compile(r"-?\d+\.\d+(e-?\d+)?")


@dataclass
class Started:
    """The processes that torchrun would start on one machine, by the variables that it sets."""

    processes: list[BaseProcess]
    folder: Path

    @classmethod
    def of(cls, size: int, folder: Path, work: Callable[..., int | None], *arguments: Any) -> Started:
        """Each does the same work; what they print goes to files in the folder."""
        ranks = _variables_of_ranks(size)
        return cls([served(_work, folder, variables, work, *arguments) for variables in ranks], folder)

    def ended(self) -> tuple[list[int | None], str, str]:
        """Exit codes, and what all of them printed to standard output and to standard error."""
        for process in self.processes:
            process.join(300)
        output, errors = (
            "".join(file.read_text() for file in sorted(self.folder.glob(name))) for name in ("out-*", "err-*")
        )
        return [process.exitcode for process in self.processes], output, errors


def _work(folder: Path, variables: dict[str, str], work: Callable[..., int | None], *arguments: Any) -> None:
    os.environ.update(variables)
    sys.stdout, sys.stderr = ((folder / f"{name}-{variables['RANK']}").open("w") for name in ("out", "err"))
    sys.exit(work(*arguments))


def _variables_of_ranks(size: int) -> list[dict[str, str]]:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    return [address | {"RANK": str(rank)} for rank in range(size)]


def free_port() -> int:
    """A free port out of a range of this worker's own: processes bind it seconds later, when another worker may have asked, too."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in random.sample(range(20_000 + 500 * worker, 20_500 + 500 * worker), 500):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


def test_two_processes_come_to_the_results_of_one(tmp_path: Path):
    """Scores by every kind of method, circuits, ACDC, search, report and benchmark: each process has all, and both have the same bits."""
    started = Started.of(2, tmp_path, results_together, tmp_path)
    results(ALONE, tmp_path / "alone")
    codes, _, errors = started.ended()
    assert codes == [0, 0], errors
    alone, first, second = (load_file(tmp_path / name / "tensors") for name in ("alone", "rank-0", "rank-1"))
    for name, values in alone.items():
        assert torch.equal(first[name].nan_to_num(), second[name].nan_to_num()), name
        torch.testing.assert_close(first[name], values, rtol=1e-9, atol=1e-11, equal_nan=True, msg=name)
    assert torch.equal(alone["exact"], first["exact"])  # a group of edges is measured by one process
    others = [json.loads((tmp_path / name / "others.json").read_text()) for name in ("alone", "rank-0", "rank-1")]
    assert rounded(others[0]["report"]) == rounded(others[1]["report"]) == rounded(others[2]["report"])
    assert others[0]["table"] == others[1]["table"] == others[2]["table"]
    assert (
        others[1]["ran"]
        and others[2]["ran"]
        and sorted(others[1]["ran"] + others[2]["ran"]) == sorted(others[0]["ran"])
    )


def rounded(report: dict[str, Any]) -> str:
    return NUMBER.sub(lambda number: f"{float(number[0]):z.6f}", json.dumps(report))


def test_a_lost_process_ends_the_others_and_the_run_goes_on(tmp_path: Path):
    """One of two is killed while edges are measured: the other says so in a sentence. Started again, both measure the rest, to the bytes of one."""
    words = [*SCORE, str(tmp_path / "shared")]
    started = Started.of(2, tmp_path, main, words)
    journal = tmp_path / "shared.journal"
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 4):
        assert started.processes[1].is_alive()
        time.sleep(0.01)
    started.processes[1].kill()
    codes, _, errors = started.ended()
    assert codes == [1, -signal.SIGKILL]
    assert errors.count("another process of this run ended") == 1 and "Traceback" not in errors
    first = journal.read_bytes()
    again = Started.of(2, tmp_path, main, words)
    second = first
    while again.processes[0].is_alive():
        with suppress(FileNotFoundError):  # it is removed at the end
            second = journal.read_bytes()
        time.sleep(0.01)
    codes, output, errors = again.ended()
    assert codes == [0, 0] and errors == "" and output.count("1519 edges by exact effects") == 1
    assert len(second) > len(first) and second.startswith(first)
    assert main([*SCORE, str(tmp_path / "alone")]) == 0
    assert (tmp_path / "shared").read_bytes() == (tmp_path / "alone").read_bytes()


def test_gradient_scores_of_lost_processes_go_on(tmp_path: Path):
    """From the last sum of both, which the first one keeps, to the same bits; only the prompts after it are run again."""
    assert Started.of(2, tmp_path, eap_until, tmp_path, "whole", 2.0).ended()[0] == [0, 0]
    assert Started.of(2, tmp_path, eap_until, tmp_path, "broken", 0.6).ended()[0] == [1, 1]
    assert [file.name for file in tmp_path.glob("broken-*.journal-eap")] == ["broken-0.journal-eap"]
    assert Started.of(2, tmp_path, eap_until, tmp_path, "broken", 2.0).ended()[0] == [0, 0]
    for rank in (0, 1):
        assert (tmp_path / f"broken-{rank}").read_bytes() == (tmp_path / f"whole-{rank}").read_bytes()
    whole, broken = (len((tmp_path / f"{name}-prompts").read_text().split()) for name in ("whole", "broken"))
    assert whole == len(mixed_task()) and broken < 2 * whole - 2
    experiment = cs.Experiment(tiny_model("gpt2"), mixed_task())  # one process goes on from the sum of two
    alone = experiment.score("eap", journal=tmp_path / "broken-0.journal").values
    assert torch.equal(alone, cs.Scores.load(tmp_path / "whole-0").values)


def test_wrong_input_is_said_once():
    """By one of the processes, here as a shell starts them; all end with code 2."""
    command = [sys.executable, "-m", "circuitsearch", "find", "inductoin"]
    processes = [
        subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
        for variables in _variables_of_ranks(2)
    ]
    errors = "".join(process.communicate(timeout=300)[1] for process in processes)
    assert [process.returncode for process in processes] == [2, 2], errors
    assert errors.count("unknown task 'inductoin'") == 1 and "Traceback" not in errors


@pytest.mark.parametrize("size", [1, 2, 3, 12])
def test_every_prompt_belongs_to_one_process(gpt2: Any, size: int):
    """Whatever the batches are, no process has more than one prompt more than another."""
    task = mixed_task()
    described = verified(gpt2, task)
    for memory in (1, 1 << 30):
        shares = [
            [
                row
                for pair in pairs(described, task, Resample(), memory, World(rank, size))
                for row in pair.batch.rows.tolist()
            ]
            for rank in range(size)
        ]
        assert sorted(row for share in shares for row in share) == list(range(len(task)))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_launch_line():
    """torchrun takes ``--n`` for one of its own options unless ``--`` stands before the command's words."""
    line = "--nproc-per-node 2 -m circuitsearch -- find ioi --n 64"
    assert get_args_parser().parse_args(line.split()).training_script_args == ["find", "ioi", "--n", "64"]


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE must be an integer"),
        ({"WORLD_SIZE": "2"}, "RANK, MASTER_ADDR, MASTER_PORT is not set"),
    ],
)
def test_wrong_variables_are_one_sentence(environment: dict[str, str], problem: str):
    """Before anything waits for processes that nobody started."""
    with pytest.raises(InputError, match=problem), joined(environment):
        pass


@pytest.mark.parametrize("words", [["draw", "runs/x"], ["bench", "table", "runs/x"]])
def test_a_command_for_one_process(words: list[str]):
    """Is refused in several, which would write the same file."""
    with pytest.raises(InputError, match="is for one process: start it without torchrun"):
        run_together(words, lambda arguments: 0, lambda error: 1)


@pytest.mark.parametrize("variable", ["LOCAL_WORLD_SIZE", "WORLD_SIZE"])
def test_processes_of_one_machine_do_not_each_spread_a_model(variable: str, monkeypatch):
    """They would all run on the same GPU. Launchers may give one of the two numbers."""
    monkeypatch.setenv(variable, "2")
    with pytest.raises(InputError, match="start one a machine, with --nproc-per-node 1"):
        cs.load("pico", device="spread")
