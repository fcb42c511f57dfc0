"""How values are displayed in a notebook.

This is the one place where a lower layer uses a higher one: a circuit that is the last value of a cell is displayed as its
figure, and figures are a higher layer. The module is looked up when a notebook displays a value, not on import
(docs/decisions/0014-notebooks.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_INLINE = "circuitsearch.figures.inline"


def as_svg(value: Any) -> str | None:
    """The figure of a value; None if there is none, so that its ``repr`` is displayed."""
    return import_module(_INLINE).as_svg(value)


def as_html(value: Any) -> str:
    """A value as a table, with every text escaped."""
    return import_module(_INLINE).as_html(value)
