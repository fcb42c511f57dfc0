"""The base of the instruments' results: numbers that can be saved, printed and drawn."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from circuitsearch import show
from circuitsearch.files import plain, to_json, write_bytes


class Result:
    """A frozen dataclass of numbers; each instrument documents its own fields."""

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain JSON types: tensors as nested lists, NaN as None."""
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}  # type: ignore[arg-type]

    def save(self, path: str | Path) -> None:
        """Write the numbers as JSON.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        write_bytes(path, (to_json(self.to_dict()) + "\n").encode())

    def _repr_svg_(self) -> str | None:
        """The figure for a notebook."""
        return show.as_svg(self)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The most important numbers as a header and rows of text."""
        raise NotImplementedError


def strongest(
    values: Tensor, rows: tuple[str, ...], columns: tuple[str, ...], count: int = 10
) -> list[tuple[str, ...]]:
    """The cells (R, C) of largest magnitude, as (row, column, value) in text; NaN and zero are left out."""
    flat = values.nan_to_num(0.0).flatten()
    order = flat.abs().sort(descending=True, stable=True).indices[:count].tolist()
    width = values.shape[1]
    return [(rows[at // width], columns[at % width], f"{float(flat[at]):+.4f}") for at in order if float(flat[at])]
