"""Scan: what a model does with one prompt. What it predicts at every layer, what each part writes, and where the strongest heads look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from circuitsearch.engine.working_memory import DEFAULT_MEMORY
from circuitsearch.errors import InputError, shortened
from circuitsearch.experiment import Experiment
from circuitsearch.granularity import MERGED
from circuitsearch.instruments.attribution import direct_logit
from circuitsearch.instruments.lens import LogitLens, logit_lens
from circuitsearch.instruments.patterns import Attention, attention
from circuitsearch.instruments.prompts import prompt_alone
from circuitsearch.instruments.result import Result
from circuitsearch.instruments.words import written_words
from circuitsearch.task import Task
from circuitsearch.text import encode_texts, token_text

COPIES, SUPPRESSES, INDUCTION = "copies the answer", "suppresses the answer", "induction"
WORDS = 4  # tokens that a part raises most
PARTS = 12  # parts that are shown
LIKELIEST = 5
SHOWN = 14  # characters of a token in the table
LOOKS = 0.3  # of a head's attention, at least, for what it looks at to tell what it does


@dataclass(frozen=True)
class Part:
    """A head, an MLP or a mixer at the prompt's last token.

    Attributes
    ----------
    name : str
    effect : float
        What it adds directly to the answer's logit.
    words : tuple of str
        The tokens whose logits it raises most.
    looks_at : str
        Of a head, the token that it attends to most; empty for other parts.
    share : float
        How much of its attention that is.
    at_work : str
        What it does in this prompt, if that can be told: it attends to the answer and raises it (``"copies the answer"``) or lowers it
        (``"suppresses the answer"``); or it attends to what followed the last token before (``"induction"``).
    """

    name: str
    effect: float
    words: tuple[str, ...]
    looks_at: str = ""
    share: float = 0.0
    at_work: str = ""


@dataclass(frozen=True, eq=False)
class Scan(Result):
    """What a model does with one prompt.

    Attributes
    ----------
    prompt, answer : str
        The answer is the one given, or the model's likeliest token.
    likeliest : tuple of (str, float)
        The model's likeliest tokens and their probabilities.
    parts : tuple of Part
        Those that add most to the answer's logit, or take most from it.
    lens : LogitLens
        What each layer's stream predicts.
    attention : Attention
        Patterns of the heads among ``parts``.
    """

    prompt: str
    answer: str
    likeliest: tuple[tuple[str, float], ...]
    parts: tuple[Part, ...]
    lens: LogitLens
    attention: Attention

    def to_dict(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "answer": self.answer,
            "likeliest": [list(each) for each in self.likeliest],
            "parts": [vars(part) for part in self.parts],
            "lens": self.lens.to_dict(),
            "attention": self.attention.to_dict(),
        }

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        rows = [
            (
                part.name,
                f"{part.effect:+.3f}",
                " ".join(shortened(repr(word), SHOWN) for word in part.words[:2]),
                f"{part.looks_at!r} {part.share:.0%}" if part.looks_at else "",
                part.at_work,
            )
            for part in self.parts
        ]
        return ("part", f" logit of {self.answer!r}", "raises most", "looks at", "at work"), rows


def scan(
    model: Any,
    prompt: str,
    tokenizer: Any,
    *,
    answer: str | None = None,
    count: int = PARTS,
    memory: int = DEFAULT_MEMORY,
) -> Scan:
    """Look at one prompt: the logit lens, what heads and MLPs write in words, and where the strongest heads look.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode.
    prompt : str
        The prompt; it is read at its last token.
    tokenizer
        The model's tokenizer.
    answer : str, optional
        A single token, with its leading space; by default the model's likeliest one.
    count : int
        How many parts to show.
    memory : int
        Bytes of working memory beside the interpreter and the model.

    Raises
    ------
    InputError
        If a word is not in the vocabulary, the answer is not one token, or the prompt has fewer than two.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> found = scan(model, "When Mary and John went to the store, John gave a drink to", tokenizer)
    >>> found.answer, [part.name for part in found.parts if part.at_work == "copies the answer"]
    ('Mary', ['a2.h0'])
    """
    ids, _, given, _ = encode_texts(tokenizer, prompt, prompt, [] if answer is None else [answer], [])
    if len(ids) < 2:
        raise InputError(f"the prompt {shortened(prompt)!r} has {len(ids)} tokens: give at least two")
    task, logits = prompt_alone(model, ids, given[0] if given else None)
    target = int(task.answers[0])
    known = Experiment.of(model, task, granularity=MERGED, memory=memory)  # so that the model is verified once
    direct = direct_logit(known, task, against_wrong=False)
    values = direct.values[1:-1]  # without the embedding and the constants
    order = values.abs().argsort(descending=True, stable=True)[:count].tolist()
    names = [direct.writers[1 + at] for at in order]
    words = _words(known, task, tokenizer, names)
    heads = [name for name in names if name.startswith("a") and "." in name]
    looks = attention(known, task, heads, tokenizer=tokenizer) if heads else _no_attention(ids, tokenizer)
    shown = [
        _part(name, float(values[at]), said, looks, ids, target, tokenizer)
        for name, at, said in zip(names, order, words, strict=True)
    ]
    top = logits.softmax(-1).topk(min(LIKELIEST, len(logits)))
    likeliest = [(token_text(tokenizer, int(token)), float(p)) for p, token in zip(*top, strict=True)]
    return Scan(
        prompt=prompt,
        answer=token_text(tokenizer, target),
        likeliest=tuple(likeliest),
        parts=tuple(shown),
        lens=logit_lens(known, task, tokenizer=tokenizer),
        attention=looks,
    )


def _no_attention(ids: Sequence[int], tokenizer: Any) -> Attention:
    tokens = tuple(token_text(tokenizer, token) for token in ids)
    return Attention((), torch.zeros(0, len(ids), len(ids)), tokens, "prompt", 1)


def _words(model: Any, task: Task, tokenizer: Any, names: Sequence[str]) -> list[tuple[str, ...]]:
    """The tokens that some writers raise most at the last token."""
    said = written_words(model, task, names, count=WORDS)
    return [tuple(token_text(tokenizer, token) for token, _ in said[name].raised) for name in names]


def _part(
    name: str, effect: float, words: tuple[str, ...], looks: Attention, ids: Sequence[int], answer: int, tokenizer: Any
) -> Part:
    if name not in looks.heads:
        return Part(name, effect, words)
    share, place = (float(each) for each in looks[name][-1].max(-1))
    at = int(place)
    return Part(name, effect, words, token_text(tokenizer, ids[at]), share, _at_work(at, share, effect, ids, answer))


def _at_work(place: int, share: float, effect: float, ids: Sequence[int], answer: int) -> str:
    """What a head does that attends to a place with a share of its attention, as far as this prompt shows it."""
    if share < LOOKS:
        return ""
    if ids[place] == answer:
        return COPIES if effect > 0 else SUPPRESSES
    return INDUCTION if 0 < place < len(ids) - 1 and ids[place - 1] == ids[-1] else ""
