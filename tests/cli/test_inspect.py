"""The verb inspect: each instrument leaves its numbers and its figure, and what makes no sense is said."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circuitsearch.budget import Budget
from circuitsearch.engine.working_memory import chunk_of
from circuitsearch.instruments.subject import Subject

Command = Callable[..., Any]

SMALL = ("--n", 6)


@pytest.mark.parametrize(
    ("instrument", "more", "says"),
    [
        ("logit-lens", ("--task", "ioi", *SMALL), "probability"),
        ("dla", ("--task", "ioi", *SMALL), "a2.h0"),
        ("residual", ("--task", "ioi", *SMALL), "embed"),
        ("patch", ("--task", "ioi", "--site", "head", "--noising", *SMALL), "a1"),
        ("patch", ("--task", "ioi", "--spans", "IO,END", *SMALL), "END"),
        ("trace", ("--task", "country_facts", "--site", "mlp", "--seeds", 1, *SMALL), "causal trace"),
        ("attention", ("--task", "induction", "--heads", "a1.h2,L0H0", *SMALL), "a0.h0"),
        ("attention", ("--said-twice", "--heads", "a1.h2", *SMALL), "said twice"),
        ("heads", ("--task", "induction", "--shuffles", 1, *SMALL), "previous token"),
    ],
)
def test_numbers_and_figure_are_left(command: Command, instrument: str, more: tuple[object, ...], says: str):
    """Every instrument prints a short table and writes JSON and SVG into the folder."""
    said = command("inspect", instrument, *more, "--out", "look")
    assert said.code == 0, said.err
    assert says in said.out
    assert json.loads(Path("look", f"{instrument}.json").read_text())
    assert xml.parse(Path("look", f"{instrument}.svg")).getroot() is not None


@pytest.mark.parametrize("words", [("inspect", "dla", "--task", "ioi", *SMALL), ("scan", "Mary and John went to the")])
def test_instruments_take_what_the_memory_leaves(
    command: Command, words: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
):
    """Their batches are made for what --memory leaves beside interpreter and model."""
    chunks: list[int] = []
    whole = Subject.prompts_at_once
    monkeypatch.setattr(
        Subject, "prompts_at_once", lambda seen, *of: (chunks.append(seen.memory.chunk), whole(seen, *of))[1]
    )
    said = command(*words, "--memory", "700MiB", "--out", "look")
    assert said.code == 0, said.err
    assert set(chunks) == {chunk_of(Budget.of("700MiB", "pico", "cpu").working)}


def test_one_prompt_as_json(command: Command):
    """A prompt and its counterfactual need no task; --json prints what the file holds."""
    pair = (
        "--prompt",
        "The capital of France is",
        "--corrupt",
        "The capital of Italy is",
        "--answer",
        " Paris",
        "--wrong",
        " Rome",
    )
    said = command("inspect", "trace", *pair, "--subject", "France", "--seeds", 1, "--json")
    assert said.code == 0, said.err
    printed = json.loads(said.out)
    assert printed["result"] == json.loads(Path(printed["numbers"]).read_text())
    assert Path(printed["figure"]).parent == Path("runs/inspect-prompt-pico")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lense", "--task", "ioi"), ("'lense'", "'logit-lens'")),
        (("dla",), ("--task", "--clean")),
        (
            ("dla", "--task", "ioi", "--prompt", "x", "--corrupt", "y", "--answer", "a", "--wrong", "b"),
            ("--task", "--clean"),
        ),
        (("dla", "--prompt", "x"), ("--corrupt",)),
        (("dla", "--task", "iio"), ("'iio'", "'ioi'")),
        (("dla", "--task", "ioi", "--site", "head"), ("dla", "--site")),
        (("patch", "--task", "ioi", "--site", "haed"), ("'haed'", "'head'")),
        (("patch", "--task", "ioi", "--spans", "XX", *SMALL), ("'XX'", "S1")),
        (("patch", "--task", "ioi", "--site", "head", "--spans", "IO", *SMALL), ("--spans",)),
        (("trace", "--task", "ioi", *SMALL), ("--subject", "IO")),
        (("trace", "--task", "country_facts", "--seeds", "0", *SMALL), ("noise",)),
        (("trace", "--task", "country_facts", "--noise", "nan", *SMALL), ("noise",)),
        (("trace", "--task", "country_facts", "--site", "q", *SMALL), ("'q'",)),
        (("attention", "--task", "ioi", *SMALL), ("--heads",)),
        (("attention", "--task", "ioi", "--heads", "a9.h9", *SMALL), ("'a9.h9'",)),
        (("heads", "--task", "ioi", "--shuffles", "0", *SMALL), ("shuffle",)),
        (("logit-lens", "--task", "ioi", "--translator", "nowhere", *SMALL), ("nowhere", "tuned lens")),
        (("dla", "--task", "ioi", "--n", "0"), ("--n",)),
    ],
)
def test_what_cannot_be_used_is_one_sentence(command: Command, arguments: tuple[object, ...], words: tuple[str, ...]):
    """Exit code 2, one sentence that names what is wrong, and nothing left behind."""
    said = command("inspect", *arguments)
    sentence = said.err.strip()
    assert said.code == 2 and "\n" not in sentence, said
    assert all(word in sentence for word in words), sentence
    assert not list(Path.cwd().iterdir())


def test_a_tiny_model_and_a_file(command: Command, tiny: Path, task_file: Path):
    """A folder without a tokenizer and a file of ids do as well; a file in the folder's place is refused."""
    said = command("inspect", "logit-lens", "--task", task_file, "--model", tiny, "--out", "look")
    assert said.code == 0 and Path("look/logit-lens.svg").exists(), said.err
    said = command("inspect", "dla", "--task", task_file, "--model", tiny, "--out", "look/logit-lens.svg")
    assert said.code == 2 and "folder" in said.err
    said = command(
        "inspect", "attention", "--prompt", "a", "--corrupt", "b", "--answer", "c", "--wrong", "d", "--model", tiny
    )
    assert said.code == 2 and "tokenizer" in said.err
