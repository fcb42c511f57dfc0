"""A tiny random model in a folder, a task of token ids that it does by construction, and the command line."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from circuitsearch.cli import main
from circuitsearch.files import write_json

VOCABULARY, LENGTH, ROWS = 40, 6, 16


@dataclass(frozen=True)
class Said:
    """What a run of the command line came to."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The real command line, run in an empty folder."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def tiny_model() -> GPT2LMHeadModel:
    """A random GPT-2 of two layers and two heads."""
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=2,
        n_head=2,
        n_embd=16,
        vocab_size=VOCABULARY,
        n_positions=2 * LENGTH,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config).eval()


@pytest.fixture
def tiny(tiny_model: GPT2LMHeadModel, tmp_path: Path) -> Path:
    """The tiny model's folder, one's own to break."""
    folder = tmp_path / "tiny"
    tiny_model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def rows(tiny_model: GPT2LMHeadModel) -> list[dict[str, Any]]:
    """Rows of a task: the answer is the token that the tiny model itself raises most, the wrong one, among those that are less
    likely, the one that it lowers most."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(VOCABULARY, (ROWS, LENGTH), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 2] = (corrupt[:, 2] + 1) % VOCABULARY
    with torch.no_grad():
        logits, other = (tiny_model(ids).logits[:, -1] for ids in (clean, corrupt))  # (ROWS, VOCABULARY)
    right = (logits - other).argmax(-1)
    wrong = torch.where(logits < logits.gather(-1, right[:, None]), logits - other, torch.inf).argmin(-1)
    columns = (clean, corrupt, right, wrong)
    names = ("clean_ids", "corrupt_ids", "answer_id", "wrong_id")
    return [dict(zip(names, (c[row].tolist() for c in columns), strict=True)) for row in range(ROWS)]


@pytest.fixture
def task_file(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    """The task's file."""
    return write_rows(tmp_path / "mine.jsonl", rows)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a task file of other rows."""
    return lambda *rows: write_rows(tmp_path / "other.jsonl", rows)


@pytest.fixture(scope="session")
def place(tiny_model: GPT2LMHeadModel, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model and the task, for all tests."""
    place = tmp_path_factory.mktemp("place")
    tiny_model.save_pretrained(place / "tiny")
    write_rows(place / "mine.jsonl", rows)
    return place


@pytest.fixture(scope="session")
def first(place: Path) -> tuple[Said, Path]:
    """What find says of the task on the tiny model, and the folder of its run, made once to copy."""
    out, err, here = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(place)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["find", "mine.jsonl", "--model", "tiny"])
    finally:
        os.chdir(here)
    assert code == 0, err.getvalue()
    return Said(code, out.getvalue(), err.getvalue()), place / "runs" / "mine-tiny"


@pytest.fixture
def run(command: Command, first: tuple[Said, Path], task_file: Path, tiny: Path) -> Path:
    """A finished run, one's own to break, as of this test's own files."""
    shutil.copytree(first[1], "run")
    manifest = json.loads(Path("run/manifest.json").read_text())
    manifest["question"] |= {"task": str(task_file), "model": str(tiny)}
    write_json("run/manifest.json", manifest)
    return Path("run")


def write_rows(path: Path, rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
