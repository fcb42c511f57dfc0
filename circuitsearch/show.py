"""How values show themselves in a notebook.

The one place where a low room reaches up: a circuit is to be seen as its figure wherever it stands last in a cell, and
figures are made far above it. The name is looked up when a notebook asks, not when anything is imported
(docs/decisions/0014-notebooks.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_INLINE = "circuitsearch.figures.inline"


def as_svg(value: Any) -> str | None:
    """A value's figure; None if it has none, so that its ``repr`` is shown."""
    return import_module(_INLINE).as_svg(value)


def as_html(value: Any) -> str:
    """A value as a table, every text in it escaped."""
    return import_module(_INLINE).as_html(value)
