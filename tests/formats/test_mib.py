"""Submissions to MIB: what is written passes the check, and each rule finds what breaks it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.formats import mib_cells
from circuitsearch.formats.eap_graph import Config
from circuitsearch.graph import Graph
from tests.formats.test_eap import made_up

SMALL = {"interpbench": Config(n_layers=6, n_heads=4, d_model=64), "mine": Config(n_layers=2, n_heads=4, d_model=8)}


def test_edges_of_mibs_models():
    """The numbers of edges that MIB gives for its models."""
    counted = {
        name: Graph(each.n_layers, each.n_heads, each.n_heads).n_edges for name, each in mib_cells.MODELS.items()
    }
    assert counted == {"gpt2": 32_491, "qwen2.5": 179_749, "gemma2": 74_218, "llama3": 1_592_881, "interpbench": 1_108}


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A valid one, of InterpBench and of a model that heads share keys in."""
    interpbench, mine = made_up(Graph(6, 4, 4)), made_up(Graph(2, 4, 2))
    cs.export(interpbench, tmp_path / "edge", to="mib(task='ioi', model='interpbench')")
    for task in ("ioi", "arc_easy"):
        cs.export(mine, tmp_path / "edge", to=cs.MIBFolder(task=task, model="mine", d_model=8))
    return tmp_path / "edge"


def serious(folder: Path) -> list[str]:
    return [str(each) for each in cs.mib_problems(folder, SMALL) if not each.warning]


def test_what_is_written_is_valid(submission: Path):
    """One folder for each task and model; a model of one's own is only warned of."""
    assert sorted(path.name for path in submission.iterdir()) == ["arc-easy_mine", "ioi_interpbench", "ioi_mine"]
    assert serious(submission) == []
    assert [each.sentence for each in cs.mib_problems(submission, SMALL)] == [
        "mine is none of MIB's models, and its leaderboard does not take it"
    ] * 2


def rewritten(path: Path, circuit: Circuit, width: int = 8) -> None:
    cs.export(circuit, path, to=cs.EAPGraph(d_model=width))


def nine(folder: Path, share: float) -> None:
    """Nine circuits in place of scores, each with a share of the edges that its size allows."""
    (folder / "importances.pt").unlink()
    graph = Graph(2, 4, 4)
    places = graph.mask.nonzero()
    for percent in mib_cells.PERCENTAGES:
        count = max(1, int(share * percent / 100 * graph.n_edges))
        rewritten(folder / f"{percent}.json", Circuit(graph, graph.mask_at(places[:count])))


def unscored(folder: Path) -> None:
    circuit = made_up(Graph(2, 4, 4))
    circuit.scores[0, 0] = torch.nan  # pyright: ignore[reportOptionalSubscript]
    (folder / "importances.pt").unlink()
    circuit.mask[0, 0] = False
    rewritten(folder / "importances.json", circuit)


def large(folder: Path) -> None:
    with (folder / "importances.pt").open("ab") as file:
        file.truncate(60_000_000)


RULES: dict[str, tuple[Callable[[Path], object], str]] = {
    "two tasks": (lambda root: shutil.rmtree(root / "arc-easy_mine"), "it has 1 tasks"),
    "two models": (lambda root: shutil.rmtree(root / "ioi_interpbench"), "it has 1 models"),
    "names": (lambda root: (root / "ioi").mkdir(), "its name must have a task"),
    "hyphens": (lambda root: (root / "arc-easy_mine").rename(root / "arc_easy_mine"), "its name must have a task"),
    "cells": (lambda root: (root / "ioi_interpbench").rename(root / "mcqa_interpbench"), "MIB has no mcqa on interpbench"),
    "one folder each": (lambda root: shutil.copytree(root / "ioi_mine", root / "again_ioi_mine"), "two folders are of ioi and mine"),
    "one file": (lambda root: (root / "ioi_mine/importances.pt").unlink(), "it has 0 files"),
    "not two files": (lambda root: shutil.copy(root / "ioi_mine/importances.pt", root / "ioi_mine/2.pt"), "it has 2 files"),
    "50 MB": (lambda root: large(root / "ioi_mine"), "files over 50 MB are skipped"),
    "readable": (lambda root: (root / "ioi_mine/importances.pt").write_bytes(b"x"), "is not an EAP-IG graph"),
    "shape": (lambda root: rewritten(root / "ioi_mine/importances.pt", made_up(Graph(2, 2, 2))), "it is of 2 layers of 2 heads"),
    "width": (lambda root: rewritten(root / "ioi_mine/importances.pt", made_up(Graph(2, 4, 4)), 9), "its cfg has d_model 9"),
    "all scored": (lambda root: unscored(root / "ioi_mine"), "1 of 110 edges have no score"),
    "not all 0": (
        lambda root: rewritten(root / "ioi_mine/importances.pt", Circuit(Graph(2, 4, 4), Graph(2, 4, 4).mask)), "every score is 0"),
    "sizes": (lambda root: nine(root / "ioi_mine", 1.5), "it has 16 edges, and the circuit of 10% at most 11"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_checked(submission: Path, rule: str):
    """What breaks it is named, with its path."""
    spoil, said = RULES[rule]
    spoil(submission)
    problems = serious(submission)
    assert any(said in problem for problem in problems), problems
    assert all(str(submission) in problem for problem in problems)


def test_nine_circuits_and_two_rankings(submission: Path):
    """The other layouts that the backend takes; other files are warned of."""
    nine(submission / "arc-easy_mine", 1.0)
    for folder in ("True", "False"):
        (submission / "ioi_mine/abs" / folder).mkdir(parents=True)
        shutil.copy(submission / "ioi_mine/importances.pt", submission / "ioi_mine/abs" / folder)
    (submission / "ioi_interpbench/notes.txt").write_text("x")
    wrong = [problem for problem in serious(submission) if "at most 0" not in problem]  # 0.1% of so few edges is none
    assert wrong == []
    assert any("neither .json nor .pt" in each.sentence for each in cs.mib_problems(submission, SMALL))


def test_interpbench_is_missed(tmp_path: Path):
    """A warning, which does not make a submission invalid."""
    warned = [each.sentence for each in cs.mib_problems(tmp_path) if each.warning]
    assert warned == ["it has no circuit of InterpBench, whose score will be missing"]


def test_what_cannot_be_submitted_is_said(tmp_path: Path):
    """Another model, scores of some edges, names that MIB does not have, a folder that is none."""
    circuit = made_up(Graph(2, 4, 4))
    for wrong, to, said in (
        (circuit, "mib(task='ioi', model='gpt2')", "MIB's gpt2 has 12 layers of 12 heads"),
        (circuit, "mib(task='ioi', model='mine')", "none of MIB's models"),
        (circuit, "mib(task='greater-than', model='gpt2')", "MIB has no task"),
        (Circuit(circuit.graph, circuit.mask), "mib(task='ioi', model='gpt2')", "needs a score of every edge"),
    ):
        with pytest.raises(InputError, match=said):
            cs.export(wrong, tmp_path / "edge", to=to)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="is not a folder"):
        cs.mib_problems(tmp_path / "gone")
