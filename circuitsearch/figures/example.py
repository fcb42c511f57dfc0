"""An example prompt of a diagram: its tokens, and where heads look in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from circuitsearch.escape import plain_text

LEAST = 0.1  # attention, below which a head does not look at a token


@dataclass(frozen=True, eq=False)
class ExamplePrompt:
    """One prompt, as :func:`circuitsearch.example_prompt` makes it.

    Attributes
    ----------
    tokens : tuple of str
        Its T tokens, with their leading spaces.
    patterns : dict
        (T, T) attention of heads, ``"a1.h2"``, from the token of each row to that of each column.
    spans : dict
        The positions of named token spans.
    answer : str
        What is to follow.
    position : int
        Where the answer is read; by default the last token.
    special : frozenset of int
        Positions of tokens that are no text, as one that begins every prompt.
    """

    tokens: tuple[str, ...]
    patterns: Mapping[str, Tensor]
    spans: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    answer: str = ""
    position: int = -1
    special: frozenset[int] = frozenset()

    @property
    def text(self) -> str:
        """The prompt and its answer."""
        prompt = "".join(text for place, text in enumerate(self.tokens) if place not in self.special).strip()
        return f"Prompt: {prompt} → {self.answer.strip()}" if self.answer else f"Prompt: {prompt}"

    def looks(self, names: list[str]) -> dict[str, str]:
        """For each node that is a head with a pattern, the token that it attends to most.

        It looks from the token at which the answer is read; at the node of a span, from the last token of the span. The first token
        is passed over: heads that look at nothing look there (attention sinks, 2309.17453). A head whose attention to every
        other token is below .1 has none.
        """
        wholes = {name: name.partition("@") for name in names}
        return {
            name: self.label(place)
            for name, (head, _, span) in wholes.items()
            if head in self.patterns and (place := self._most_seen(head, span)) is not None
        }

    def _most_seen(self, head: str, span: str) -> int | None:
        row = self.patterns[head][self.spans.get(span, (self.position,))[-1]].clone()  # (T,)
        row[0] = 0.0
        return int(row.argmax()) if float(row.max()) >= LEAST else None

    def label(self, place: int) -> str:
        """The token at a position; one that occurs several times has its number, as in ``"John 2"``.

        Examples
        --------
        >>> prompt = ExamplePrompt(("When", " Mary", " met", " Mary"), {})
        >>> prompt.label(0), prompt.label(3)
        ('When', 'Mary 2')
        """
        token = self.tokens[place]
        number = f" {self.tokens[: place + 1].count(token)}" if self.tokens.count(token) > 1 else ""
        return f"{plain_text(token) or '␣'}{number}"

    def of_spans(self) -> dict[str, str]:
        """The text of each named span."""
        return {name: "".join(self.tokens[place] for place in places).strip() for name, places in self.spans.items()}
