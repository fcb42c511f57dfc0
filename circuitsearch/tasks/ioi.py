"""Indirect object identification: "When Mary and John went to the store, John gave a drink to" -> " Mary"."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.metrics import logit_diff
from circuitsearch.task import Example, Task

from .sample import Sampler, distinct, fill
from .words import GROUPS, NAMES, OBJECTS, PLACES, deal, usable

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
    examples = distinct("ioi", sampler(tokenizer, GROUPS), GROUPS, n, seed)
    return Task.from_examples("ioi", examples, tokenizer, metric=logit_diff)


def sampler(tokenizer: Any, groups: int) -> Sampler:
    """The function that writes one example with the names, words and templates of a group."""
    names = deal(usable(NAMES, tokenizer, "ioi", "names", 5 * groups), groups)
    places = deal(usable(PLACES, tokenizer, "ioi", "places", groups), groups)
    objects = deal(usable(OBJECTS, tokenizer, "ioi", "objects", groups), groups)
    templates = deal(TEMPLATES, groups)

    def write(random: Random, group: int) -> Example:
        template = random.choice(templates[group])
        scene = {"place": random.choice(places[group]), "object": random.choice(objects[group])}
        receiver, giver, *others = random.sample(names[group], 5)
        first, second = random.sample([receiver, giver], 2)
        clean, at = fill(template, {"a": first, "b": second, "s": giver, **scene})
        io, s1 = ("a", "b") if first == receiver else ("b", "a")
        return Example(
            clean=clean,
            corrupt=template.format(a=others[0], b=others[1], s=others[2], **scene),
            answers=(f" {receiver}",),
            wrong=(f" {giver}",),
            group=group,
            spans={"IO": at[io], "S1": at[s1], "S2": at["s"], "place": at["place"], "object": at["object"]},
        )

    return write
