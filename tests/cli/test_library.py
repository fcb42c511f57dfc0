"""The commands of a library: what they print and write, and how wrong input is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circuitsearch.circuit import Circuit
from circuitsearch.graph import Graph
from tests.setups import made_up

GRAPH = Graph(2, 4, 4)


@pytest.fixture
def filled(command: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """The command line in a folder whose runs/library.db has two circuits of one model."""
    for seed, task in enumerate(("ioi", "induction")):
        edges = [("embed", "a1.h3<v>"), ("a1.h3", "logits"), (f"a0.h{seed}", "logits")]
        Circuit(GRAPH, GRAPH.edge_mask(edges), setup=made_up(task, seed=seed)).save(tmp_path / f"{task}.json")
    (tmp_path / "roles.json").write_text('{"1.3": "copying"}')
    said = command(
        "library",
        "add",
        tmp_path / "ioi.json",
        tmp_path / "induction.json",
        "--model",
        "small",
        "--roles",
        tmp_path / "roles.json",
    )
    assert said.code == 0 and "added     1: ioi in small, 3 edges" in said.out, said.err
    return command


def test_list_and_search(filled: Callable[..., Any]):
    """A head in another spelling, its role, and its edges in and out; the same as JSON."""
    assert "2 of 2 circuits" in filled("library", "list").out
    said = filled("library", "search", "--head", "L1H3", "--role", "copy", "--task", "ioi")
    assert [line.split() for line in said.out.splitlines()[1:4]] == [
        ["a1.h3:", "copying"], ["in", "embed->a1.h3<v>"], ["out", "a1.h3->logits"],
    ]  # fmt: skip
    (found,) = json.loads(filled("library", "search", "--edge", "0.1->output", "--json").out)
    assert found["entry"]["task"] == "induction" and found["edges"] == [{"name": "a0.h1->logits", "strength": None}]


def test_compare_export_and_page(filled: Callable[..., Any]):
    """Tables in the terminal; figures, tables, folders and the page on disk."""
    said = filled("library", "compare", "--model", "small", "-o", "compared")
    assert "0.50" in said.out and "3 copying" not in said.out and "2 copying" in said.out
    assert {each.name for each in Path("compared").iterdir()} == {
        "heatmap.svg", "smaller.svg", "tree.svg", "heads.csv", "compare.json",
    }  # fmt: skip
    assert json.loads(Path("compared/compare.json").read_text())["shared"] == [[3, 2], [2, 3]]
    assert filled("library", "export", "again", "--ids", "2").code == 0
    assert [each.name for each in Path("again").iterdir()] == ["002-induction-small"]
    assert filled("library", "page").code == 0 and Path("library.html").is_file()


def test_remove(filled: Callable[..., Any]):
    """What was removed is printed, and is found no more; with an unknown number nothing is removed."""
    wrong = filled("library", "remove", 1, 7)
    assert wrong.code == 2 and "'7'" in wrong.err and "2 of 2 circuits" in filled("library", "list").out
    said = filled("library", "remove", 1, 1)
    assert said.code == 0 and "removed   1: ioi in small, 3 edges" in said.out and "1 circuit in" in said.out
    assert said.out.count("removed") == 1 and "ioi" not in filled("library", "list").out
    (removed,) = json.loads(filled("library", "remove", 2, "--json").out)
    assert removed["task"] == "induction" and "0 of 0 circuits" in filled("library", "list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "nowhere.json"], "nowhere.json"),
        (["remove", "1", "--library", "nowhere.db"], "there is no library nowhere.db"),
        (["list", "--library", "nowhere.db"], "there is no library nowhere.db"),
        (["search", "--head", "x"], "'x' is not a node"),
        (["search", "--size", "5..1"], "'5..1' is not a range"),
        (["compare", "--format", "gif"], "unknown format of figures 'gif'"),
        (["compare", "--task", "arc"], "none of the 2 circuits"),
        (["export", "all.xlsx"], "not written as .xlsx"),
        (["export", "some.csv", "--ids", "1,x"], "--ids takes numbers"),
        (["page", "-o", "nowhere/library.html"], "cannot be written"),
        (["serch"], "did you mean 'search'"),
    ],
)
def test_wrong_input_is_one_sentence(filled: Callable[..., Any], arguments: list[str], said: str):
    """Code 2, and nothing on standard output."""
    found = filled("library", *arguments)
    assert found.code == 2 and said in found.err and len(found.err.splitlines()) == 1 and not found.out


def test_find_keeps_the_run(command: Callable[..., Any], task_file: Path, tiny: Path):
    """With --library, from its folder."""
    said = command("find", task_file, "--model", tiny, "--library", "kept.db")
    assert said.code == 0 and "library   kept in kept.db" in said.out, said.err
    assert "mine" in command("library", "list", "--library", "kept.db", "--model", "tiny").out
