"""Subject-verb agreement past a distracting noun: "The keys near the cabinet" -> " are"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from circuitsearch.task import Example, Task

from .template import fill
from .words import NOUNS, Pool, folds, split, usable
from .writer import Pools, Writer

TEMPLATES = [
    "The {noun} near the {attractor}",
    "I think that the {noun} behind the {attractor}",
    "We all see that the {noun} next to the {attractor}",
    "Sadly, the {noun} in front of the {attractor}",
    "They said that the {noun} beside the {attractor}",
    "Of course the {noun} across from the {attractor}",
    "Maybe the {noun} under the {attractor}",
    "Clearly the {noun} that we saw with the {attractor}",
    "Look, the {noun} above the {attractor}",
    "Everyone says the {noun} from the {attractor}",
    "It seems the {noun} around the {attractor}",
    "Often the {noun} by the {attractor}",
    "Yes, the {noun} outside the {attractor}",
    "They know that the {noun} over the {attractor}",
    "Honestly, the {noun} at the {attractor}",
    "Now the {noun} in the {attractor}",
    "Surely the {noun} across the {attractor}",
    "You know, the {noun} with the {attractor}",
    "Somehow the {noun} on the {attractor}",
    "We know that the {noun} to the left of the {attractor}",
    "They say the {noun} about the {attractor}",
    "Today the {noun} within the {attractor}",
    "People say that the {noun} next to the {attractor}",
    "Everyone knows that the {noun} at the {attractor}",
]

VERBS = split("is/are was/were has/have does/do")
"""Singular and plural."""


def agreement(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Subject-verb agreement with an attractor, a second noun of either number between subject and verb.

    The right answers are verbs that agree with the subject (is, was, has, does), the wrong ones the same verbs of the other
    number. In the corrupt prompt the subject has the other number, so that right and wrong verbs change roles; the
    attractor is the same, and has the other number than the subject in half of the prompts.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer; nouns and verbs whose singular or plural is not one token are left out.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: mean logit of the agreeing verbs minus mean logit of the others. Spans: ``subject``; the last token is the attractor,
        ``END``.

    References
    ----------
    Finlayson et al., Causal Analysis of Syntactic Agreement Mechanisms in Neural Language Models, 2021,
    arXiv:2106.06087.
    """
    return writer(tokenizer).draw_by_group(n, seed)


def writer(tokenizer: Any) -> Writer:
    """The writer of the task."""
    pools = [Pool("words", "nouns", NOUNS, 2)]
    verbs = usable(VERBS, tokenizer, "agreement", "verbs", 1)
    answers = list(zip(*(verb.split("/") for verb in verbs), strict=True))
    return Writer("agreement", partial(write, answers), folds("agreement", tokenizer, pools, [TEMPLATES]), tokenizer)


def write(verbs: Sequence[Sequence[str]], random: Random, pools: Pools) -> Example:
    """One example: a subject and an attractor, each of either number; verbs in the singular and in the plural."""
    template = random.choice(pools["templates"])
    nouns = random.sample(pools["words"], 2)
    subject, attractor = (noun.split("/") for noun in nouns)
    number, distraction = random.randrange(2), random.randrange(2)
    (clean, at), (corrupt, _) = (
        fill(template, {"noun": subject[form], "attractor": attractor[distraction]}) for form in (number, 1 - number)
    )
    return Example(
        clean,
        corrupt,
        answers=tuple(f" {verb}" for verb in verbs[number]),
        wrong=tuple(f" {verb}" for verb in verbs[1 - number]),
        spans={"subject": at["noun"]},
        factors={"words": tuple(nouns), "templates": (template,)},
    )
