"""Indirect object identification: "When Mary and John went to the store, John gave a drink to" -> " Mary"."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.task import Example, Task

from .template import fill
from .words import MORE_NAMES, NAMES, OBJECTS, PLACES, Pool, among, folds
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
    "Everyone saw {a} and {b} at the {place}, where {s} handed a {object} to",
    "Later, {a} and {b} went home from the {place}, and {s} gave the {object} to",
    "In front of the {place}, {a} and {b} had a talk, and {s} passed a {object} to",
    "The day {a} and {b} met at the {place}, {s} promised a {object} to",
    "They saw {a} and {b} in the {place}, and {s} showed a {object} to",
    "We met {a} and {b} outside the {place}, where {s} gave a {object} to",
    "After a long walk, {a} and {b} reached the {place}, and {s} passed the {object} to",
    "When {a} met {b} at the {place}, {s} offered a {object} to",
    "When {a} saw {b} near the {place}, {s} decided to give the {object} to",
    "Once {a} and {b} had found the {place}, {s} handed the {object} to",
    "As {a} and {b} left the {place}, {s} gave a {object} to",
    "While {a} and {b} were in the {place}, {s} had time to give the {object} to",
    "Then {a} and {b} ran to the {place}, and {s} threw a {object} to",
    "Yes, {a} and {b} were at the {place} on that day, and {s} sold a {object} to",
    "Well, {a} and {b} had fun at the {place}, and {s} lent a {object} to",
    "Today {a} and {b} had to share a {object} in the {place}, so {s} will give it to",
    "At the end of the day, {a} and {b} left the {place}, and {s} offered a {object} to",
    "In the {place}, {a} and {b} found a {object}, and {s} handed it to",
    "From the {place}, {a} and {b} carried a {object} home, and there {s} gave it to",
    "Because {a} and {b} were busy at the {place}, {s} mailed a {object} to",
    "Yesterday {a} and {b} were at the {place} with a {object}, but {s} decided to give it to",
    "Now {a} and {b} are at the {place}, and {s} is about to give a {object} to",
    "Sadly, {a} and {b} had to share a {object} at the {place}, until {s} gave it to",
    "One morning {a} and {b} waited in front of the {place}, until {s} handed a {object} to",
    "Today {a} and {b} met outside the {place}, where {s} lent a {object} to",
    "Then {a} and {b} looked at a {object} near the {place}, and {s} decided to give it to",
    "After {a} and {b} met in front of the {place}, {s} brought a {object} to",
    "When {a} and {b} had left the {place}, {s} sent a {object} to",
    "One day {a} and {b} were late at the {place}, so {s} mailed a {object} to",
    "While {a} and {b} waited near the {place}, {s} offered a {object} to",
    "Friends {a} and {b} met at the {place}, and {s} served a {object} to",
    "In the morning {a} and {b} arrived at the {place}, and {s} returned a {object} to",
    "At the {place}, {a} and {b} had a long talk, and {s} promised a {object} to",
    "Once {a} and {b} were in the {place}, {s} pointed a {object} to",
    "As {a} and {b} were playing near the {place}, {s} threw a {object} to",
    "Before {a} and {b} reached the {place}, {s} carried a {object} to",
    "Because {a} and {b} had a {object} at the {place}, {s} sold it to",
    "Then, {a} and {b} took a {object} from the {place}, and {s} left it to",
    "Yes, {a} and {b} had a good time at the {place}, and {s} sent a {object} to",
    "Yesterday {a} and {b} ran to the {place}, but {s} would not give the {object} to",
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
    pools = [
        Pool("names", "names", [*NAMES, *MORE_NAMES], 5),
        Pool("words", "places", PLACES),
        Pool("words", "objects", OBJECTS),
    ]
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
