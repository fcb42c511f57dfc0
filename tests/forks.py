"""Processes for tests that need not import torch and the rest, which takes longer than their work."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

_SERVER = get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.shared_work"])


def forked(work: Callable[..., object], *arguments: Any) -> BaseProcess:
    """A child of this process, for work without gradients: after some backward passes torch refuses others in a fork."""
    process = get_context("fork").Process(target=work, args=arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: of forks beside threads; ours are idle
        process.start()
    return process


def served(work: Callable[..., object], *arguments: Any) -> BaseProcess:
    """A child of a process that has imported everything and computed nothing; the work is a function of a module."""
    process = _SERVER.Process(target=work, args=arguments)
    process.start()
    return process
