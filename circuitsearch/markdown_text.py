"""Any text as Markdown, and tables of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines)


def escaped(value: object) -> str:
    r"""Text with its Markdown escaped, but for edges in backticks.

    Examples
    --------
    >>> print(escaped("a|b <i> *x*"), escaped("`a0.h1->m1<in>`"))
    a\|b \<i\> \*x\* `a0.h1->m1<in>`
    """
    text = " ".join(str(value).split())
    if re.fullmatch(r"`[\w.<>@-]+`", text) or re.fullmatch(r"-+", text):
        return text
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", text)
