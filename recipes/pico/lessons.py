"""In which order pico reads what: the batches of each stage."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from .text import Row, letters, repetition, walk, writers


class Lessons:
    """Endless training text of each stage."""

    def __init__(self, tokenizer: Any, rows: int, longest: int, seed: int):
        self.random = Random(seed)
        self.rows = rows
        self.longest = longest
        self.writers = writers(tokenizer)
        self.pool = letters(tokenizer)
        self.random.shuffle(self.pool)

    def batch(self, stage: str, done: float) -> Iterator[list[Row]]:
        """The batches of one step, each of rows of similar length."""
        if stage == "walks":
            size = 24 if done < 0.45 else 160 if done < 0.65 else len(self.pool)
            yield self._random(walk, 32, self.pool[:size], 48)
        elif stage == "repetitions":
            yield self._random(repetition, 24, self.pool, self.longest)
            yield self._random(walk, 16, self.pool, 48)
        else:
            yield from self._tasks()

    def _tasks(self) -> Iterator[list[Row]]:
        short = [task for task in self.writers if task != "docstring"]
        yield [self.writers[task](self.random) for task in short for _ in range(self.rows)]
        length = self.random.choice([44, 44, 44, self.longest])
        rows = [self.writers["docstring"](self.random) for _ in range(self.rows)]
        rows += self._random(walk, self.rows // 3, self.pool, length)
        yield rows + self._random(repetition, self.rows // 3, self.pool, length)

    def _random(self, write: Any, count: int, pool: list[int], length: int) -> list[Row]:
        rows = [write(self.random, pool, length) for _ in range(count)]
        # A row counts like two answers, however many of its tokens can be guessed.
        return [Row(ids, [4 * weight / max(1.0, sum(weights)) for weight in weights]) for ids, weights, _ in rows]
