"""Scan: one prompt, what is predicted, what the parts write, where heads look."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.figures.viewer import scan_page
from circuitsearch.instruments.attribution import LogitMap, at_position, direct_logit
from circuitsearch.instruments.one_prompt import COPIES, INDUCTION, SUPPRESSES, Scan, _at_work, scan
from circuitsearch.instruments.passes import record
from circuitsearch.instruments.prompts import prompt_alone
from circuitsearch.instruments.subject import subject
from circuitsearch.instruments.words import writes
from circuitsearch.task import Task
from tests.conftest import tiny_model

PROMPT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture(scope="module")
def pico() -> tuple[Any, Any]:
    return cs.load("pico")


@pytest.fixture(scope="module")
def found(pico: tuple[Any, Any]) -> Scan:
    return scan(pico[0], PROMPT, pico[1])


def test_what_parts_raise_is_their_direct_effect(any_model):
    """On the answer's logit it is what direct attribution gives, and with the embedding and constants it is every logit."""
    task = Task.from_ids([[3, 7, 11, 5]], [[3, 7, 11, 6]], [9], [8])
    seen = subject(any_model, task)
    described, (batch,) = seen.described, seen.batches(task)
    run = record(described, batch.clean, batch.position)
    logit_map = LogitMap.out_of(described, at_position(run.streams[-1], batch), batch.clean)
    raised = logit_map.unembedded(logit_map.normed(writes(run, batch))[:, 0])
    direct = direct_logit(any_model, task, against_wrong=False)
    if len(raised) == len(direct.writers) - 1:  # heads that cannot be separated are one mixer
        assert (raised[:, 9].double() - direct.values[:-1]).abs().max() < 1e-9 * direct.values.abs().max()


def test_of_one_prompt(found: Scan, pico: tuple[Any, Any]):
    """The likeliest tokens are the model's own, the parts are in the order of their effects, and attention is that of the heads shown."""
    model, tokenizer = pico
    with torch.no_grad():
        own = model(tokenizer(PROMPT, return_tensors="pt").input_ids).logits[0, -1].softmax(-1)
    assert found.likeliest[0] == (found.answer, pytest.approx(float(own.max()), abs=1e-5))
    effects = [abs(part.effect) for part in found.parts]
    assert effects == sorted(effects, reverse=True) and len(effects) == 12
    heads = [part for part in found.parts if "." in part.name]
    assert found.attention.heads == tuple(part.name for part in heads)
    for part in heads:
        assert float(found.attention[part.name][-1].max()) == pytest.approx(part.share)
    assert [part.at_work for part in heads if part.name == "a2.h0"] == [COPIES]


@pytest.mark.parametrize("last", [4, 5, 39])
def test_a_prompt_alone_is_a_task_whatever_it_ends_with(last: int):
    """Also with the answer, with the token after it, and with the vocabulary's last one: both prompts and both answers differ."""
    task, logits = prompt_alone(tiny_model("gpt2"), [3, last], answer=4)
    assert (task.clean[0].tolist(), task.answers[0].tolist()) == ([3, last], [4])
    assert len(logits) > int(task.corrupt[0].max())


def test_an_answer_may_be_given(pico: tuple[Any, Any]):
    """Effects are then those on its logit."""
    given = scan(pico[0], PROMPT, pico[1], answer=" John", count=3)
    assert given.answer == "John" and len(given.parts) == 3


@pytest.mark.parametrize(
    ("place", "share", "effect", "expected"),
    [
        (1, 0.9, 1.0, COPIES),
        (1, 0.9, -1.0, SUPPRESSES),
        (1, 0.2, 1.0, ""),
        (3, 0.9, 1.0, INDUCTION),  # what stands after the 8 that the prompt ends with
        (0, 0.9, 1.0, ""),
        (4, 0.9, 1.0, ""),
    ],
)
def test_what_a_head_does_is_told_from_what_it_looks_at(place: int, share: float, effect: float, expected: str):
    """In the prompt 6 5 8 7 8, with the answer 5."""
    assert _at_work(place, share, effect, [6, 5, 8, 7, 8], 5) == expected


def test_the_page_is_text_and_images(found: Scan):
    """No script; tokens and prompt are escaped; without a circuit it says how to get one."""
    hostile = "<script>alert(1)</script>"
    parts = (replace(found.parts[0], words=(hostile,), looks_at=hostile), *found.parts[1:])
    page = scan_page(replace(found, prompt=hostile, parts=parts), hostile)
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
    assert "give --corrupt" in page and page.count("data:image/svg+xml") == 2
    with_circuit = scan_page(found, "pico", circuit=b"<svg/>", page="circuit/circuit.html")
    assert 'href="circuit/circuit.html"' in with_circuit and "give --corrupt" not in with_circuit


@pytest.mark.parametrize(
    ("prompt", "answer", "says"), [("", None, "at least two"), (PROMPT, " Zanzibar", "vocabulary")]
)
def test_what_cannot_be_scanned(pico: tuple[Any, Any], prompt: str, answer: str | None, says: str):
    """One sentence."""
    with pytest.raises(InputError, match=says):
        scan(pico[0], prompt, pico[1], answer=answer)
