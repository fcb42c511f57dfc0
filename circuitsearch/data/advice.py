"""What would mend refused rows: each repair is tried on them, and those that work are proposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circuitsearch.errors import InputError, shortened
from circuitsearch.text import Tokenizer, answer_token, encode

from .encoded import EncodedRows, encoded_row
from .row import Row, listed

Check = Callable[[Mapping[str, Any]], object]

_TRIED = 1000  # refused rows on which repairs are tried
_NAMED = 3  # answers for which others are proposed
_OTHERS = 4  # answers that are proposed for one


@dataclass(frozen=True)
class Repair:
    """A change of a row, and how to say it."""

    what: str
    change: Callable[[Row], Row]


def spaced(row: Row) -> Row:
    """The row with one space before each answer."""
    return _with_answers(row, lambda answer: f" {answer.lstrip()}")


def bare(row: Row) -> Row:
    """The row without spaces before its answers."""
    return _with_answers(row, str.lstrip)


def _with_answers(row: Row, change: Callable[[str], str]) -> Row:
    answers = {name: [change(answer) for answer in listed(getattr(row, name))] or None for name in ("answer", "wrong")}
    return row.model_copy(update=answers)


def _trimmed(row: Row) -> Row:
    """The row without spaces at the prompts' ends."""
    prompts = {name: None if (text := getattr(row, name)) is None else text.rstrip() for name in ("clean", "corrupt")}
    return row.model_copy(update=prompts)


REPAIRS = (
    Repair("begin the answers with a space", spaced),
    Repair("begin the answers without a space", bare),
    Repair("remove the space at the end of the prompts", _trimmed),
    Repair(
        "remove the space at the end of the prompts and begin the answers with it", lambda row: spaced(_trimmed(row))
    ),
)


def advice(
    found: EncodedRows, tokenizer: Tokenizer | None, chat: bool, check: Check, spanned: Check
) -> tuple[str, ...]:
    """Sentences about what would make refused rows usable.

    Parameters
    ----------
    found
        The rows; of those refused, the ones that are text are tried.
    tokenizer, chat
        With which they were encoded.
    check
        Raises an InputError unless the columns of a row are a task.
    spanned
        The same, with pairs of unequal lengths aligned by spans.
    """
    if tokenizer is None:
        return ()
    rows = {refusal.place: found.texts[refusal.place] for refusal in found.refused if refusal.place in found.texts}
    tried = {place: row for place, row in list(rows.items())[:_TRIED] if row.clean and row.corrupt}
    mended: dict[str, list[str]] = {}
    left: dict[str, Row] = {}
    for place, row in tried.items():
        repair = next((each for each in REPAIRS if _works(each.change(row), tokenizer, chat, check)), None)
        if repair is None:
            left[place] = row
        else:
            mended.setdefault(repair.what, []).append(place)
    repairs = (f"{what}: that mends {_counted(places)}" for what, places in mended.items())
    return (
        *repairs,
        *_alignment(left, tokenizer, chat, len(found.rows), spanned),
        *_other_answers(left, found, tokenizer),
    )


def _works(row: Row, tokenizer: Tokenizer, chat: bool, check: Check) -> bool:
    try:
        check(encoded_row("", row, tokenizer, chat).columns)
    except InputError:
        return False
    return True


def _alignment(rows: Mapping[str, Row], tokenizer: Tokenizer, chat: bool, n_usable: int, spanned: Check) -> list[str]:
    """What to do about prompts of unequal length."""
    unequal = [place for place, row in rows.items() if _length(tokenizer, row.clean) != _length(tokenizer, row.corrupt)]
    if not unequal:
        return []
    works = [place for place in unequal if _works(rows[place], tokenizer, chat, spanned)]
    also = f"; --align span aligns the words that differ in {_counted(works)}" if works else ""
    return [
        f"{_counted(unequal)} {'has' if len(unequal) == 1 else 'have'} prompts of unequal length: use words of as many tokens;"
        f" --align drop leaves such rows out ({n_usable} stay){also}"
    ]


def _length(tokenizer: Tokenizer, text: str | None) -> int:
    return len(encode(tokenizer, text or ""))


def _other_answers(rows: Mapping[str, Row], found: EncodedRows, tokenizer: Tokenizer) -> list[str]:
    """For answers that are not one token, others that are: in other letters, or of other rows."""
    known = dict.fromkeys(text for row in found.texts.values() for text in (*listed(row.answer), *listed(row.wrong)))
    said: dict[str, str] = {}
    for place, row in rows.items():
        for answer in (*listed(row.answer), *listed(row.wrong)):
            if len(said) < _NAMED and answer not in said and not _is_answer(tokenizer, row, answer):
                cases = _written(answer)
                fits = [each for each in dict.fromkeys((*cases, *known)) if _fits(each, answer, row, tokenizer)]
                others = ", ".join(map(repr, fits[:_OTHERS])) or "none of this file's"
                said[answer] = (
                    f"{place}: {shortened(repr(answer), 40)} is not one token; others that are: {shortened(others, 80)}"
                )
    return list(said.values())


def _fits(other: str, answer: str, row: Row, tokenizer: Tokenizer) -> bool:
    """Whether another answer is one token, and begins as this one does or with a space."""
    alike = other.startswith(" ") or not answer.startswith(" ")
    return other != answer and alike and _is_answer(tokenizer, row, other)


def _written(answer: str) -> list[str]:
    """An answer in other letters, with a space before it and without."""
    word = answer.strip()
    return [space + each for each in (word, word.lower(), word.capitalize(), word.upper()) for space in (" ", "")]


def _is_answer(tokenizer: Tokenizer, row: Row, answer: str) -> bool:
    try:
        return answer_token(tokenizer, row.clean or "", answer) != getattr(tokenizer, "unk_token_id", None)
    except InputError:
        return False


def _counted(places: Sequence[str]) -> str:
    return places[0] if len(places) == 1 else f"{len(places)} rows (the first is {places[0]})"
