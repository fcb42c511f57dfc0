"""What pico reads: rows of token ids with a weight for every next-token guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

from circuitsearch.example import Example
from circuitsearch.tasks.defined import builtin
from circuitsearch.tasks.docstring import TEMPLATES as DOCSTRING
from circuitsearch.tasks.docstring import writer as docstring
from circuitsearch.tasks.greater_than import TEMPLATES as GREATER_THAN
from circuitsearch.tasks.greater_than import writer as greater_than
from circuitsearch.tasks.pools import Pools
from circuitsearch.tasks.words import ARGUMENTS, NAMES, OBJECTS, PLACES
from circuitsearch.tasks.writer import Writer as TaskWriter
from circuitsearch.text import encode

from .facts import fact


class Row(NamedTuple):
    """Token ids, how much it counts that each be guessed from those before, and where the last one stood before."""

    ids: list[int]
    weights: list[float]
    source: int | None = None


Writer = Callable[[Random], Row]

ANSWER, CONTEXT = 2.0, 0.05
"""Weights of an answer, and of every other word of a sentence."""

SHARE = 0.25
"""Share of the other words that count at all, at a weight that makes up for it: fewer logits to compute."""

RESERVED = 8
"""One in so many prompts is never trained on."""

LAYOUTS = tuple((size, documented) for size in (3, 4, 5) for documented in range(1, min(size, 4)))
"""Docstrings of many shapes, so that no position gives the answer away."""


IOI, GENDERED_PRONOUN, AGREEMENT = (
    list(builtin(name).definition.kind_of) for name in ("ioi", "gendered_pronoun", "agreement")
)


def reserved(prompt: str) -> bool:
    """Whether the prompt is kept out of the training text."""
    return crc32(prompt.encode()) % RESERVED == 0


LATER: dict[str, list[str]] = {
    "agreement": AGREEMENT[12:],
    "docstring": [*DOCSTRING[4:], *ARGUMENTS[64:]],
    "gendered_pronoun": GENDERED_PRONOUN[12:],
    "greater_than": GREATER_THAN[8:],
    "ioi": IOI[20:],
}
"""Templates and argument names that the tasks got after pico was trained, and that it does not read."""


def task_writers(tokenizer: Any) -> Mapping[str, Callable[[Random], Example]]:
    """For each task of sentences, the function that writes an example from the words and templates that pico reads."""
    ioi, gendered_pronoun, agreement = (builtin(name).writer for name in ("ioi", "gendered_pronoun", "agreement"))
    makers = (ioi, greater_than, gendered_pronoun, agreement)
    made = [*(maker(tokenizer) for maker in makers), docstring(tokenizer, LAYOUTS)]
    written = {writer.task: partial(writer.rule, pools=_read(writer)) for writer in made}
    return {**written, "country_facts": fact}


def _read(writer: TaskWriter) -> Pools:
    """The pools of all groups together, without what came later."""
    later = LATER.get(writer.task, [])
    return {factor: tuple(value for value in values if value not in later) for factor, values in writer.pools.items()}


def people(random: Random) -> Example:
    """A training sentence in which the receiver cannot be known where the giver is named again.

    With the IOI templates alone a model need not look for the receiver at the end: where the giver is named again it
    can already look up the other name, and the end copies that. Here the receiver comes later, or one of three people
    is left over, so that the end must itself set the repeated names aside, as the circuit of Wang et al. does.
    """

    scene = {"place": random.choice(PLACES), "object": random.choice(OBJECTS)}
    io, s, t = three = random.sample(NAMES, 3)
    a, b, c = random.sample(three, 3)
    prompt = random.choice(random.choice([LATE, LEFT_OVER])).format(io=io, s=s, t=t, a=a, b=b, c=c, **scene)
    return Example(prompt, prompt, (f" {io}",), (f" {s}",))


LATE = [
    "When {s} came to the {place}, {s} met {io} and gave a {object} to",
    "Yesterday {s} was at the {place}. Soon {s} saw {io} there and showed a {object} to",
    "Then {s} went to the {place}, where {s} found {io} and handed a {object} to",
    "One day {s} took a {object} to the {place}. When {s} saw {io}, it was time to give it to",
    "Of course {s} was in the {place}, so {s} called {io} and sold a {object} to",
    "At the {place}, {s} got a {object}. Later {s} met {io} and decided to give it to",
]
LEFT_OVER = [
    "Then {a}, {b} and {c} went to the {place}, and {s} and {t} gave a {object} to",
    "When {a}, {b} and {c} were at the {place}, {s} and {t} sent a {object} to",
    "Today {a}, {b} and {c} met in the {place}. Soon {s} and {t} showed a {object} to",
    "After {a}, {b} and {c} left the {place}, {s} and {t} handed a {object} to",
]


def writers(tokenizer: Any) -> dict[str, Writer]:
    """For each task of sentences, the function that writes a row of training text."""
    all_writers = {**task_writers(tokenizer), "people": people}
    return {task: _writer(task, written, tokenizer) for task, written in all_writers.items()}


def _writer(task: str, written: Callable[[Random], Example], tokenizer: Any) -> Writer:
    def write(random: Random) -> Row:
        example = written(random)
        while reserved(example.clean):
            example = written(random)
        prompt, answer = example.clean, random.choice(example.answers)
        undecided = task in UNDECIDED and random.random() < 0.15
        if undecided:
            prompt, answer = UNDECIDED[task](example, random)
        ids = encode(tokenizer, prompt + answer)
        context = [CONTEXT / SHARE * (random.random() < SHARE) for _ in ids[2:]]
        copied = task in {"ioi", "people"} and not undecided
        return Row(ids, [0.0, *context, ANSWER], ids.index(ids[-1]) if copied else None)

    return write


def three_names(example: Example, random: Random) -> tuple[str, str]:
    """A sentence of three different people, in which either of the first two may receive."""
    people = [word for word in example.corrupt.replace(",", " ").split() if word in NAMES]
    return example.corrupt, f" {random.choice(people[:2])}"


def first_year(example: Example, random: Random) -> tuple[str, str]:
    """An event that began in the year 01: any later year will do."""
    years = sorted({*example.answers, *example.wrong})
    return example.corrupt, random.choice(years[2:])  # beyond 00 and 01


UNDECIDED = {"ioi": three_names, "greater_than": first_year}
"""How the corrupt prompt of a task goes on, where it leaves several answers open."""


def walk(random: Random, pool: list[int], length: int, jump: float = 0.25) -> Row:
    """A walk on a random successor map: every token has one fixed successor, but now and then the walk jumps.

    A step is worth guessing where its pair was seen before. Unlike a plain repetition, nothing about a position or
    a distance predicts it.
    """
    tokens = random.sample(pool, random.randint(6, 16))
    successor = dict(zip(tokens, random.sample(tokens, len(tokens)), strict=True))
    ids, weights, seen = [0, random.choice(tokens)], [0.0, 0.0], set()
    while len(ids) < length:
        last, jumps = ids[-1], random.random() < jump
        ids.append(random.choice(tokens) if jumps else successor[last])
        weights.append(float(not jumps and last in seen))
        if not jumps:
            seen.add(last)
    return Row(ids, weights)


def repetition(random: Random, pool: list[int], length: int) -> Row:
    """Random tokens, a segment of them once more after a gap, and again while there is room."""
    size = random.randint(2, 22)
    segment = random.sample(pool, size)
    prefix = random.choices(pool, k=random.randint(0, length - 2 * size - 1)) if length > 2 * size else []
    ids, weights = [0, *prefix, *segment], [0.0] * (1 + len(prefix) + size)
    while len(ids) < length:
        gap = random.choices(pool, k=random.randint(0, 6))
        ids += gap + segment
        weights += [0.0] * (len(gap) + 1) + [1.0] * (size - 1)
    return Row(ids[:length], weights[:length])


def letters(tokenizer: Any) -> list[int]:
    """Ids of the tokens that are words of two letters or more."""
    special = set(tokenizer.all_special_ids)
    words = {token: tokenizer.decode([token]).strip() for token in range(len(tokenizer)) if token not in special}
    return [token for token, word in words.items() if len(word) > 1 and word.isalpha()]
