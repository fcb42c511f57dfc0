"""Text that is valid in any file format."""

from __future__ import annotations

from unicodedata import category

_TURNS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def plain_text(text: str) -> str:
    """Text with single spaces, and without characters that XML does not allow: control characters, lone surrogates, non-characters.

    Marks of the direction of writing are removed: they could reverse the text around them.

    Examples
    --------
    >>> plain_text("two\\n lines\\x00")
    'two lines\ufffd'
    """
    spaced = " ".join(text.translate(_TURNS).split())
    return "".join("\ufffd" if category(char) in ("Cc", "Cs") or char in "\ufffe\uffff" else char for char in spaced)
