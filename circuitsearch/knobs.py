"""Knobs: the fields of a method or an ablation, checked when it is made."""

from __future__ import annotations

from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from circuitsearch.errors import InputError, shortened


class Knobs:
    """Base of methods and ablations, which are frozen dataclasses: every field must have a value of its type.

    Raises
    ------
    InputError
        If a field has another type; the message names it.
    """

    def __post_init__(self) -> None:
        hints, owner = get_type_hints(type(self)), type(self).__name__
        for each in fields(self):  # pyright: ignore[reportArgumentType]
            given, hint = getattr(self, each.name), hints[each.name]
            if isinstance(given, type):
                raise InputError(f"{owner}'s {each.name} must be a value, not a class: write {given.__name__}()")
            if not suits(given, hint):
                wanted = " or ".join(_name(kind) for kind in _alternatives(hint))
                raise InputError(f"{owner}'s {each.name} must be {wanted}, not {shortened(repr(given))}")


def in_words(value: Any) -> str:
    """A value as its ``in_words`` says it, or as it is written if it has none, as one of another package may."""
    return getattr(value, "in_words", None) or str(value)


def check_at_least_one(knobs: Knobs, *names: str) -> None:
    """Raise an InputError that names the first of these knobs that is below 1; None counts as not given."""
    for name in names:
        value = getattr(knobs, name)
        if value is not None and value < 1:
            raise InputError(f"{type(knobs).__name__}'s {name} must be at least 1, not {value}")


def suits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type, for classes, unions and tuples of such; other types are not checked.

    Examples
    --------
    >>> suits(5, int), suits(True, int), suits(5, float), suits((1, 2), tuple[int, ...]), suits(None, int | None)
    (True, False, True, True, True)
    """
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and _suit(value, get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return any(suits(value, kind) for kind in get_args(hint))
    if hint in (int, float) and isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, int | float)
    return hint is Any or not isinstance(hint, type) or isinstance(value, hint)


def _suit(values: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    if len(hints) == 2 and hints[1] is ...:
        return all(suits(value, hints[0]) for value in values)
    return len(values) == len(hints) and all(map(suits, values, hints))


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _name(hint: Any) -> str:
    names = {int: "an integer", float: "a number", bool: "True or False", str: "a text", NoneType: "None"}
    return names.get(hint) or getattr(hint, "__name__", None) or str(hint)
