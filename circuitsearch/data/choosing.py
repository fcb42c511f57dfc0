"""Which layout a row has: from its columns, those that the user names, and what people call them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from circuitsearch.errors import InputError, nearest, shortened, unknown
from circuitsearch.metrics import answer_log_prob

from .layouts import GREATER_THAN, LAYOUTS, OWN, SYNONYMS, At, Fields, Layout
from .row import Row

PARTS = {
    "clean": "clean prompt",
    "corrupt": "corrupt prompt",
    "answer": "right answer",
    "wrong": "wrong answer",
}
_IDS = {"clean": "clean_ids", "corrupt": "corrupt_ids", "answer": "answer_id", "wrong": "wrong_id"}
OPTIONAL = tuple(name for name in Row.model_fields if name not in (*_IDS, *_IDS.values(), "alone"))
_NAMED = tuple(dict.fromkeys(name for names in (*SYNONYMS.values(), OPTIONAL) for name in names))


def check_columns(columns: Mapping[str, str]) -> None:
    """Raise an InputError unless ``columns`` maps names of ours to names of columns."""
    known = [*_IDS, *_IDS.values(), *OPTIONAL]
    for ours, theirs in columns.items():
        if ours not in known:
            raise unknown("column", str(ours), known)
        if not isinstance(theirs, str) or not theirs:
            raise InputError(f"the column for {ours} is {shortened(repr(theirs), 40)}: give its name")


@dataclass(frozen=True)
class Chooser:
    """Reads rows by the layout that their columns have.

    Attributes
    ----------
    columns : mapping
        The columns that the user names, ours to theirs.
    table : bool
        Whether names of columns are compared without regard to capitals, spaces and hyphens.
    layout : Layout, optional
        The layout of all rows; if none is given each row has its own.
    """

    columns: Mapping[str, str]
    table: bool = False
    layout: Layout | None = None

    def read(self, row: Fields) -> tuple[Layout, dict[str, Any]]:
        """The layout of a row and its values under our names.

        Raises
        ------
        InputError
            If the columns do not say what one of the four is; or a key is probably misspelt.
        """
        given = {ours: self._named(row, ours, theirs) for ours, theirs in self.columns.items()}
        row = self._renamed(row) if self.table else row
        layout = self.layout or layout_of(row, given)
        optional = OPTIONAL if layout.own else ("group", "system")
        found = {name: row[name] for name in optional if row.get(name) is not None} | layout.read(row)
        for part in given:
            found.pop(_IDS.get(part, part), None)
            found.pop(next((text for text, ids in _IDS.items() if ids == part), part), None)
        return layout, found | given

    def _named(self, row: Fields, ours: str, theirs: str) -> Any:
        value = At(theirs)(row)
        if value is None:
            top = At(theirs).columns[0]
            raise InputError(
                f"no value in the column {shortened(repr(theirs), 40)}, which you name for {ours}"
                if theirs in row or top in row
                else f"no column {shortened(repr(theirs), 40)}, which you name for {ours}:{nearest(theirs, row)} {_listed(row)}"
            )
        return value

    def _renamed(self, row: Fields) -> Fields:
        """The row with known names of columns in the way that they are known."""
        names = {name: _known(name) for name in row}
        found = {names[name]: value for name, value in row.items()}
        if len(found) < len(row):
            twice = next(name for index, name in enumerate(names.values()) if name in list(names.values())[:index])
            raise InputError(f"two columns are {twice!r}, if capitals and spaces do not count: rename one of them")
        return found


def _known(name: str) -> str:
    """A known name for a name that differs from it in capitals, spaces or hyphens; else the name."""
    plain = name.strip().casefold().replace(" ", "_").replace("-", "_")
    return plain if plain in _NAMED else name


def layout_of(row: Fields, given: Collection[str] = ()) -> Layout:
    """The first layout whose columns a row has, those ``given`` by the user aside.

    Raises
    ------
    InputError
        If there is none; the sentence says what is missing, and which columns there are.
    """
    for layout in (*OWN, *LAYOUTS):
        if _has(row, layout, given):
            if layout.own:
                _check_keys(row, given)
            return layout
    named = {part: _synonym(row, part, given) for part in PARTS}
    missing = [part for part, (_, value) in named.items() if value is None and not _is_given(part, given)]
    if not missing:
        _check_keys(row, given)
        fields = {name: value for name, value in named.values() if value is not None}
        names = ", ".join(value.path for value in fields.values())
        return Layout(f"columns {names}" if names else "the columns that you name", fields, own=True)
    greater = next(
        (layout for layout in GREATER_THAN if _has(row, layout, given) and _is_greater_than(row, layout)), None
    )
    if greater is not None:
        return greater
    if missing == ["wrong"] and _has_nothing_else(row):
        fields = {name: value for name, value in named.values() if value is not None}
        return Layout(
            "clean, corrupt, answer (no wrong one: the answer is teacher-forced)",
            fields,
            answer_log_prob,
            own=True,
            forced=True,
        )
    raise _missing(missing[0], row)


def _has_nothing_else(row: Fields) -> bool:
    """Whether no column can have the wrong answer: all are known, and none is a label, of which some are wrong answers' limits."""
    return set(row) <= set(_NAMED) - {"label"}


def _is_given(part: str, given: Collection[str]) -> bool:
    return part in given or _IDS[part] in given


def _has(row: Fields, layout: Layout, given: Collection[str]) -> bool:
    """Whether a row has all columns of a layout; of what is given under our names none is needed."""
    needed = (
        value.columns
        for name, value in layout.fields.items()
        if not _is_given(name if name in PARTS else next(part for part in PARTS if _IDS[part] == name), given)
    )
    found = [all(column in row for column in columns) for columns in needed]
    return bool(found) and all(found)


def _synonym(row: Fields, part: str, given: Collection[str]) -> tuple[str, At | None]:
    """Our name for a part, in text or ids, and the column of the row that has it."""
    for name in (_IDS[part], part):
        for column in SYNONYMS[name]:
            if column in row and not _is_given(part, given):
                return name, At(column)
    return part, None


def _is_greater_than(row: Fields, layout: Layout) -> bool:
    """Whether the clean prompt ends with the first two digits of a number that it holds, whose last two are the label."""
    up_to, clean = layout.fields["wrong"](row), str(row.get("clean"))
    return bool(up_to) and clean[-2:].isdecimal() and f"{clean[-2:]}{up_to[-1]}" in clean


def _missing(part: str, row: Fields) -> InputError:
    """What a row lacks, what may be meant, and how to say it."""
    if part == "wrong" and "label" in row:
        why = "the column label alone does not say which answers are wrong"
    elif part in ("answer", "wrong") and {"group", "plural"} <= set(row):
        why = "EAP-IG's agreement rows name no verbs"
    else:
        why = f"no {PARTS[part]}"
    meant = nearest(*_closest(part, row)) if row else ""
    return InputError(
        f"{why}:{meant} add {part} (or {_IDS[part]}), or name your column with --column {part}=NAME; {_listed(row)}"
    )


def _closest(part: str, row: Fields) -> tuple[str, list[str]]:
    """The column that is most like one of the names of a part, and the name that may be meant."""
    names = [*SYNONYMS[part], *SYNONYMS[_IDS[part]]]
    pairs = [
        (difflib.SequenceMatcher(None, column.casefold()[:60], name).ratio(), column, name)
        for column in list(row)[:100]
        for name in names
    ]
    best = max((pair for pair in pairs if pair[1] not in _NAMED), default=(0.0, "", ""))
    return (best[1].casefold(), [best[2]]) if best[0] >= 0.75 else ("", [])


def _listed(row: Fields) -> str:
    return f"its columns are {shortened(', '.join(map(str, row)), 100)}" if row else "it has no columns"


def _check_keys(row: Fields, given: Collection[str]) -> None:
    """Refuse a key that is probably a misspelling of a missing key, since it would be ignored."""
    own = {name for part, ids in _IDS.items() for name in (part, ids) if not _is_given(part, given)}
    missing = [name for name in (*own, *OPTIONAL) if name not in row and name not in given]
    for key in row:
        near = [] if key in _NAMED else difflib.get_close_matches(str(key)[:60], missing, n=1, cutoff=0.8)
        if near:
            raise InputError(f"the key {shortened(repr(key), 60)} is not read: did you mean {near[0]!r}?")
