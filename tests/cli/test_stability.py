"""``circuitsearch stability``: what it prints and writes, how it goes on, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs

Command = Callable[..., Any]


@pytest.fixture
def stability(command: Command, task_file: Path, tiny: Path) -> Callable[..., Any]:
    """Search twice, in two halves of the prompts, in one pass."""
    return lambda *more: command(
        "stability",
        task_file,
        "--model",
        tiny,
        "--vary",
        "Parts(count=2)",
        "--passes",
        "1",
        "--faithfulness",
        "0.5",
        *more,
    )


def test_it_prints_a_table_and_writes_a_folder(stability: Callable[..., Any]):
    """Agreement, core, cost and edges; result, page, figures and circuits; the second time circuits are read back."""
    said = stability("--out", "out")
    assert said.code == 0, said.err
    assert "Jaccard" in said.out and "fwd" in said.out and "adjusted p" in said.out
    found = cs.Stability.load("out/stability.json")
    assert found.edges[0].edge in said.out and f"`{found.edges[0].edge}`" in Path("out/stability.md").read_text()
    assert found.forwards > 0 and {each.name for each in found.agreement} == {"parts", "all"}
    names = {file.name for file in Path("out").iterdir()}
    assert names == {"stability.json", "stability.md", "searches.json", "circuits", "log.jsonl"} | {
        f"stability{suffix}" for suffix in (".svg", ".pdf", ".png", "-caption.txt", "-caption.tex")
    }
    circuits = [file.stat().st_mtime_ns for file in sorted(Path("out/circuits").iterdir())]
    assert len(circuits) == 2
    again = stability("--out", "out", "--json")
    assert [file.stat().st_mtime_ns for file in sorted(Path("out/circuits").iterdir())] == circuits
    assert json.loads(again.out)["edges"] == json.loads(Path("out/stability.json").read_text())["edges"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--vary", "part"), "did you mean 'parts'"),
        (("--vary", "seeds(count=0)"), "Seeds must give 2 searches or more"),
        (("--vary", "parts"), "vary has parts twice"),
        (("--vary", "templates"), "has no factor 'templates' to vary"),
        (("--vary", "targets(values=(0.9,))"), "Targets must give 2"),
        (("--core", "0.1"), "core not the smaller"),
        (("--effects", "-1"), "effects"),
        (("--out", "mine.txt"), "is a file"),
    ],
)
def test_wrong_options_are_refused(stability: Callable[..., Any], more: tuple[str, ...], words: str):
    """One sentence, and nothing is written."""
    Path("mine.txt").write_text("mine")
    said = stability(*more)
    assert said.code == 2 and words in said.err and "Traceback" not in said.err
    assert [file.name for file in Path.cwd().iterdir()] == ["mine.txt"]


def test_help(command: Command):
    """--help explains and exits with 0."""
    said = command("stability", "--help")
    assert said.code == 0 and "--vary" in said.out and said.err == ""
