"""Greater-than: "The war lasted from the year 1732 to the year 17" -> any year after 32."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.metrics import prob_diff
from circuitsearch.task import Example, Task
from circuitsearch.text import encode, is_one_token

from .sample import Sampler, distinct, fill
from .words import EVENTS, GROUPS, deal, usable

TEMPLATES = [
    "The {event} lasted from the year {start} to the year {century}",
    "The {event} went on from the year {start} until the year {century}",
    "The {event} began in the year {start} and ended in the year {century}",
    "The {event} started in {start} and was over by {century}",
    "We read that the {event} ran from {start} to {century}",
    "The long {event} took from the year {start} up to the year {century}",
    "From {start} the {event} continued until {century}",
    "Between the year {start} and the end of the {event} in the year {century}",
]

CENTURIES = [str(century) for century in range(11, 19)]
YEARS = [f"{year:02d}" for year in range(100)]
EARLIEST = "01"

JOINTS = [("", ""), ("", " "), (" ", "")]
"""What is between the halves of a year: nothing; a space that belongs to the second half; a space that is a token itself."""


def greater_than(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Greater-than: an event ends in a later year than it began.

    The corrupt prompt begins in the year 01 of the century (the paper's "01" prompts), after which every year is
    possible. The right answers are all two-digit years after the first year, the wrong ones are that year and all before.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer. A year must be two tokens, century and two digits; if "1732" is not, "17 32"
        is tried. Years that are two tokens in neither form are left out.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: probability of the right years minus probability of the wrong ones. Spans: ``event``; ``XX`` and ``YY``,
        century and two digits of the first year; ``END``.

    References
    ----------
    Hanna et al., How does GPT-2 compute greater-than?, 2023, arXiv:2305.00586.
    """
    examples = distinct("greater_than", sampler(tokenizer, GROUPS), GROUPS, n, seed)
    return Task.from_examples("greater_than", examples, tokenizer, metric=prob_diff)


def sampler(tokenizer: Any, groups: int) -> Sampler:
    """The function that writes one example with the events and templates of a group."""
    end, start, years = calendar(tokenizer)
    centuries = sorted(years)
    events = deal(usable(EVENTS, tokenizer, "greater_than", "events", groups), groups)
    templates = deal(TEMPLATES, groups)

    def write(random: Random, group: int) -> Example:
        template, event = random.choice(templates[group]), random.choice(events[group])
        century = random.choice(centuries)
        begin = random.choice([year for year in years[century] if EARLIEST < year < max(years[century])])
        (clean, at), (corrupt, _) = (
            fill(template + end, {"event": event, "start": century + end + start + year, "century": century})
            for year in (begin, EARLIEST)
        )
        first, last = at["start"]
        spans = {"event": at["event"], "XX": (first, first + len(century + end)), "YY": (last - len(begin), last)}
        later = tuple(start + year for year in years[century] if year > begin)
        earlier = tuple(start + year for year in years[century] if year <= begin)
        return Example(clean, corrupt, later, earlier, group, spans)

    return write


def calendar(tokenizer: Any) -> tuple[str, str, dict[str, list[str]]]:
    """The first separator with which years are two tokens, and for each century the years that are."""
    for end, start in JOINTS:
        years = {century: split_years(tokenizer, century + end, start) for century in CENTURIES}
        years = {century: kept for century, kept in years.items() if len(kept) >= 20 and EARLIEST in kept}
        if years:
            return end, start, years
    raise InputError(
        "task greater_than: this tokenizer splits no century into two-digit years (neither 1732 nor 17 32 gives the "
        "token 32); use a tokenizer in which two-digit numbers are single tokens."
    )


def split_years(tokenizer: Any, century: str, start: str) -> list[str]:
    """The two-digit years that are one token of their own after the century."""
    # The century must end in the same token whether a year follows or not, which is_one_token checks.
    ids = encode(tokenizer, f"the year {century}")
    if len(ids) != len(encode(tokenizer, "the year")) + 1 + century.endswith(" "):
        return []
    return [year for year in YEARS if is_one_token(tokenizer, start + year, f"the year {century}")]
