"""Working memory: what a run may take beside the interpreter and the weights, and how it is divided."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, Self, TypeVar
from weakref import WeakKeyDictionary

import torch

from circuitsearch.errors import RanOutOfMemory, ran_out_of_memory

DEFAULT_MEMORY = 1 << 32  # bytes
CHUNKS = 4  # one chunk of prompts or interventions takes a quarter; the rest is for activations kept between calls

Result = TypeVar("Result")


class Divisible(Protocol):
    """Prompts that run together, and can run half of them at a time."""

    def __len__(self) -> int:
        """The number of prompts."""
        ...

    def halves(self) -> tuple[Self, Self]:
        """The first and the last half of the prompts."""
        ...


Chunk = TypeVar("Chunk", bound=Divisible)


class MemoryWarning(UserWarning):
    """Memory ran out, and the work goes on in smaller chunks."""


class WorkingMemory:
    """The working memory that all evaluators of one experiment share.

    Attributes
    ----------
    size : int
        Bytes in all.
    chunk : int
        Bytes for one chunk; halved when memory runs out all the same.
    """

    def __init__(self, size: int = DEFAULT_MEMORY) -> None:
        self.size, self.chunk = size, chunk_of(size)
        self._kept: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def keep(self, owner: object, size: int, least_chunk: int) -> bool:
        """Whether an object may keep so many bytes between calls, beside one chunk and what others keep; if so, they are its own.

        ``least_chunk`` is what one prompt takes, since a chunk has one at least.
        """
        others = sum(kept for other, kept in self._kept.items() if other is not owner)
        fits = others + size + max(chunk_of(self.size), least_chunk) <= self.size
        if fits:
            self._kept[owner] = size
        return fits

    def release(self, owner: object) -> None:
        """An object keeps nothing any more."""
        self._kept.pop(owner, None)

    def halve(self) -> None:
        """Make chunks smaller from now on."""
        self.chunk = max(1, self.chunk // 2)

    def each(
        self,
        chunks: Iterable[Chunk],
        work: Callable[[Chunk], Result],
        halved: Callable[[], object] = lambda: None,
    ) -> Iterator[tuple[Chunk, Result]]:
        """What ``work`` gives of each chunk; where memory runs out, of its halves, and of halves of all that follow.

        ``halved`` is called each time that it runs out.
        """
        made_for = self.chunk

        def halve() -> None:
            self.halve()
            halved()

        for chunk in chunks:
            for piece in divided(chunk, made_for // self.chunk):
                yield from in_halves(piece, work, halve)


def chunk_of(memory: int) -> int:
    """The bytes of one chunk.

    Examples
    --------
    >>> chunk_of(DEFAULT_MEMORY) == 1 << 30
    True
    """
    return max(1, memory // CHUNKS)


def divided(chunk: Chunk, parts: int) -> Iterator[Chunk]:
    """A chunk in about so many parts, halved again and again."""
    if parts < 2 or len(chunk) == 1:
        yield chunk
        return
    for half in chunk.halves():
        yield from divided(half, parts // 2)


def in_halves(
    chunk: Chunk, work: Callable[[Chunk], Result], halved: Callable[[], object]
) -> Iterator[tuple[Chunk, Result]]:
    """Work on a chunk, or, if memory runs out, on its halves; yield each with its result.

    ``halved`` is called each time.

    Raises
    ------
    RanOutOfMemory
        If it runs out on one prompt; then where several of these chunks are halves of another, that is halved too.
    """
    try:
        yield chunk, work(chunk)
        return
    except (MemoryError, RuntimeError, RanOutOfMemory) as error:
        if not ran_out_of_memory(error):
            raise
        if len(chunk) == 1:
            raise RanOutOfMemory(
                "memory runs out on one prompt at a time: give shorter prompts, a narrower dtype (dtype='bfloat16') or a"
                " smaller model, or run it where more memory is free"
            ) from error
    # from here on the error is gone, and with it the frames that hold what was computed
    warn_of_halving()
    halved()
    for half in chunk.halves():
        yield from in_halves(half, work, halved)


def warn_of_halving() -> None:
    """Say that memory ran out, in the same words each time, so that Python shows it once; free what an accelerator caches."""
    warnings.warn(
        "memory ran out: chunks are halved from here on, and results stay the same; less --memory avoids it",
        MemoryWarning,
        stacklevel=2,
    )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
