"""Two kinds of tokenizer that every task must serve: pico's words, and a byte-level BPE as GPT-2 has one."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from circuitsearch.models.load import BUNDLED
from circuitsearch.tasks.greater_than import CENTURIES
from recipes.pico.tokenizer import vocabulary

PICO = BUNDLED["pico"]


def byte_level(texts: list[str]) -> Any:
    """A byte-level BPE, without special tokens at the start, that holds the words of the texts whole."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=9000, min_frequency=1, initial_alphabet=ByteLevel.alphabet(), special_tokens=["<end>"]
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<end>", eos_token="<end>", unk_token="<end>")


@pytest.fixture(scope="session")
def bpe() -> PreTrainedTokenizerFast:
    """The byte-level BPE of the tasks' words; centuries come often, so that 1732 falls into 17 and 32."""
    words = vocabulary()
    return byte_level(
        [f" {word}" for word in words] + [w for w in words if w.isdigit()] + [f" {c}" for c in CENTURIES] * 99
    )


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
