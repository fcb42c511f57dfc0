"""Lists and numbers that a table holds as text: ``"['a', 'b']"``, ``"[15496 11]"``, ``"5335.0"``."""

from __future__ import annotations

import ast
import re
from typing import Any

_LONGEST = 200_000  # characters
_DEEPEST = 4  # brackets that are open at a time
_ARRAY = re.compile(r"\[[\d\s]+\]")  # as numpy prints whole numbers
_WHOLE = re.compile(r"\s*([+-]?\d{1,20})(\.0*)?\s*")
_MARKS = re.compile(r"[-+~]\s*[-+~]")  # runs of signs, which are nested expressions


def unprinted(value: Any) -> Any:
    """The list or mapping that a text shows; any other value as it is.

    Examples
    --------
    >>> unprinted("[' dog', ' cat']"), unprinted("[15496 11]"), unprinted("[not a list")
    ([' dog', ' cat'], [15496, 11], '[not a list')
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text or text[0] not in "[{" or text[-1] not in "]}" or len(text) > _LONGEST or _depth(text) > _DEEPEST:
        return value
    if _ARRAY.fullmatch(text):
        return [int(each) for each in text[1:-1].split() if len(each) <= 20]
    try:
        return value if _MARKS.search(text) else ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return value


def whole(value: Any) -> Any:
    """Whole numbers in place of their texts, also in a list; any other value as it is.

    Examples
    --------
    >>> whole("5335.0"), whole(["7", 8.0]), whole("7.5")
    (5335, [7, 8], '7.5')
    """
    value = unprinted(value)
    if isinstance(value, list):
        return [whole(each) if isinstance(each, str | float) else each for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    found = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else value


def is_ids(value: Any) -> bool:
    """Whether a value is token ids: a list of whole numbers, of at least one."""
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _depth(text: str) -> int:
    """How many brackets are open at a time, at most, with those inside of texts counted as well."""
    depth = deepest = 0
    for char in re.findall(r"[\[\]{}()]", text):
        depth += 1 if char in "[{(" else -1
        deepest = max(deepest, depth)
    return deepest
