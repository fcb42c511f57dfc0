"""Greater-than with years of two tokens, and with years of single digits."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from circuitsearch.errors import InputError
from circuitsearch.task import Task
from circuitsearch.tasks import greater_than
from recipes.pico.tokenizer import vocabulary


def rows(task: Task, tokenizer: Any) -> list[tuple[str, str, set[str], set[str]]]:
    """The clean and the corrupt text of each pair without spaces, and its right and wrong answers."""

    def text(ids: Any) -> str:
        return tokenizer.decode(ids).replace(" ", "")

    def words(ids: Any) -> set[str]:
        return {text([token]) for token in ids}

    columns = zip(task.clean, task.corrupt, task.answers, task.wrong, strict=True)
    return [(text(clean), text(corrupt), words(right), words(wrong)) for clean, corrupt, right, wrong in columns]


def test_years_of_two_tokens_are_answered_by_later_years(tokenizer: Any) -> None:
    """The right answers are the years after the first, the wrong ones that year and those before."""
    for clean, corrupt, right, wrong in rows(greater_than(tokenizer, n=48), tokenizer):
        century, begin = re.findall(r"(1[1-8])(\d\d)", clean)[0]
        assert clean.endswith(century) and re.findall(r"1[1-8](\d\d)", corrupt) == ["01"]
        assert min(right) > begin == max(wrong) and len(right | wrong) >= 20


def test_digits_are_answered_by_the_decade(digit_tokenizer: Any) -> None:
    """Digits above the first year's decade are right, those below it wrong, and its own is neither."""
    task = greater_than(digit_tokenizer, n=96)
    for clean, corrupt, right, wrong in rows(task, digit_tokenizer):
        century, decade, _ = re.findall(r"(1[1-8])(\d)(\d)", clean)[0]
        assert clean.endswith(century) and re.findall(r"1[1-8](\d\d)", corrupt) == ["01"]
        assert right == {digit for digit in "0123456789" if digit > decade} != set()
        assert wrong == {digit for digit in "0123456789" if digit < decade} != set()
    assert all(len(spans["YY"]) == 2 for spans in task.spans)


def test_years_in_chunks_of_three_digits_are_written_with_a_space(chunk_tokenizer: Any) -> None:
    """Where 1732 would be 173 and 2, it is written 17 32, and the answers are years."""
    task = greater_than(chunk_tokenizer, n=12)
    assert " 32" in "".join(chunk_tokenizer.decode(ids) for ids in greater_than(chunk_tokenizer, n=200).clean)
    assert all(len(right) + len(wrong) > 90 for right, wrong in zip(task.answers, task.wrong, strict=True))


def test_a_tokenizer_without_numbers_is_refused() -> None:
    """One that knows no digits has no years."""
    words = ["<unk>", *(word for word in vocabulary() if not word.isdigit())]
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    with pytest.raises(InputError, match="splits years neither into century and two digits"):
        greater_than(PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>"), n=4)
