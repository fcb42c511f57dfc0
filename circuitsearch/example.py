"""Examples: pairs of prompts as text, and what writes more of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from circuitsearch.errors import InputError
from circuitsearch.text import Tokenizer, encode, encode_row

if TYPE_CHECKING:
    from circuitsearch.task import Task

Factors = Mapping[
    str, tuple[str, ...]
]  # the values that one prompt uses: {"names": ("Mary", "John"), "templates": ("3",)}


@dataclass(frozen=True)
class Example:
    """One pair of prompts as text; ``answers`` and ``wrong`` are single tokens, with their leading space.

    Without ``wrong`` there is one answer, of any number of tokens, which is teacher-forced: see :class:`Task`.

    ``spans`` names parts of the clean text, (first character, last character + 1) each; their tokens are spans of the
    task. The last token is the span ``END``, unless it is in a named span. ``factors`` are the values from which the pair
    is written: its names, words and template. ``corrupt_spans`` are parts of the corrupt text, for
    :class:`circuitsearch.alignment.Span`.
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    group: int = 0
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    factors: Factors = field(default_factory=dict)
    corrupt_spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class PromptWriter(Protocol):
    """Writes more prompts of a task; a frozen dataclass, in which a task replaces the fields ``task`` and ``metric`` by its own name and metric."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def by_group(self) -> Collection[int]:
        """The groups of its prompts."""
        ...

    @property
    def pools(self) -> Factors:
        """For each factor of its prompts all values."""
        ...

    def of_groups(self, groups: Iterable[int]) -> Self:
        """The writer of these groups' prompts alone."""
        ...

    def taking(self, other: Any, *factors: str) -> Self:
        """The writer with the values of these factors that another writer has."""
        ...

    def share(self, number: int, count: int) -> Self:
        """The writer of one of ``count`` shares of its prompts, which have none in common."""
        ...

    def draw(self, n: int, seed: int = 0, *, at_most: bool = False) -> Task:
        """Write ``n`` different prompts; with ``at_most`` fewer, where there are not so many."""
        ...

    def draw_by_group(self, n: int, seed: int = 0) -> Task:
        """Write ``n`` different prompts, each of a group."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """A prompt in words."""
        ...


def encoded_example(place: str, example: Example, tokenizer: Tokenizer) -> tuple[list[int], ...]:
    try:
        return encode_row(tokenizer, example.clean, example.corrupt, example.answers, example.wrong)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def spans_of_text(
    text: str, named: Mapping[str, tuple[int, int]], tokenizer: Tokenizer, ids: list[int]
) -> dict[str, tuple[int, ...]]:
    """Positions of the named spans of a text; a span that does not begin and end with a token is left out."""
    spans: dict[str, tuple[int, ...]] = {}
    for name, (first, last) in named.items():
        before, through = (encode(tokenizer, part) for part in (text[:first].rstrip(" "), text[:last]))
        if before == ids[: len(before)] and through == ids[: len(through)]:
            spans[name] = tuple(range(len(before), len(through)))
    end = len(ids) - 1
    return spans if any(end in places for places in spans.values()) else {**spans, "END": (end,)}
