"""Folders of models with known circuits: what is written is read, and what is wrong is refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
import torch

import circuitsearch as cs
from circuitsearch.models.planted import KnownCircuit, Planted, plant


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, Path]:
    """A planted OR, of which either branch is enough, and its folder."""
    planted = plant("or", 3, n=12)
    folder = tmp_path_factory.mktemp("known") / "or"
    planted.save(folder)
    return planted, folder


def test_a_folder_gives_back_model_prompts_and_edges(saved: tuple[Planted, Path]):
    """Weights to the last bit, prompts with their groups, true edges and sufficient sets."""
    planted, folder = saved
    again = KnownCircuit.load(folder)
    assert (again.edges, set(again.sufficient)) == (planted.edges, set(planted.sufficient))
    assert (again.task.name, again.task.groups) == (planted.task.name, planted.task.groups)
    assert again.task.digest() == planted.task.digest()
    for ours, theirs in zip(planted.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_hand_written_truth_needs_edges_alone(saved: tuple[Planted, Path], tmp_path: Path):
    """In other tools' spellings too; all of them together then suffice."""
    planted, folder = saved
    copytree(folder, tmp_path / "mine")
    spelled = [
        f"{writer}->{reader}".replace("a0.h", "0.").replace("embed", "input") for writer, reader in planted.edges
    ]
    (tmp_path / "mine/truth.json").write_text(json.dumps({"edges": spelled}))
    known = KnownCircuit.load(tmp_path / "mine")
    assert known.edges == planted.edges and known.sufficient == (frozenset(planted.edges),)


def truth(content: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "truth.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "truth.json").unlink(), "truth.json"),
        (lambda folder: (folder / "prompts.jsonl").unlink(), "prompts.jsonl"),
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (lambda folder: (folder / "prompts.jsonl").write_text("{}"), "prompts.jsonl, line 1"),
        (truth(["embed->logits"]), "is not a list of true edges"),
        (truth({"edges": []}), "it has no edges"),
        (truth({"edges": ["embed"]}), "'embed' is not an edge: write it as"),
        (truth({"edges": ["embed->a9.h9<q>"]}), "unknown reader 'a9.h9<q>'"),
        (truth({"edges": ["a1.h0->a0.h0<q>"]}), "the reader must come later in the stream"),
        (truth({"edges": ["embed->logits"], "sufficient": [["embed->a0.h0<q>"]]}), "sufficient ones that are not among them"),
    ],
)  # fmt: skip
def test_bad_folders_are_refused(
    spoil: Callable[[Path], object], sentence: str, saved: tuple[Planted, Path], tmp_path: Path
):
    """Naming the file."""
    copytree(saved[1], tmp_path / "bad")
    spoil(tmp_path / "bad")
    with pytest.raises(cs.InputError, match=sentence):
        KnownCircuit.load(tmp_path / "bad")
