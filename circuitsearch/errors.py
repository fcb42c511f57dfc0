"""The one exception for input that a person can put right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What was given cannot be used: one sentence says what is wrong, where, and what to do.

    The command line prints the sentence and exits with code 2; from Python it is a ``ValueError``.
    """


def unknown(kind: str, given: str, known: Iterable[str]) -> InputError:
    """Build the error for a name that is not known, with the nearest ones.

    Examples
    --------
    >>> print(unknown("task", "io", ["ioi", "induction"]))
    unknown task 'io': did you mean 'ioi'? Known: ioi, induction.
    """
    known = list(known)
    near = difflib.get_close_matches(given, known, n=3, cutoff=0.5)
    hint = f" did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return InputError(f"unknown {kind} {given!r}:{hint} Known: {', '.join(known)}.")
