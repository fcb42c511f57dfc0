"""Greater-than: "The war lasted from the year 1732 to the year 17" -> any year after 32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.example import Example
from circuitsearch.metrics import prob_diff
from circuitsearch.task import Task
from circuitsearch.text import is_one_token

from .pools import Pool, Pools, select
from .template import fill
from .words import EVENTS, OBJECTS
from .writer import Writer

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

PRICES = [
    "The {event} cost from ${start} to ${century}",
    "The price of the {event} went from ${start} up to ${century}",
    "You can sell the {event} for ${start}, or even for ${century}",
    "The price of that {event} ranges from ${start} to ${century}",
    "The old {event} cost ${start}, and the new one costs ${century}",
    "For the {event} we paid more than the ${start} that they asked, namely ${century}",
    "The {event} was ${start} before prices went up to ${century}",
    "A {event} costs between ${start} and ${century}",
    "They offered ${start} for the {event}, but he wanted ${century}",
    "The first offer for the {event} was ${start} and the next, higher one was ${century}",
    "The value of the {event} rose from ${start} to ${century}",
    "With tax the {event} for ${start} costs ${century}",
]
SEQUENCES = [
    "The years of the {event} were {first}, {second}, {start}, {century}",
    "The {event} was in {first}, {second}, {start}, {century}",
    "They had a {event} in {first}, {second}, {start} and {century}",
    "We read about the {event} of {first}, {second}, {start} and {century}",
    "In order, the years of each {event} are {first}, {second}, {start}, {century}",
    "The {event} came again in {first}, {second}, {start} and {century}",
    "Years with a {event}: {first}, {second}, {start}, {century}",
    "There was a {event} in {first}, in {second}, in {start} and in {century}",
    "People know the {event} of {first}, that of {second}, that of {start} and that of {century}",
    "From first to last, the {event} was in {first}, {second}, {start}, {century}",
    "The dates of the {event}: {first}, {second}, {start}, {century}",
    "Each {event} began in {first}, {second}, {start}, {century}",
]
GOODS = [
    *OBJECTS,
    *[
        "watch",
        "table",
        "chair",
        "sofa",
        "desk",
        "piano",
        "guitar",
        "bike",
        "truck",
        "boat",
        "horse",
        "painting",
        "carpet",
        "mirror",
        "clock",
        "jacket",
    ],
]

CENTURIES = [str(century) for century in range(11, 19)]
YEARS = [f"{year:02d}" for year in range(100)]
EARLIEST = "01"
DIGITS = "0123456789"

JOINTS = [("", ""), ("", " "), (" ", "")]
"""What is between the halves of a year: nothing; a space that belongs to the second half; a space that is a token itself."""

Answers = tuple[tuple[str, ...], tuple[str, ...]]
"""The right and the wrong answers."""
Calendar = Mapping[str, tuple[str, Mapping[str, Answers]]]
"""For each century, as it is written before a year: the earliest year, and for others the answers after them."""


def greater_than(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Greater-than: an event ends in a later year than it began.

    Right are all two-digit years after the first year, wrong that year and all before. Where a tokenizer splits years into
    digits, the model answers with the decade, the first digit that decides: right are the digits above the first year's decade,
    wrong those below it; its own could be either. A year should be two tokens, century and two digits; if "1732" is not, "17 32"
    is tried, and then single digits. Years that fall into other tokens are left out.

    Counterfactual: the event begins in the year 01 of the century (the paper's "01" prompts), after which every year is possible.
    Metric: probability of the right answers minus that of the wrong ones. Spans: ``event``; ``XX`` and ``YY``, century and two
    digits of the first year; ``END``.

    References
    ----------
    Hanna et al., How does GPT-2 compute greater-than?, 2023, arXiv:2305.00586.
    """
    return writer(tokenizer).draw_by_group(n, seed)


def greater_than_price(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Greater-than with prices: the second price is the higher one, "from $1732 to $17".

    All else as in greater_than; the price of the corrupt prompt ends in 01.

    References
    ----------
    Hanna et al., How does GPT-2 compute greater-than?, 2023, arXiv:2305.00586 (prices are among its similar tasks).
    """
    return writer(tokenizer, "greater_than_price", PRICES, Pool("words", "goods", GOODS)).draw_by_group(n, seed)


def greater_than_sequence(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Greater-than in a rising sequence of years: "1607, 1653, 1732, 17".

    The first two years are of the century before, in order. All else as in greater_than; only the last whole year of the corrupt
    prompt ends in 01.

    References
    ----------
    Hanna et al., How does GPT-2 compute greater-than?, 2023, arXiv:2305.00586 (sequences are among its similar tasks).
    """
    return writer(tokenizer, "greater_than_sequence", SEQUENCES).draw_by_group(n, seed)


_EVENTS = Pool("words", "events", EVENTS)


def writer(
    tokenizer: Any, task: str = "greater_than", templates: Sequence[str] = TEMPLATES, words: Pool = _EVENTS
) -> Writer:
    """The writer of the task, or of one with other templates and words."""
    rule = partial(write, calendar(tokenizer, task))
    chosen = select(task, tokenizer, [words], [templates])
    return Writer(task, rule, chosen.by_group, tokenizer, prob_diff, chosen.words)


def write(calendar: Calendar, random: Random, pools: Pools) -> Example:
    """One example of an event that began in any year of a century after which some years are right and some wrong."""
    template, event = random.choice(pools["templates"]), random.choice(pools["words"])
    is_sequence = "{first}" in template
    century = random.choice(sorted(calendar)[is_sequence:])
    earliest, years = calendar[century]
    begin = random.choice(sorted(years))
    earlier = _earlier(calendar, random, century) if is_sequence else {}
    (clean, at), (corrupt, _) = (
        fill(template, {"event": event, "start": century + year, "century": century, **earlier})
        for year in (begin, earliest)
    )
    first, last = at["start"]
    return Example(
        clean,
        corrupt,
        *years[begin],
        spans={"event": at["event"], "XX": (first, first + len(century)), "YY": (last - len(EARLIEST), last)},
        factors={"words": (event,), "templates": (template,)},
    )


def _earlier(calendar: Calendar, random: Random, century: str) -> dict[str, str]:
    """Two years of the century before, in order."""
    known = sorted(calendar)
    before = known[known.index(century) - 1]
    first, second = sorted(random.sample(sorted(calendar[before][1]), 2))
    return {"first": before + first, "second": before + second}


def calendar(tokenizer: Any, task: str) -> Calendar:
    """The answers after each year, with the first way of writing a year that the tokenizer splits where it must."""
    for end, start in JOINTS:
        found = {century + end: two_digit_years(tokenizer, century + end, start) for century in CENTURIES}
        if any(found.values()):
            return {century: (start + EARLIEST, years) for century, years in found.items() if years}
    split = [century for century in CENTURIES if has_digits(tokenizer, century)]
    if not split:
        raise InputError(
            f"task {task}: this tokenizer splits years neither into century and two digits (1732 or 17 32 into 17 and"
            " 32) nor into digits; use a tokenizer in which numbers of two digits are one token, or two"
        )
    return {century: (EARLIEST, decades()) for century in split}


def two_digit_years(tokenizer: Any, century: str, start: str) -> dict[str, Answers]:
    """The answers after each year that is one token of its own after the century; none if such years are few."""
    # The century must end in the same token whether a year follows or not, which is_one_token checks.
    years = [start + year for year in YEARS if is_one_token(tokenizer, start + year, f"the year {century}")]
    if len(years) < 20 or start + EARLIEST not in years:
        return {}
    after = {year: place for place, year in enumerate(years, 1)}
    return {
        year: (tuple(years[after[year] :]), tuple(years[: after[year]]))
        for year in years[:-1]
        if year > start + EARLIEST
    }


def has_digits(tokenizer: Any, century: str) -> bool:
    """Whether both digits of a year are tokens of their own after the century."""
    text = f"the year {century}"
    return all(is_one_token(tokenizer, digit, before) for digit in DIGITS for before in (text, text + digit))


def decades() -> dict[str, Answers]:
    """The decades above and below that of each year that has both."""
    return {
        year: (tuple(DIGITS[int(year[0]) + 1 :]), tuple(DIGITS[: int(year[0])])) for year in YEARS if "09" < year < "90"
    }
