"""Greater-than: "The war lasted from the year 1732 to the year 17" -> any year after 32."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.metrics import prob_diff
from circuitsearch.task import Example, Task
from circuitsearch.text import encode, is_one_token

from .template import fill
from .words import EVENTS, Pool, folds
from .writer import Pools, Writer

TEMPLATES = [
    "The {event} lasted from the year {start} to the year {century}",
    "The {event} went on from the year {start} until the year {century}",
    "The {event} began in the year {start} and ended in the year {century}",
    "The {event} started in {start} and was over by {century}",
    "We read that the {event} ran from {start} to {century}",
    "The long {event} took from the year {start} up to the year {century}",
    "From {start} the {event} continued until {century}",
    "Between the year {start} and the end of the {event} in the year {century}",
    "The {event} of the year {start} ended in the year {century}",
    "They say the {event} began in {start} and lasted until {century}",
    "It was said that the {event} lasted from {start} until the year {century}",
    "Everyone knows that the {event} went on from {start} to the year {century}",
    "After {start} the {event} went on until the year {century}",
    "The {event} that began in {start} ended in {century}",
    "The {event} had started in the year {start} and was over in {century}",
    "We know that the {event} started in {start} and ended in the year {century}",
    "The great {event} continued from {start} up to {century}",
    "The {event} was on from the year {start} to {century}",
    "People say that the {event} ran from the year {start} to the year {century}",
    "In the year {start} the {event} started, and it was over in {century}",
]

CENTURIES = [str(century) for century in range(11, 19)]
YEARS = [f"{year:02d}" for year in range(100)]
EARLIEST = "01"

JOINTS = [("", ""), ("", " "), (" ", "")]
"""What is between the halves of a year: nothing; a space that belongs to the second half; a space that is a token itself."""


Calendar = tuple[str, str, dict[str, list[str]]]
"""What ends a century and what begins a year, and for each century its years."""


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
    return writer(tokenizer).draw_by_group(n, seed)


def writer(tokenizer: Any) -> Writer:
    """The writer of the task."""
    task = "greater_than"
    rule = partial(write, calendar(tokenizer))
    return Writer(
        task, rule, folds(task, tokenizer, [Pool("words", "events", EVENTS)], [TEMPLATES]), tokenizer, prob_diff
    )


def write(calendar: Calendar, random: Random, pools: Pools) -> Example:
    """One example of an event that began in any year but the first and last of a century."""
    end, start, years = calendar
    template, event = random.choice(pools["templates"]), random.choice(pools["words"])
    century = random.choice(sorted(years))
    begin = random.choice([year for year in years[century] if EARLIEST < year < max(years[century])])
    (clean, at), (corrupt, _) = (
        fill(template + end, {"event": event, "start": century + end + start + year, "century": century})
        for year in (begin, EARLIEST)
    )
    first, last = at["start"]
    return Example(
        clean,
        corrupt,
        answers=tuple(start + year for year in years[century] if year > begin),
        wrong=tuple(start + year for year in years[century] if year <= begin),
        spans={"event": at["event"], "XX": (first, first + len(century + end)), "YY": (last - len(begin), last)},
        factors={"words": (event,), "templates": (template,)},
    )


def calendar(tokenizer: Any) -> Calendar:
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
