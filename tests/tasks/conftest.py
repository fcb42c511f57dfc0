"""Two kinds of tokenizer that every task must serve: pico's words, and a byte-level BPE as GPT-2 has one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split
from tokenizers.trainers import BpeTrainer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from circuitsearch.models.load import BUNDLED
from circuitsearch.tasks.arc import OWN
from circuitsearch.tasks.arithmetic import TEMPLATES
from circuitsearch.tasks.defined import builtin, names
from circuitsearch.tasks.greater_than import CENTURIES, GOODS, PRICES, SEQUENCES
from recipes.pico.tokenizer import vocabulary

PICO = BUNDLED["pico"]


def all_words() -> list[str]:
    """All words of the tasks that are definitions, and of the other tasks' templates."""
    texts = [text for name in names() for text in builtin(name).definition.texts]
    rows = [row for name in names() for words in builtin(name).definition.lists.values() for row in words.rows]
    more = [*PRICES, *SEQUENCES, *GOODS, *(template for some in TEMPLATES.values() for template in some)]
    return [
        word
        for text in (*texts, *map(" ".join, rows), *more, OWN.read_text())
        for word in re.findall(r"[A-Za-z]+", text)
    ]


def byte_level(texts: list[str], *first: PreTokenizer) -> Any:
    """A byte-level BPE, without special tokens at the start, that holds the words of the texts whole."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence([*first, ByteLevel(add_prefix_space=False)])  # type: ignore[assignment]
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=9000, min_frequency=1, initial_alphabet=ByteLevel.alphabet(), special_tokens=["<end>"]
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<end>", eos_token="<end>", unk_token="<end>")


@pytest.fixture(scope="session")
def bpe() -> PreTrainedTokenizerFast:
    """The byte-level BPE of the tasks' words; centuries come often, so that 1732 falls into 17 and 32."""
    words = [*vocabulary(), *dict.fromkeys(all_words())]
    return byte_level(
        [f" {word}" for word in words] + [w for w in words if w.isdigit()] + [f" {c}" for c in CENTURIES] * 99
    )


@pytest.fixture(scope="session")
def digit_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of the tasks' words that splits numbers into digits, as those of SmolLM2 and Gemma 3 do."""
    return byte_level([f" {word}" for word in vocabulary()], Digits(individual_digits=True))


@pytest.fixture(scope="session")
def digit_words() -> PreTrainedTokenizerFast:
    """As `digit_tokenizer`, with all words of the tasks."""
    return byte_level([f" {word}" for word in dict.fromkeys(all_words())], Digits(individual_digits=True))


@pytest.fixture(scope="session")
def chunk_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of the tasks' words that splits numbers after three digits, as that of Llama 3 does."""
    numbers = [str(number) for number in range(100, 1000)] + [f"{number:02d}" for number in range(100)] * 99
    return byte_level([f" {word}" for word in vocabulary()] + numbers, Split(Regex(r"\d{1,3}"), "isolated"))


@pytest.fixture(scope="session")
def letter_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE that holds hardly a word."""
    return byte_level(["the the"])


@pytest.fixture(scope="session")
def pico_tokenizer() -> Any:
    """The bundled model's tokenizer."""
    return AutoTokenizer.from_pretrained(PICO)


@pytest.fixture(scope="session")
def pico_model() -> Any:
    """The bundled model."""
    return AutoModelForCausalLM.from_pretrained(PICO)


@pytest.fixture(params=["pico_tokenizer", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """Each of the two tokenizers."""
    return request.getfixturevalue(request.param)
