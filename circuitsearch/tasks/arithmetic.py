"""Arithmetic: "Question: What is 23 plus 45? Answer: 23 + 45 =" and the first token of the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.example import Example
from circuitsearch.task import Task
from circuitsearch.text import encode, is_one_token

from .pools import Pool, Pools, deal, known_templates
from .template import fill
from .writer import Writer

TEMPLATES = {
    "+": [
        "Question: What is {a} plus {b}? Answer: {a_again} + {b_again} ={space}",
        "Question: How much is {a} plus {b}? Answer: {a_again} + {b_again} ={space}",
        "The sum of {a} and {b} is{space}",
        "In total, {a} apples and {b} apples are{space}",
        "If you add {a} and {b}, you get{space}",
        "We know that {a} plus {b} equals{space}",
        "Add {b} to {a}: {a_again} + {b_again} ={space}",
        "It is true that {a} + {b} ={space}",
    ],
    "-": [
        "Question: What is {a} minus {b}? Answer: {a_again} - {b_again} ={space}",
        "Question: How much is {a} minus {b}? Answer: {a_again} - {b_again} ={space}",
        "The difference of {a} and {b} is{space}",
        "Of {a} apples {b} are eaten, so the number left is{space}",
        "If you take {b} from {a}, you get{space}",
        "We know that {a} minus {b} equals{space}",
        "Subtract {b} from {a}: {a_again} - {b_again} ={space}",
        "It is true that {a} - {b} ={space}",
    ],
}

MOST_DRAWS = 10_000


def addition(tokenizer: Any, n: int = 256, seed: int = 0, digits: int = 2) -> Task:
    """Addition of two numbers of two digits, or of three with ``digits=3``.

    The answer is the first token of the sum: all of it where the tokenizer has numbers as tokens, else its first digit or digits;
    a space that is a token of its own belongs to the prompt.

    Counterfactual: two other numbers of as many tokens whose sum begins with another token, which is the wrong answer (MIB's
    random counterfactual). Groups differ in their first numbers and templates. Spans: ``a``, ``b``, ``END``.

    References
    ----------
    Stolfo et al., A Mechanistic Interpretation of Arithmetic Reasoning in Language Models, 2023, arXiv:2305.15054; prompts and
    counterfactuals: Mueller et al., MIB, 2025, arXiv:2504.13151.
    """
    return writer(tokenizer, "addition", "+", digits).draw_by_group(n, seed)


def subtraction(tokenizer: Any, n: int = 256, seed: int = 0, digits: int = 2) -> Task:
    """Subtraction of a number of two digits from a larger one, or of three with ``digits=3``.

    The answer is the first token of the difference, which is at least 10 (100 with three digits). All else as in addition.

    References
    ----------
    Stolfo et al., A Mechanistic Interpretation of Arithmetic Reasoning in Language Models, 2023, arXiv:2305.15054; prompts and
    counterfactuals: Mueller et al., MIB, 2025, arXiv:2504.13151.
    """
    return writer(tokenizer, "subtraction", "-", digits).draw_by_group(n, seed)


def writer(tokenizer: Any, task: str, sign: str, digits: int) -> Writer:
    """The writer of the task."""
    if digits not in (2, 3):
        raise InputError(f"task {task}: digits must be 2 or 3, not {digits}")
    numbers = Numbers.of(tokenizer, digits)
    low, high = 10 ** (digits - 1), 10**digits
    if len(set(numbers.first.values())) < 2:
        raise InputError(f"task {task}: results have no first token of their own in this tokenizer: use another one")
    firsts = [str(number) for number in range(2 * low + 1 if sign == "-" else low, high)]
    templates, words = known_templates(task, tokenizer, TEMPLATES[sign])
    pools = [Pool("numbers", "numbers", firsts), Pool("templates", "templates", templates)]
    name = task if digits == 2 else f"{task}-{digits}"
    return Writer(name, Sum(sign, low, high, numbers), deal(pools), tokenizer, words=words)


@dataclass(frozen=True)
class Numbers:
    """How a tokenizer splits numbers.

    Attributes
    ----------
    tokens : mapping
        From each number to how many tokens it has after a space.
    space : str
        The space between a prompt and its answer, if it is a token of its own; else the answer begins with it.
    first : mapping
        From each result to its first token.
    """

    tokens: Mapping[str, int]
    space: str
    first: Mapping[int, str]

    @classmethod
    def of(cls, tokenizer: Any, digits: int) -> Numbers:
        """Find out how the tokenizer splits numbers of so many digits, and sums of two of them."""
        low, high = 10 ** (digits - 1), 10**digits
        before = encode(tokenizer, "is")
        alone = encode(tokenizer, "is ")[len(before) :]
        split = [ids[len(before) :] for ids in tokenizer([f"is {number}" for number in range(low, 2 * high)]).input_ids]
        space = " " if alone and all(ids[:1] == alone for ids in split) else ""
        tokens = {str(number): len(ids) for number, ids in zip(range(low, high), split, strict=False)}
        lengths = {ids[len(space)]: len(tokenizer.decode([ids[len(space)]]).strip()) for ids in split}
        first = {low + place: f"{low + place}"[: lengths[ids[len(space)]]] for place, ids in enumerate(split)}
        answers = {text: text if space else f" {text}" for text in set(first.values())}
        own = {text for text, answer in answers.items() if text and is_one_token(tokenizer, answer, f"is{space}")}
        return cls(tokens, space, {result: answers[text] for result, text in first.items() if text in own})


@dataclass(frozen=True)
class Sum:
    """Writes one example of a sum or a difference."""

    sign: str
    low: int
    high: int
    numbers: Numbers

    def __call__(self, random: Random, pools: Pools) -> Example:
        template = random.choice(pools["templates"])
        a, b = self._pair(random, pools["numbers"])
        c, d = self._others(random, a, b, pools["numbers"])
        (clean, at), (corrupt, _) = (fill(template, self._words(*pair)) for pair in ((a, b), (c, d)))
        right, wrong = (self._answer(*pair) for pair in ((a, b), (c, d)))
        factors = {"numbers": (str(a), str(c)), "templates": (template,)}
        return Example(clean, corrupt, (right,), (wrong,), spans={"a": at["a"], "b": at["b"]}, factors=factors)

    def _words(self, a: int, b: int) -> dict[str, str]:
        return {"a": str(a), "b": str(b), "a_again": str(a), "b_again": str(b), "space": self.numbers.space}

    def _answer(self, a: int, b: int) -> str:
        """The first token of the result; an empty text if it has none of its own."""
        return self.numbers.first.get(a + b if self.sign == "+" else a - b, "")

    def _pair(self, random: Random, firsts: tuple[str, ...]) -> tuple[int, int]:
        """Two numbers with an answer: any to add, and one to subtract that leaves as many digits."""
        while True:
            a = int(random.choice(firsts))
            b = random.randrange(self.low, self.high if self.sign == "+" else a - self.low + 1)
            if self._answer(a, b):
                return a, b

    def _others(self, random: Random, a: int, b: int, firsts: tuple[str, ...]) -> tuple[int, int]:
        """Other numbers of as many tokens whose result begins with another token."""
        tokens, own = self.numbers.tokens, self._answer(a, b)
        for _ in range(MOST_DRAWS):
            c, d = self._pair(random, firsts)
            alike = (tokens[str(a)], tokens[str(b)]) == (tokens[str(c)], tokens[str(d)])
            if alike and self._answer(c, d) != own:
                return c, d
        raise InputError(
            f"no two other numbers have as many tokens as {a} and {b} and another result in this tokenizer"
        )
