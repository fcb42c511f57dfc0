"""What counts as a node, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from circuitsearch.granularity import Granularity
from circuitsearch.scores import Scores


@pytest.fixture
def spanned(write: Any, rows: list[dict[str, Any]]) -> Path:
    """The task with two spans in every row."""
    return write(*({**row, "spans": {"S": [2, 3], "END": 5}} for row in rows))


@pytest.mark.parametrize(
    ("options", "granularity"),
    [
        (("--spans", "S,END"), Granularity(spans=("S", "END"))),
        (("--positions", 6), Granularity(positions=6)),
        (("--merge-heads", "--neurons", "0,1"), Granularity(merged_heads=True, neurons=(0, 1))),
    ],
)
def test_score_takes_it(command: Any, spanned: Path, tiny: Path, options: tuple[Any, ...], granularity: Granularity):
    """Every option arrives in the scores."""
    said = command("score", spanned, "--model", tiny, "--method", "eap", *options)
    assert said.code == 0, said.err
    assert Scores.load("scores.safetensors").graph.granularity == granularity


@pytest.mark.slow
def test_a_run_of_spans_is_found_validated_and_found_again(command: Any, spanned: Path, tiny: Path):
    """The manifest keeps it; validate and --from read it from there."""
    said = command(
        "find", spanned, "--model", tiny, "--recheck", 1, "--spans", "S,END", "--faithfulness", 0.8, "--out", "run"
    )
    assert said.code == 0, said.err
    circuit = json.loads(Path("run/circuit.json").read_text())
    assert all("@" in edge for edge in circuit["edges"])
    assert Granularity(**json.loads(Path("run/manifest.json").read_text())["setup"]["granularity"]["knobs"]).spans == (
        "S",
        "END",
    )
    assert command("validate", "run", spanned, "--model", tiny).code == 0
    again = command("find", "--from", "run/manifest.json", "--out", "again")
    assert again.code == 0 and "the same circuit" in again.out
    other = command("find", spanned, "--model", tiny, "--recheck", 0, "--out", "run")
    assert other.code == 2 and "granularity" in other.err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--spans", "S,IO"), "no span 'IO': it has S, END"),
        (("--positions", 9), "no prompt of 9 tokens: its prompts have 6"),
        (("--neurons", "one"), "--neurons takes the numbers of blocks"),
        (("--neurons", "7"), "there is no block 7"),
        (("--spans", "S", "--positions", 6), "not both"),
        (("--experts",), "no mixture of experts"),
    ],
)
def test_what_does_not_fit_is_said(command: Any, spanned: Path, tiny: Path, options: tuple[Any, ...], problem: str):
    """One sentence, no traceback."""
    said = command("score", spanned, "--model", tiny, *options)
    assert said.code == 2 and problem in " ".join(said.err.split()) and "Traceback" not in said.err
