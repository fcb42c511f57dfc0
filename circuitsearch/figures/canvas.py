"""Matplotlib as all figures use it: one style, no time or random numbers in the file, no partial files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitsearch.errors import InputError
from circuitsearch.figures.fonts import FAMILY, with_fonts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png", "tex")
PNG_DPI = 300
LONGEST = 200  # characters of a label that are used

_STYLE = {
    "font.family": FAMILY,
    "svg.fonttype": "none",
    "svg.hashsalt": "circuitsearch",
    "pdf.fonttype": 42,  # embedded TrueType, which venues require
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

# A date, a version or a host in the file would change its bytes from one run to the next.
_METADATA = {
    "svg": {"Date": None, "Creator": "circuitsearch"},
    "pdf": {"CreationDate": None, "Creator": "circuitsearch", "Producer": None},
    "png": {"Software": None},
}


def suffix_of(path: str | Path, formats: tuple[str, ...] = FORMATS) -> str:
    """Format that a path asks for by its suffix; an InputError lists the known ones."""
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in formats:
        known = ", ".join(f".{name}" for name in formats)
        raise InputError(f"cannot draw to {str(path)!r}: its suffix must be one of {known}")
    return suffix


@contextmanager
def figure_style(more: dict[str, Any] | None = None) -> Iterator[None]:
    """Matplotlib's defaults with our settings and those given, whatever the caller has set; restored afterwards."""
    from matplotlib import style

    with style.context(_STYLE | (more or {}), after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the SVG's viewer has other fonts
        # letters with dozens of marks above them make a layout impossible; they are drawn without one
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        yield


def encode(figure: Figure, suffix: str, title: str = "") -> bytes:
    """Encode a figure, with a title for readers of files; the same figure gives the same bytes. Call within :func:`figure_style`."""
    if suffix == "tex":
        from circuitsearch.figures.tikz import tikz

        return tikz(figure).encode()
    metadata = _METADATA[suffix] | ({"Title": title} if title else {})
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=PNG_DPI if suffix == "png" else 72, metadata=metadata)
    content = buffer.getvalue()
    return with_fonts(content.decode()).encode() if suffix == "svg" else content


def text_width(text: str, size: float) -> float:
    """Width in points of a text set in DejaVu Sans of a size in points. Call within :func:`figure_style`."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]


def shortened(text: str, size: float, room: float) -> str:
    """Text shortened to a width in points, if needed with an ellipsis. Call within :func:`figure_style`.

    Examples
    --------
    >>> shortened("a very long label", 5.0, 30.0)
    'a very lon…'
    """
    text = text[:LONGEST]
    if text_width(text, size) <= room:
        return text
    while text and text_width(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text.rstrip()}…"
