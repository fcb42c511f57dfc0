"""The file of a library: opened for as long as one command of the library takes, and refused if it is no library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from circuitsearch.errors import InputError, shortened

if TYPE_CHECKING:
    from sqlite_utils import Database

PATIENCE = 60.0  # seconds that a command waits for another process to finish writing
_MARK = 0x43495243  # SQLite's application_id of a library: "CIRC"
_MOST_BYTES = 1 << 31  # of a text or a file that is read


@contextmanager
def reading(path: Path) -> Iterator[Database]:
    """A library that exists, for reading.

    Raises
    ------
    InputError
        If there is none, it is of a newer version or damaged, or another process keeps writing.
    """
    if not path.exists():
        raise InputError(f"there is no library {_shown(path)}: circuitsearch library add makes one")
    with _connected(path, "rw") as db:
        if not _is_current(db, path):
            with _transaction(db):
                _upgrade(db, path)
        yield db


@contextmanager
def writing(path: Path) -> Iterator[Database]:
    """A library for one transaction, made if there is none: all that is written in the ``with`` block, or nothing.

    Raises
    ------
    InputError
        As for :func:`reading`; if the file cannot be made.
    """
    check_place(path)
    with _connected(path, "rwc") as db, _transaction(db):
        _upgrade(db, path)
        yield db


def check_place(path: Path) -> None:
    """Raise an InputError if there is no folder for a library."""
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder {_shown(path.parent)} does not exist: make it, or choose another library")


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[Database]:
    from sqlite_utils import Database

    with _in_sentences(path):
        _check_file(path)
        address = f"{path.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES - 1)
            connection.execute("PRAGMA cell_size_check = ON")
            yield Database(connection, recursive_triggers=False, execute_plugins=False)


@contextmanager
def _in_sentences(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(_sentence(path, str(error))) from None
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:  # the last: a message that quotes damaged text
        raise damaged(path, error) from None


def _sentence(path: Path, error: str) -> str:
    if "locked" in error:
        return f"another process has been writing to {_shown(path)} for more than {PATIENCE:.0f} s: try again"
    if "readonly" in error or "unable to open" in error:
        return f"{_shown(path)} cannot be opened for writing: choose another library with --library"
    if "full" in error:
        return f"the disk of {_shown(path)} is full: free some space, then run the same command again"
    return str(damaged(path, error))


def damaged(path: Path, why: object) -> InputError:
    """The error for a library whose content contradicts itself."""
    return InputError(
        f"the library {_shown(path)} is damaged ({shortened(why, 100)}): use a copy of it, or add its runs to a new one"
    )


def _check_file(path: Path) -> None:
    """Refuse what is no file of SQLite; an empty file is a library that another process is about to make."""
    if not path.exists():
        return
    if not S_ISREG(path.stat().st_mode):
        raise InputError(f"{_shown(path)} is not a file: give the file of a library")
    with path.open("rb") as file:
        start = file.read(16)
    if start not in (b"", b"SQLite format 3\0"):
        raise _no_library(path)


def _no_library(path: Path) -> InputError:
    return InputError(f"{_shown(path)} is not a library of circuits: give another file, or a new name")


# ---- versions


@cache
def _known() -> frozenset[str]:
    """Names of the migrations of this version."""
    from sqlite_utils import Database

    from circuitsearch.library.schema import migrations

    with closing(Database(memory=True, execute_plugins=False)) as empty:
        return frozenset(each.name for each in migrations.pending(empty))


def _is_current(db: Database, path: Path) -> bool:
    """Whether all migrations were applied; an InputError if others were, or the file is of another program."""
    from circuitsearch.library.schema import migrations

    if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        return False
    if _pragma(db, "application_id") != _MARK:
        raise _no_library(path)
    applied = {each.name for each in migrations.applied(db)}
    if applied - _known():
        raise InputError(
            f"the library {_shown(path)} was written by a newer version of circuitsearch"
            f" ({shortened(', '.join(sorted(map(str, applied - _known()))))}): install that version, or choose another library"
        )
    return applied == _known()


def _upgrade(db: Database, path: Path) -> None:
    """Apply the migrations that are missing, within a transaction."""
    from circuitsearch.library.schema import migrations

    if not _is_current(db, path):
        db.execute(f"PRAGMA application_id = {_MARK}")
        migrations.apply(db)


def _pragma(db: Database, name: str) -> Any:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


@contextmanager
def _transaction(db: Database) -> Iterator[None]:
    """A transaction that locks the file when it begins: two that read first and then wrote could not both go on."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.rollback()
        raise
    db.commit()


def _shown(path: Path) -> str:
    return shortened(path, 100)
