"""Rows that are refused: all of them are found, the first ten are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from circuitsearch.errors import LONGEST, InputError, shortened

SHOWN = 10


@dataclass(frozen=True)
class Refusal:
    """A row that is refused: its place, as in ``"line 7"``, and the reason, which says what to do."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class RowsRefused(InputError):
    """The rows of a task that are refused.

    The message is about the first of them and gives their number; the first ten follow it as a note, which Python shows below
    the message.

    Attributes
    ----------
    refused : tuple of Refusal
        All of them.
    """

    def __init__(self, source: str, refused: Sequence[Refusal], n_rows: int) -> None:
        first = f"{source}, {refused[0]}" if source else str(refused[0])
        many = f"{len(refused)} of {n_rows} rows are refused; the first is {first}"
        super().__init__(first if len(refused) == 1 else many)
        self.refused = tuple(refused)
        if len(refused) > 1:
            self.add_note(table_of(refused))


def table_of(refused: Sequence[Refusal]) -> str:
    """The first ten refused rows, one a line, and how many more there are."""
    lines = [shortened(f"  {refusal}", LONGEST) for refusal in refused[:SHOWN]]
    more = len(refused) - SHOWN
    return "\n".join([*lines, *([f"  ... and {more:,} more"] if more > 0 else [])])
