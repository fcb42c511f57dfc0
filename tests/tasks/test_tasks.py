"""One battery for all tasks, with both kinds of tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmarks.tasks import LEARNED
from circuitsearch.metrics import top1
from circuitsearch.registry import TASKS
from circuitsearch.task import Task
from circuitsearch.tasks import words

all_tasks = pytest.mark.parametrize("make", list(map(TASKS.load, LEARNED)), ids=LEARNED)
sentences = pytest.mark.parametrize("name", [name for name in LEARNED if name != "induction"])

OWN_WORDS = {
    "ioi": words.NAMES + words.MORE_NAMES,
    "greater_than": words.EVENTS,
    "gendered_pronoun": words.NAMES,
    "docstring": words.ARGUMENTS,
    "country_facts": [row[0] for row in words.COUNTRIES],
    "agreement": [form for noun in words.NOUNS for form in noun.split("/")],
}
"""What a held-out prompt must have of its own."""


@all_tasks
def test_pairs_are_aligned(make: Callable[..., Task], tokenizer: Any) -> None:
    task = make(tokenizer, n=32)
    assert len(task) == 32
    for clean, corrupt, right, wrong in zip(task.clean, task.corrupt, task.answers, task.wrong, strict=True):
        assert clean.shape == corrupt.shape
        assert not torch.equal(clean, corrupt)
        assert not set(right.tolist()) & set(wrong.tolist())


@all_tasks
def test_prompts_are_distinct(make: Callable[..., Task], tokenizer: Any) -> None:
    task = make(tokenizer, n=200)
    assert len({tuple(ids.tolist()) for ids in task.clean}) == 200


@all_tasks
def test_seed_decides(make: Callable[..., Task], tokenizer: Any) -> None:
    assert make(tokenizer, n=16, seed=1).digest() == make(tokenizer, n=16, seed=1).digest()
    assert make(tokenizer, n=16, seed=1).digest() != make(tokenizer, n=16, seed=2).digest()


@all_tasks
def test_name_is_the_functions(make: Callable[..., Task], tokenizer: Any) -> None:
    assert make(tokenizer, n=4).name == make.__name__


@all_tasks
def test_split_is_even_and_whole(make: Callable[..., Task], tokenizer: Any) -> None:
    train, held_out = make(tokenizer, n=96).split(0.5, seed=0)
    assert len(train) == len(held_out) == 48
    assert not set(train.groups) & set(held_out.groups)


@sentences
def test_held_out_words_are_new(name: str, tokenizer: Any) -> None:
    train, held_out = TASKS.load(name)(tokenizer, n=128).split(0.5, seed=0)
    used = [words_of(part, tokenizer) & set(OWN_WORDS[name]) for part in (train, held_out)]
    assert used[0] and used[1]
    assert not used[0] & used[1]


@sentences
def test_held_out_templates_are_new(name: str, tokenizer: Any) -> None:
    train, held_out = TASKS.load(name)(tokenizer, n=128).split(0.5, seed=0)
    assert not frames_of(train, tokenizer) & frames_of(held_out, tokenizer)


@all_tasks
@pytest.mark.parametrize("n", [0, -3, 10**12])
def test_no_examples_is_refused(make: Callable[..., Task], n: int, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=rf"{make.__name__}: n must be 1 to 1,000,000"):
        make(tokenizer, n=n)


@all_tasks
def test_a_poor_tokenizer_is_refused(make: Callable[..., Task], letter_tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=rf"task {make.__name__}: .*tokenizer"):
        make(letter_tokenizer, n=4)


def test_too_many_prompts_are_refused(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=r"country_facts: .*smaller n"):
        TASKS.load("country_facts")(tokenizer, n=5000)


@all_tasks
@torch.no_grad()
def test_the_bundled_model_does_it(make: Callable[..., Task], pico_model: Any, pico_tokenizer: Any) -> None:
    task = make(pico_tokenizer, n=200, seed=7)
    right = [top1(pico_model(batch.clean).logits[:, -1], batch) for batch in task.batches()]
    assert torch.cat(right).mean() >= 0.97


@all_tasks
@torch.no_grad()
def test_the_corrupt_prompt_breaks_it(make: Callable[..., Task], pico_model: Any, pico_tokenizer: Any) -> None:
    task = make(pico_tokenizer, n=64)
    clean, corrupt = (
        torch.cat([task.metric(pico_model(getattr(batch, side)).logits[:, -1], batch) for batch in task.batches()])
        for side in ("clean", "corrupt")
    )
    assert clean.mean() > 0.5
    assert clean.mean() > 2 * corrupt.mean()


def words_of(task: Task, tokenizer: Any) -> set[str]:
    """All words of the clean prompts."""
    return {word for ids in task.clean for word in re.findall(r"\w+", tokenizer.decode(ids))}


def frames_of(task: Task, tokenizer: Any) -> set[str]:
    """The clean prompts without the words that fill them."""
    facts = [word for row in words.COUNTRIES for word in row]
    nouns = [form for noun in words.NOUNS for form in noun.split("/")] if task.name == "agreement" else []
    lists = words.NAMES + words.MORE_NAMES + words.PLACES + words.OBJECTS + words.ROLES + words.TRAITS + words.EVENTS
    fill = {*lists, *words.ARGUMENTS, *words.THINGS, *facts, *nouns}
    texts = (re.findall(r"[^\W\d]+|[^\w\s]", tokenizer.decode(ids)) for ids in task.clean)
    return {" ".join("_" if word in fill else word for word in text) for text in texts}
