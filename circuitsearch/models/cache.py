"""The cache folder: what is downloaded or converted once. Everything in it is complete or absent."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import PART

_ABANDONED = 24 * 60 * 60  # seconds after which an unfinished folder is that of a process that was killed


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/circuitsearch``, or ``~/.cache/circuitsearch``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "circuitsearch"


@contextmanager
def made_whole(target: Path, size: int) -> Iterator[Path]:
    """A temporary folder, which becomes ``target`` at the end of a ``with`` block; after an error it is removed.

    Parameters
    ----------
    target : path
        The folder to make. If another process has made it meanwhile, that one is kept.
    size : int
        Bytes that will be written.

    Raises
    ------
    InputError
        If the disk has not so many bytes free, or the cache cannot be written.
    """
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target.parent)
        _check_free(target, size)
        part = Path(mkdtemp(prefix=PART, dir=target.parent))
    try:
        with _writing(target):
            yield part
            _rename(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the cache cannot be written ({error.strerror or error}: {shortened(target, 100)}): free some space, or set"
            " XDG_CACHE_HOME to another folder"
        ) from None


def _check_free(target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise InputError(
            f"{shortened(target.parent, 100)} has {free >> 20:,} MiB free, and {size >> 20:,} MiB are needed: free some space,"
            " or set XDG_CACHE_HOME to a folder on another disk"
        )


def _rename(part: Path, target: Path) -> None:
    try:
        part.chmod(0o777 & ~_umask())  # mkdtemp lets only the owner read
        part.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob(f"{PART}*"):
        if time.time() - part.stat().st_mtime > _ABANDONED:
            shutil.rmtree(part, ignore_errors=True)
