"""Subject-verb agreement past a distracting noun: "The keys near the cabinet" -> " are"."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.metrics import logit_diff
from circuitsearch.task import Example, Task

from .sample import Sampler, distinct, fill
from .words import GROUPS, NOUNS, deal, usable

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
]

VERBS = (" is", " are")


def agreement(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Subject-verb agreement with an attractor, a second noun of either number between subject and verb.

    In the corrupt prompt the subject has the other number, so that right and wrong verb change roles; the attractor
    is the same, and has the other number than the subject in half of the prompts.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer; nouns whose singular or plural is not one token are left out.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: logit of the agreeing verb minus logit of the other. Spans: ``subject``; the last token is the attractor,
        ``END``.

    References
    ----------
    Finlayson et al., Causal Analysis of Syntactic Agreement Mechanisms in Neural Language Models, 2021,
    arXiv:2106.06087.
    """
    examples = distinct("agreement", sampler(tokenizer, GROUPS), GROUPS, n, seed)
    return Task.from_examples("agreement", examples, tokenizer, metric=logit_diff)


def sampler(tokenizer: Any, groups: int) -> Sampler:
    """The function that writes one example with the nouns and templates of a group."""
    nouns = deal(usable(NOUNS, tokenizer, "agreement", "nouns", 2 * groups), groups)
    templates = deal(TEMPLATES, groups)

    def write(random: Random, group: int) -> Example:
        template = random.choice(templates[group])
        subject, attractor = random.sample(nouns[group], 2)
        number, distraction = random.randrange(2), random.randrange(2)
        (clean, at), (corrupt, _) = (
            fill(template, {"noun": subject[form], "attractor": attractor[distraction]})
            for form in (number, 1 - number)
        )
        return Example(clean, corrupt, (VERBS[number],), (VERBS[1 - number],), group, {"subject": at["noun"]})

    return write
