"""Children of the process that runs a test: they have imported everything already, which takes longer than their work."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any


def forked(work: Callable[..., object], *arguments: Any) -> BaseProcess:
    """A child that does some work; its exit code is 0, or 1 if it raised an error."""
    process = get_context("fork").Process(target=work, args=arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: of forks beside threads; ours are idle
        process.start()
    return process
