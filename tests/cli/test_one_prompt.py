"""One prompt on the command line in place of a task: what it gives, what it says of the evidence, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs

FRANCE = ("--clean", "The capital of France is", "--corrupt", "The capital of Italy is")
PARIS = (*FRANCE, "--answer", " Paris", "--wrong", " Rome")
NAME = "one prompt (The capital of France is)"


@pytest.fixture
def found(command: Callable[..., Any]) -> Any:
    said = command("find", *PARIS, "--model", "pico", "--passes", "4")
    assert said.code == 0, said.err
    return said


def test_find_says_everywhere_that_nothing_is_held_out(found: Any):
    """The terminal before the search and after it, the first line of the report, the figure's caption and the page."""
    run = Path("runs/The-capital-of-France-is-pico-passes4")
    before, after = found.out.split("\nscores ")
    assert "no prompts are held out, since there is one prompt" in before and "no held-out evidence" in after
    report = (run / "report.md").read_text()
    assert report.split("```\n")[1].startswith("caution          no held-out evidence: the search used this prompt,")
    assert "no held-out evidence" in (run / "circuit.html").read_text()
    assert "no held-out evidence" in (run / "circuit-caption.txt").read_text()
    saved = cs.Report.load(run / "report.json")
    assert saved.task == NAME and saved.n == saved.n_seen == 1 and "no held-out evidence" in saved.cautions[0]
    assert "no interval: it takes 2 prompts" in saved.quote and "95% interval" not in saved.quote


def test_find_shows_the_likeliest_tokens_beside_the_answers(found: Any):
    """A newcomer sees whether the answers are what the model would say."""
    assert "the likeliest tokens are 'Paris'" in found.out and "yours are right 'Paris' (rank 1)" in found.out


def test_the_manifest_runs_it_again(found: Any, command: Callable[..., Any]):
    """The prompt is in the manifest, so that the run can be repeated from it."""
    said = command("find", "--from", "runs/The-capital-of-France-is-pico-passes4/manifest.json")
    assert said.code == 0 and "the same circuit, edge for edge" in said.out, said.err


def test_other_commands_take_the_prompt(found: Any, command: Callable[..., Any]):
    """Scores, a validation and an instrument of the same prompt, without a file."""
    said = command("score", *PARIS, "--json", "--method", "eap")
    assert said.code == 0 and json.loads(said.out)["n"] == 1, said.err
    circuit = "runs/The-capital-of-France-is-pico-passes4"
    said = command("validate", circuit, *PARIS)
    assert said.code == 0 and "no held-out evidence" in said.out, said.err
    said = command("validate", circuit, "--clean", "The capital of Spain is", *PARIS[2:])
    assert said.code == 0 and "1 held-out prompt" in said.out and "no held-out evidence" not in said.out, said.err
    said = command("inspect", "dla", *PARIS)
    assert said.code == 0 and NAME in said.out, said.err


def test_unequal_lengths_are_refused_or_aligned(command: Callable[..., Any]):
    """The sentence says where they differ and what to ask for; asked for, it is done and said."""
    unequal = ("--clean", "The capital of France is", "--corrupt", "The capital of Peru Italy is", *PARIS[4:])
    said = command("score", *unequal, "--method", "eap")
    assert said.code == 2 and "against 2" in said.err and "--align" in said.err, said
    said = command("score", *unequal, "--method", "eap", "--align", "spam")
    assert said.code == 2 and "did you mean 'span'" in said.err
    said = command("score", *unequal, "--method", "eap", "--align", "span")
    assert said.code == 0 and "1 of 1 pair aligned by spans" in said.out, said.err


def test_without_a_wrong_answer_all_tokens_of_the_answer_are_scored(command: Callable[..., Any]):
    """The metric is the answer's log probability, and the output says so and names no wrong answer."""
    said = command("score", *FRANCE, "--answer", " Paris .", "--method", "eap")
    assert said.code == 0 and "mean answer_log_prob -" in said.out, said.err
    assert "no wrong answers to compare with" in said.out and "right answer to a wrong one" not in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (FRANCE, ("give --answer too",)),
        ((*FRANCE, "--answer", " Paris in", "--wrong", " Rome"), ("not one token", "leave the wrong answers out")),
        ((*FRANCE, "--answer", " Paris", "--wrong", ""), ("--wrong", "empty")),
        (("ioi", *PARIS), ("either a task", "one prompt")),
        ((*PARIS, "--n", "3"), ("--n",)),
        ((*FRANCE, "--answer", " Paris", "--wrong", "Rome"), ("' Paris'", "'Rome'", "space")),
        (("--clean", "The capital of Italy is", *PARIS[2:]), ("are the same", "change a token")),
    ],
)
def test_what_is_refused(command: Callable[..., Any], arguments: tuple[str, ...], words: tuple[str, ...]):
    """Each wrong use gets a sentence that names what to change, before any folder is made."""
    said = command("find", *arguments)
    assert said.code == 2 and all(word in said.err for word in words), said.err
    assert "\n" not in said.err.strip() and not Path("runs").exists()
