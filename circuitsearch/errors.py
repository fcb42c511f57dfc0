"""The exception for wrong input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 300  # characters of a message
_LONGEST_NAME = 60  # characters of a value inside a message
_COMPARED = 100_000  # largest number of letters of known names that are compared with a misspelt one


class InputError(ValueError):
    """Wrong input: one sentence says what is wrong, where, and what to do.

    The command line prints the sentence and exits with code 2; from Python it is a ``ValueError``. It is one line of at most
    300 characters: of a longer one the middle is left out, so that what to do is kept.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(shortened(" ".join(sentence.splitlines()), LONGEST))


class LostProcess(RuntimeError):
    """Another process of a run ended, or did not answer in time."""


def shortened(text: object, longest: int = _LONGEST_NAME) -> str:
    """Remove the middle of a text that is too long for a message.

    Examples
    --------
    >>> shortened("abcdefghijklmnopqrstuvwxyz", 11)
    'abcd...wxyz'
    """
    text = str(text)
    if len(text) <= longest:
        return text
    before = (longest - 2) // 2
    return f"{text[:before]}...{text[len(text) - (longest - 3 - before) :]}"


def counted(n: int, thing: str) -> str:
    """A number of things in words.

    Examples
    --------
    >>> counted(1, "prompt"), counted(1200, "prompt")
    ('1 prompt', '1,200 prompts')
    """
    return f"{n:,} {thing}{'s' * (n != 1)}"


class RanOutOfMemory(InputError):
    """Memory runs out on the least that can be run at once."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: Python's, an accelerator's, or that of torch's allocator on the CPU."""
    if isinstance(error, MemoryError | RanOutOfMemory) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


_NO_MEMORY = ("DefaultCPUAllocator", "not enough memory", "out of memory")


def unknown(kind: str, given: str, known: Iterable[str]) -> InputError:
    """The error for an unknown name, with the nearest known ones.

    Examples
    --------
    >>> print(unknown("task", "io", ["ioi", "induction"]))
    unknown task 'io': did you mean 'ioi'? Known: ioi, induction.
    """
    known = list(known)
    start = f"unknown {kind} {shortened(repr(given))}:{nearest(given, known)} Known: "
    return InputError(start + _listed(known, LONGEST - len(start)) + ".")


def nearest(given: str, known: Iterable[str]) -> str:
    """A question whether one of the most similar names was meant; an empty text if none is similar.

    Examples
    --------
    >>> nearest("step", ["steps", "k"])
    " did you mean 'steps'?"
    """
    near = difflib.get_close_matches(given, list(known)[: _COMPARED // (len(given) + 1)], n=3, cutoff=0.5)
    return f" did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def _listed(names: list[str], room: int) -> str:
    """As many of the names as fit."""
    whole = ", ".join(names)
    if len(whole) < room:
        return whole
    return whole[: max(0, whole.rfind(", ", 0, room - 6))] + ", ..."
