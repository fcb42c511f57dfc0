"""Memory: sizes in words, what the operating system or an accelerator counts as taken, and giving free memory back to it."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.errors import InputError, shortened

if TYPE_CHECKING:
    import torch

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_UNITS = {"": 1, "b": 1, **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)}}
_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}
_UNITS |= {letter: 1024**power for power, letter in enumerate("kmgt", 1)}
_SIZE = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]{0,3})\s*", re.IGNORECASE)


def bytes_in(text: str) -> int:
    """The bytes of a size in words; a single letter means a power of 1024.

    Raises
    ------
    InputError
        If it is not a size.

    Examples
    --------
    >>> bytes_in("4GiB"), bytes_in("500 MB"), bytes_in("1.5g"), bytes_in("1000000")
    (4294967296, 500000000, 1610612736, 1000000)
    """
    found = _SIZE.fullmatch(text)
    if found is None or found[2].lower() not in _UNITS or not float(found[1]):
        raise InputError(f"{shortened(repr(text))} is not a size of memory: write it as 4GiB, 1.5GB or 500MB")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def in_words(size: float) -> str:
    """A size in the binary unit of which there are few.

    Examples
    --------
    >>> in_words(4 << 30), in_words(700 << 20), in_words(1000)
    ('4.0 GiB', '700 MiB', '1 KiB')
    """
    if size >= 1 << 30:
        return f"{size / 2**30:.1f} GiB"
    return f"{size / 2**20:.0f} MiB" if size >= 1 << 20 else f"{size / 2**10:.0f} KiB"


def taken() -> int | None:
    """Bytes of this process that are resident now; None where the system does not say (no Linux)."""
    return _of_status("VmRSS")


def peak() -> int | None:
    """The most bytes of this process that were ever resident, as the operating system counts them; None on Windows."""
    if _STATUS.exists():
        return _of_status("VmHWM")
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def forget_peak() -> None:
    """Let :func:`peak` count from now on; an OSError on other systems than Linux."""
    _FORGET.write_text("5")


def peak_on(device: torch.device) -> int | None:
    """The most bytes that were ever taken where a model runs: on CUDA as torch counts them there, else of the process."""
    import torch

    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak()


def give_back() -> None:
    """Give free memory back to the operating system, which the C library keeps in pieces (glibc; elsewhere nothing is done).

    Tensors are freed when the last name for them is gone; a search for cycles would take a quarter of a second and find none.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _of_status(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    lines = _STATUS.read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(name)), None)
