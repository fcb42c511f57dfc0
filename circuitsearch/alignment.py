"""Alignment: what is done with pairs of prompts whose clean and corrupt prompts differ in length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from circuitsearch.errors import InputError, counted
from circuitsearch.knobs import Knobs

Region = tuple[range, range]  # positions in the clean prompt, and those in the corrupt prompt that correspond to them
SHOWN = 3  # rows that a note names


@dataclass(frozen=True)
class Row:
    """The ids of a pair of prompts, (T,) and (T',), and the positions of the spans that are named in each."""

    clean: Tensor
    corrupt: Tensor
    spans: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    corrupt_spans: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_aligned(self) -> bool:
        """Whether both have as many tokens."""
        return len(self.clean) == len(self.corrupt)

    @property
    def is_one_to_one(self) -> bool:
        """Whether both have as many tokens, and so has every span that is named in both."""
        names = self.spans.keys() & self.corrupt_spans.keys()
        return self.is_aligned and all(len(self.spans[name]) == len(self.corrupt_spans[name]) for name in names)


@dataclass(frozen=True)
class Aligned:
    """What an alignment made of N rows.

    Attributes
    ----------
    kept : tuple of int
        The rows that are kept.
    positions : tuple of Tensor
        For each of these the position (T,) in the corrupt prompt that corresponds to each one of the clean prompt; empty if each
        corresponds to its own.
    note : str
        What was left out or aligned, in a few words; empty for nothing.
    """

    kept: tuple[int, ...]
    positions: tuple[Tensor, ...] = ()
    note: str = ""


class Alignment(Protocol):
    """What is done with pairs of unequal lengths; a frozen dataclass."""

    def align(self, rows: Sequence[Row]) -> Aligned:
        """Align the pairs, or raise an InputError that names a row."""
        ...


@dataclass(frozen=True)
class Error(Knobs):
    """They are refused."""

    def align(self, rows: Sequence[Row]) -> Aligned:
        """All rows, if each is of one length."""
        for number, row in enumerate(rows, 1):
            if not row.is_aligned:
                raise InputError(
                    f"row {number}: the clean prompt has {len(row.clean)} tokens and the corrupt one {len(row.corrupt)}{_where(row)}:"
                    " use a word of as many tokens, or align='drop' or 'span' (--align)"
                )
        return Aligned(tuple(range(len(rows))))


@dataclass(frozen=True)
class Drop(Knobs):
    """They are left out, and the task's note says how many."""

    def align(self, rows: Sequence[Row]) -> Aligned:
        """The rows of one length, at least one."""
        dropped = [number for number, row in enumerate(rows, 1) if not row.is_aligned]
        if len(dropped) == len(rows) > 0:
            raise InputError(
                f"each of {counted(len(rows), 'row')} has a clean and a corrupt prompt of different lengths, so none is left: use words"
                " of as many tokens, or align='span' (--align)"
            )
        named = ", ".join(map(str, dropped[:SHOWN])) + (" ..." if len(dropped) > SHOWN else "")
        note = f"{len(dropped):,} of {counted(len(rows), 'row')} left out, whose prompts differ in length: {named}"
        kept = tuple(number for number, row in enumerate(rows) if row.is_aligned)
        return Aligned(kept, note=note if dropped else "")


@dataclass(frozen=True)
class Span(Knobs):
    """Spans of different lengths correspond to each other, their last tokens first.

    The spans are those named in both prompts; if the corrupt prompt has none, the tokens between what both prompts begin with and what
    both end with. Tokens outside them correspond one to one, in order. In a span of m tokens against n the last token corresponds to
    the last, since that one has read the whole name, the one before it to the one before ...; if m > n, the first m - n + 1 all
    correspond to the first of the n, and if m < n, the first n - m of the corrupt ones to none.

    An ablated edge then carries what its writer adds at the corresponding position of the corrupt prompt, which is run as it is.
    """

    def align(self, rows: Sequence[Row]) -> Aligned:
        """All rows, with corresponding positions if any row is not of one length."""
        kept = tuple(range(len(rows)))
        if all(row.is_one_to_one for row in rows):
            return Aligned(kept)
        positions = tuple(_positions(f"row {number}", row) for number, row in enumerate(rows, 1))
        unequal = sum(not row.is_one_to_one for row in rows)
        return Aligned(
            kept,
            positions,
            f"{unequal:,} of {counted(len(rows), 'pair')} aligned by spans, since their prompts differ in length",
        )


def _positions(place: str, row: Row) -> Tensor:
    """The position (T,) in the corrupt prompt that corresponds to each of the clean one."""
    if row.is_one_to_one:
        return torch.arange(len(row.clean))
    found: list[int] = []
    for inside, (clean, corrupt) in _regions(row):
        m, n = len(clean), len(corrupt)
        if m != n and not (inside and m and n):
            raise InputError(
                f"{place}: {counted(m, 'token')} of the clean prompt, from position {clean.start}, cannot correspond to"
                f" {n} of the corrupt one: {'replace' if inside else 'name in both prompts as spans'} the words that differ in length"
            )
        found += [corrupt.start + max(0, n - m + token) for token in range(m)]
    return torch.tensor(found)


def _regions(row: Row) -> list[tuple[bool, Region]]:
    """The prompts in consecutive regions, each inside or outside a span, in order."""
    both = [name for name in row.spans if row.spans[name] and row.corrupt_spans.get(name)]
    names = sorted(both, key=lambda name: row.spans[name])
    spans = [(_run(row.spans[name]), _run(row.corrupt_spans[name])) for name in names] or [_difference(row)]
    regions: list[tuple[bool, Region]] = []
    clean, corrupt = 0, 0
    for one, other in spans:
        if one.start < clean or other.start < corrupt:
            continue  # a part of the span before it
        regions += [(False, (range(clean, one.start), range(corrupt, other.start))), (True, (one, other))]
        clean, corrupt = one.stop, other.stop
    return [*regions, (False, (range(clean, len(row.clean)), range(corrupt, len(row.corrupt))))]


def _run(positions: Sequence[int]) -> range:
    return range(min(positions), max(positions) + 1)


def _difference(row: Row) -> Region:
    """What is between the tokens with which both prompts begin and those with which both end."""
    shortest = min(len(row.clean), len(row.corrupt))
    before = _agreeing(row.clean[:shortest], row.corrupt[:shortest])
    rest = shortest - before
    after = _agreeing(row.clean.flip(0)[:rest], row.corrupt.flip(0)[:rest])
    return range(before, len(row.clean) - after), range(before, len(row.corrupt) - after)


def _agreeing(one: Tensor, other: Tensor) -> int:
    """With how many equal ids two tensors of one length begin."""
    return int((one == other).long().cumprod(0).sum())


def _where(row: Row) -> str:
    clean, corrupt = _difference(row)
    return f" ({counted(len(clean), 'token')} from position {clean.start} against {len(corrupt)})"


ERROR = Error()
