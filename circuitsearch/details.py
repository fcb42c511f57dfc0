"""Details of a run, such as how many prompts run at once, for whoever wants them: Python's own logging, at its lowest level."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

details = logging.getLogger("circuitsearch")


class _Teller(logging.Handler):
    """Tells a detail, unless it is the one before."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__()
        self.tell, self.last = tell, ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text != self.last:
            self.last = text
            self.tell(text)


@contextmanager
def told_within() -> Iterator[None]:
    """Whatever is told of details in a block, it is not after it."""
    level, handlers = details.level, details.handlers
    try:
        yield
    finally:
        details.setLevel(level)
        details.handlers = handlers


def tell_details(tell: Callable[[str], object]) -> None:
    """Tell details from now on, in this process."""
    details.setLevel(logging.DEBUG)
    details.handlers = [_Teller(tell)]
