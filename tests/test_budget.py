"""A budget holds a model, or says which one would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import circuitsearch as cs
from circuitsearch.budget import INTERPRETER, Budget, load_in
from circuitsearch.errors import InputError
from circuitsearch.memory import bytes_in
from circuitsearch.question import Question


def test_it_is_divided_into_all_that_a_run_takes():
    """Interpreter, weights and working memory are the whole; on an accelerator there is no interpreter."""
    budget = Budget.of("2GiB", "pico", "cpu")
    model, _ = cs.load("pico")
    assert budget.weights == sum(weight.nbytes for weight in set(model.parameters()))
    assert budget.interpreter + budget.weights + budget.working == 2 << 30 and budget.interpreter >= INTERPRETER
    assert Budget.of("2GiB", "pico", "cuda").working == (2 << 30) - budget.weights
    assert Budget.of("2GiB", "pico", "cpu", "bfloat16").weights * 2 == budget.weights


def test_the_number_that_would_do_does():
    """A byte less than needed is refused before anything is loaded, and the sentence names a size that is not."""
    needed = Budget.of("1GiB", "pico", "cpu").needed
    assert Budget.of(str(needed), "pico", "cpu").check("pico").working > 0
    with pytest.raises(InputError, match=r"pico cannot run in .* give --memory") as caught:
        load_in(str(needed - 1), "pico", "cpu")
    named = re.search(r"--memory (\S+),", str(caught.value))
    assert named is not None and bytes_in(named[1]) >= needed > bytes_in(named[1]) - (1 << 20)


def test_a_question_gives_its_experiments_what_is_left():
    """Without a memory the default is taken."""
    assert "memory" not in Question(task="ioi").settings
    asked = Question(task="ioi", memory="2GiB", device="cpu")
    asked.check()
    assert asked.settings.get("memory") == Budget.of("2GiB", "pico", "cpu").working
    with pytest.raises(InputError, match="is not a size of memory"):
        Question(task="ioi", memory="plenty").check()


def test_weights_are_converted_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """To what transformers makes of them, without its help, which keeps the stored ones beside them."""
    from transformers import AutoModelForCausalLM

    model, _ = cs.load("pico")
    model.save_pretrained(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", None)
    ours, _ = cs.load(tmp_path, dtype="bfloat16")
    assert ours.config.to_dict() == theirs.config.to_dict()
    for (name, own), (other, expected) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert name == other and own.dtype == torch.bfloat16 and torch.equal(own, expected)
