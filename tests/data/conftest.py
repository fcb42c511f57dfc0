"""A tokenizer in which the words and the digits of the tests are one token each, and files of their rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

import circuitsearch as cs
from circuitsearch import Task

TEXT = """The capital of France Italy Spain Peru is Paris Rome Madrid Lima London Then When Mary and John Anna went to shop gave
it she he girls boys girl boy sing sings war lasted from animal dog cat color ball red blue Answer plus one What"""
WORDS = TEXT.split()
YEARS = [f"{year:02d}" for year in range(100)]


@pytest.fixture(scope="session")
def bpe() -> Any:
    """A byte-level BPE as GPT-2's, with a token for each word, with its space and without, and for two digits."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=3000, min_frequency=1, initial_alphabet=ByteLevel.alphabet(), special_tokens=["<bos>", "<eos>"]
    )
    tokenizer.train_from_iterator([*YEARS, " 17", *WORDS, *(f" {word}" for word in WORDS)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>")


@pytest.fixture
def read(tmp_path: Path, bpe: Any) -> Callable[..., Task]:
    """Write a file, and read it as a task."""

    def read(content: str | bytes, name: str = "mine.csv", **options: Any) -> Task:
        return cs.Task.from_file(written(tmp_path / name, content), options.pop("tokenizer", bpe), **options)

    return read


@pytest.fixture
def words(bpe: Any) -> Callable[[Task], list[tuple[str, str, list[str], list[str]]]]:
    """The rows of a task as texts."""

    def words(task: Task) -> list[tuple[str, str, list[str], list[str]]]:
        rows = zip(task.clean, task.corrupt, task.answers, task.wrong, strict=True)
        return [
            (bpe.decode(clean), bpe.decode(corrupt), [bpe.decode([t]) for t in right], [bpe.decode([t]) for t in wrong])
            for clean, corrupt, right, wrong in rows
        ]

    return words


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
