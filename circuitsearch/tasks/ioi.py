"""Indirect object identification: "When Mary and John went to the store, John gave a drink to" -> " Mary"."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.task import Example, Task

from .template import fill
from .words import NAMES, OBJECTS, PLACES, Pool, among, folds
from .writer import Pools, Writer

TEMPLATES = [
    "Then, {a} and {b} went to the {place}, and {s} gave a {object} to",
    "When {a} and {b} got a {object} at the {place}, {s} decided to give it to",
    "After {a} and {b} went to the {place}, {s} handed a {object} to",
    "While {a} and {b} were working at the {place}, {s} passed a {object} to",
    "Then, {a} and {b} had a long talk at the {place}. Later {s} sent a {object} to",
    "One day {a} and {b} met near the {place}, where {s} offered a {object} to",
    "Friends {a} and {b} found a {object} at the {place}, so {s} showed it to",
    "Last week {a} and {b} visited the {place}, and {s} brought a {object} to",
    "Before {a} and {b} left the {place}, {s} returned a {object} to",
    "Today {a} and {b} were playing in the {place}. Soon {s} threw a {object} to",
    "At the {place}, {a} and {b} were having fun, and {s} lent a {object} to",
    "The {place} was quiet when {a} and {b} arrived there, and {s} read a {object} to",
    "Yesterday {a} and {b} looked at a {object} in the {place}, but {s} would not sell it to",
    "Because {a} and {b} had to share a {object} at the {place}, {s} left it to",
    "In the morning {a} and {b} took a walk to the {place}, and {s} carried a {object} to",
    "As {a} and {b} waited outside the {place}, {s} pointed a {object} to",
    "Somehow {a} and {b} ended up at the {place}, so {s} mailed a {object} to",
    "Once {a} and {b} came home from the {place}, {s} promised a {object} to",
    "It was late when {a} and {b} reached the {place}, and {s} served a {object} to",
    "Now {a} and {b} think about the {place}, since {s} owed a {object} to",
]


def ioi(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Indirect object identification, both orders of the names (ABBA and BABA).

    Two people are named, one of them acts; the other one receives. The corrupt prompt is the same sentence with three
    other, different names (the ABC prompts of the paper, also used by ACDC): the positions of names are the same, but no
    name is repeated and the names are others, so that both the detection of the repeated name and the copying of the other
    one belong to the circuit. The answers are those of the clean prompt.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer; names, places and objects that are not one token are left out.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: logit of the indirect object minus logit of the subject. Spans: the paper's ``IO``, ``S1``, ``S2`` and
        ``END``, and ``place`` and ``object``.

    References
    ----------
    Wang et al., Interpretability in the Wild, 2022, arXiv:2211.00593.
    """
    return writer(tokenizer).draw_by_group(n, seed)


def writer(tokenizer: Any) -> Writer:
    """The writer of the task."""
    pools = [Pool("names", "names", NAMES, 5), Pool("words", "places", PLACES), Pool("words", "objects", OBJECTS)]
    return Writer("ioi", write, folds("ioi", tokenizer, pools, [TEMPLATES]), tokenizer)


def write(random: Random, pools: Pools) -> Example:
    """One example, with three of five names in the corrupt prompt."""
    template = random.choice(pools["templates"])
    place, thing = (random.choice(among(pools["words"], words)) for words in (PLACES, OBJECTS))
    names = receiver, giver, *others = random.sample(pools["names"], 5)
    first, second = random.sample([receiver, giver], 2)
    clean, at = fill(template, {"a": first, "b": second, "s": giver, "place": place, "object": thing})
    io, s1 = ("a", "b") if first == receiver else ("b", "a")
    return Example(
        clean=clean,
        corrupt=template.format(a=others[0], b=others[1], s=others[2], place=place, object=thing),
        answers=(f" {receiver}",),
        wrong=(f" {giver}",),
        spans={"IO": at[io], "S1": at[s1], "S2": at["s"], "place": at["place"], "object": at["object"]},
        factors={"names": tuple(names), "words": (place, thing), "templates": (template,)},
    )
