"""A command in all processes that torchrun or ``accelerate launch`` started: they share its work, and one of them speaks."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NoReturn

from circuitsearch.distributed import joined
from circuitsearch.errors import InputError, shortened

SHARED = ("find", "score", "validate", "stability", "bench")
OF_BENCH = ("table", "merge", "presets")  # of one process
FAILED, TERMINATED = 1, 128 + signal.SIGTERM

Command = Callable[[Sequence[str]], int]  # from its arguments to its exit code
Said = Callable[[BaseException], int]  # prints an error, or raises it if it is a bug; the exit code


def run_together(arguments: Sequence[str], run: Command, said: Said) -> int:
    """Run a command in this process, one of several; return the exit code.

    What the command prints comes from the first process, and an error from the process that has it first.
    """
    _check_shared(arguments)
    with joined() as world, _ended_by_sigterm():
        try:
            with _silent(not world.first):
                return run(arguments)
        except Exception as error:
            with world.telling() as tells:
                return said(error) if tells else _code_of(said, error)


def _check_shared(arguments: Sequence[str]) -> None:
    """Raise an InputError if several processes cannot share a command."""
    words = [word for word in arguments if not word.startswith("-")]
    if (words and words[0] not in SHARED) or (words[:1] == ["bench"] and set(words[1:2]) & set(OF_BENCH)):
        raise InputError(
            f"'{shortened(' '.join(words[:2]))}' is for one process: start it without torchrun; processes share the work of"
            f" {', '.join(SHARED)}"
        )


@contextmanager
def _silent(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _code_of(said: Said, error: Exception) -> int:
    """The exit code of an error that another process reports."""
    with _silent(True):
        try:
            return said(error)
        except Exception:  # a bug, whose traceback the other process shows
            return FAILED


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM leave the block, so that temporary files are removed."""

    def leave(*_: object) -> NoReturn:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
