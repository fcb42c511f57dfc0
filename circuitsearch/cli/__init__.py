"""The command line: ``main`` runs a command, and prints an input error as one sentence."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from circuitsearch.errors import InputError, LostProcess, shortened

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130
# How often a thread of libgomp, which torch has on Linux, asks whether the others are done before it sleeps. By default it is some
# milliseconds, in which threads wait for one whose core has other work.
SPINS = "5000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 2 for input that cannot be used, 130 after Ctrl-C.

    Other errors are bugs and keep their traceback. In one of several processes (torchrun) the command shares its work with the
    others, and the code is 1 if one of them is lost.
    """
    # Else transformers, where the package kernels is installed, fetches code for recurrent layers from a hub.
    os.environ.setdefault("USE_HUB_KERNELS", "NO")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if os.environ.get("WORLD_SIZE", "") in ("", "1"):
            return _run(given)
        from circuitsearch.cli.processes import run_together

        return run_together(given, _run, _said)
    except Exception as error:
        return _said(error)
    except KeyboardInterrupt:
        return _goodbye()


def _said(error: BaseException) -> int:
    """Print an error as a sentence and return the exit code; raise it if it is a bug."""
    match error:
        case InputError():
            return _refuse(str(error), *getattr(error, "__notes__", ()))
        case LostProcess():
            _refuse(str(error))
            return FAILED
        case BrokenPipeError():  # the reader of our output has closed it, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        case OSError():
            return _refuse(_sentence(error))
        case _:
            raise error


def _run(arguments: Sequence[str]) -> int:
    import typer

    from circuitsearch.cli.app import commands
    from circuitsearch.details import told_within

    command = shlex.join(["circuitsearch", *arguments])
    try:
        with _told_of_memory(), told_within():
            code = commands()(args=arguments, prog_name="circuitsearch", standalone_mode=False, obj=command)
    except typer.TyperException as error:
        if arguments:
            return _refuse(error.format_message())
        print(error.format_message(), file=sys.stderr)  # without a command it is the help, of many lines
        return WRONG_INPUT
    return _goodbye() if code == INTERRUPTED else int(code or 0)


@contextmanager
def _told_of_memory() -> Iterator[None]:
    """Show the warning that memory ran out as a sentence, without the place in our code."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if category.__name__ == "MemoryWarning":  # whose module imports torch
                print(message, file=sys.stderr)
            else:
                usual(message, category, *where)

        warnings.showwarning = show
        yield


def _refuse(sentence: str, *notes: str) -> int:
    from circuitsearch.cli.terminal import printable

    print(
        InputError(printable(sentence)), file=sys.stderr
    )  # messages of typer and the system are shortened as ours are
    for note in notes:
        print(printable(note), file=sys.stderr)
    return WRONG_INPUT


def _goodbye() -> int:
    print("\nStopped. Finished results are kept: the same command continues from there.", file=sys.stderr)
    return INTERRUPTED


def _sentence(error: OSError) -> str:
    where = f"{shortened(error.filename)}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full: free some space, then run the same command again to continue"
    return f"{where}{error.strerror or error}"
