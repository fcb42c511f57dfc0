"""What the circuits of the bundled model must hold, as the literature describes them."""

from __future__ import annotations

import pytest

import circuitsearch as cs
from circuitsearch.registry import TASKS


@pytest.fixture(scope="module")
def pico():
    """The bundled model and its tokenizer."""
    return cs.load("pico")


def found(pico, task: str, n: int):
    """The minimal circuit of a task, from EAP-IG's ranking."""
    model, tokenizer = pico
    train, _ = TASKS.load(task)(tokenizer, n=n, seed=0).split(0.5, seed=0)
    return cs.minimal(model, train, cs.score(model, train, cs.EAPIG(steps=5)))


def test_the_previous_token_head_feeds_the_keys_of_induction_heads(pico):
    """In the induction circuit a0.h0, the previous-token head, writes into an induction head's k port (2209.11895)."""
    circuit = found(pico, "induction", n=64)
    assert any(("a0.h0", f"{head}<k>") in circuit for head in ("a1.h2", "a1.h3", "a1.h6"))
    assert any((head, "logits") in circuit for head in ("a1.h2", "a1.h3", "a1.h6"))


def test_the_name_mover_is_steered_and_writes_to_the_logits(pico):
    """In the IOI circuit a2.h0, the name mover, writes to the logits, and S-inhibition heads into its query (2211.00593)."""
    circuit = found(pico, "ioi", n=128)
    assert ("a2.h0", "logits") in circuit
    assert any((f"a1.h{head}", "a2.h0<q>") in circuit for head in (0, 1, 5, 7))
