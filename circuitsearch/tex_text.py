"""Any text as TeX, which then sets it letter for letter and takes nothing in it for a command."""

from __future__ import annotations

from unicodedata import category, normalize

COMMANDS = r"\providecommand{\figurehex}[1]{{\tiny U+#1}}\providecommand{\figurechar}[1]{\figurehex{#1}}%"
"""What the commands of :func:`tex_text` are in a document that has none of them."""

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r'{\char"24}',  # \$ itself is taken from a font of symbols
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r'{\char"22}',
    "'": "{'}",  # the straight ones are in fonts that few have as outlines
    "`": "{`}",
    "-": "{-}",  # two in a row would be a dash, and so on: no ligatures
    ",": "{,}",
    "?": "{?}",
    "!": "{!}",
    "–": r"\textendash{}",  # noqa: RUF001
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",  # noqa: RUF001
    "’": r"\textquoteright{}",  # noqa: RUF001
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\textellipsis{}",
    "·": r"\textperiodcentered{}",
    "×": r"$\times$",  # noqa: RUF001
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
}
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip


def tex_text(text: str) -> str:
    r"""Write a text in the letters and commands of every TeX.

    What has no command is named by its number: ``\figurechar`` sets it if engine and font can, and else, as
    ``\figurehex`` does with what no one would see, sets the number itself.

    Examples
    --------
    >>> print(tex_text(r"\input{x} 5% <q>"))
    \textbackslash{}input\{x\} 5\% \textless{}q\textgreater{}
    >>> print(tex_text("é ş \u05e9 \u202e"))
    \'{e} \c{s} \figurechar{05E9} \figurehex{202E}
    """
    return "".join(
        _SIGNS.get(char) or (char if char.isascii() and char.isprintable() else _other(char)) for char in text
    )


def _other(char: str) -> str:
    base, *marks = normalize("NFD", char)
    if len(marks) == 1 and base.isascii() and marks[0] in _ACCENTS:
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    seen = category(char)[0] not in "CMZ"
    return f"\\figure{'char' if seen else 'hex'}{{{ord(char):04X}}}"
