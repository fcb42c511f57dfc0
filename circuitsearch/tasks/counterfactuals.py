"""How the corrupt prompt differs from the clean one: rules, each a value with its knobs, named in ``COUNTERFACTUALS``.

A rule takes the words of the clean prompt by slot and returns those of the corrupt prompt. Words that only the corrupt prompt
has are slots, too, so that prompts with different rules and the same seed have the same clean side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs
from circuitsearch.registry import Registry

from .scene import OTHER, Scene, Word

Slots = str | tuple[str, ...]


class Counterfactual(Protocol):
    """A rule from the words of the clean prompt to those of the corrupt one."""

    @property
    def changed(self) -> tuple[str, ...]:
        """The slots that have another word in the corrupt prompt."""
        ...

    def sources(self, slot: str) -> tuple[str, ...]:
        """The slots whose word a changed slot can get."""
        ...

    def __call__(self, scene: Scene) -> Scene: ...


@dataclass(frozen=True)
class Replace(Knobs):
    """Slots get the words of other slots.

    Examples
    --------
    >>> from circuitsearch.tasks.scene import Word
    >>> scene = {"S1": Word("John"), "S2": Word("John"), "other": Word("Paul")}
    >>> {name: word.text for name, word in Replace("S2", by="other")(scene).items()}
    {'S1': 'John', 'S2': 'Paul', 'other': 'Paul'}
    """

    slots: Slots
    by: Slots

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.changed) != len(_names(self.by)):
            raise InputError(f"Replace has {len(self.changed)} slots and {len(_names(self.by))} in their place")

    @property
    def changed(self) -> tuple[str, ...]:
        return _names(self.slots)

    def sources(self, slot: str) -> tuple[str, ...]:
        return tuple(by for name, by in zip(self.changed, _names(self.by), strict=True) if name == slot)

    def __call__(self, scene: Scene) -> Scene:
        return {**scene, **{slot: scene[by] for slot, by in zip(self.changed, _names(self.by), strict=True)}}


@dataclass(frozen=True)
class Rotate(Knobs):
    """Each slot gets the word of the next, and the last that of the first; two slots are swapped."""

    slots: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.slots)) < 2:
            raise InputError("Rotate needs two different slots or more")

    @property
    def changed(self) -> tuple[str, ...]:
        return self.slots

    def sources(self, slot: str) -> tuple[str, ...]:
        return self.slots

    def __call__(self, scene: Scene) -> Scene:
        after = (*self.slots[1:], self.slots[0])
        return {**scene, **{slot: scene[other] for slot, other in zip(self.slots, after, strict=True)}}


@dataclass(frozen=True)
class Flip(Knobs):
    """A slot with two values gets the other one."""

    slot: str

    @property
    def changed(self) -> tuple[str, ...]:
        return (self.slot,)

    def sources(self, slot: str) -> tuple[str, ...]:
        return ()

    def __call__(self, scene: Scene) -> Scene:
        word = scene[self.slot]
        return {**scene, self.slot: Word(word.cells[OTHER], {OTHER: word.text})}


def _names(slots: Slots) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else slots


COUNTERFACTUALS = Registry(
    "counterfactual",
    {name.lower(): f"{__name__}:{name}" for name in ("Replace", "Rotate", "Flip")},
    lambda value: hasattr(value, "changed"),
    "Replace('S2', by='IO')",
)
