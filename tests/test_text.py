"""From text to ids: what a model would not read as it was meant is refused, by word."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from circuitsearch.errors import InputError
from circuitsearch.models.load import BUNDLED
from circuitsearch.text import answers_beside, encode, encode_row, likeliest_tokens

WORDS = ["The", "capital", "of", "France", "Italy", "is", "Paris", "Rome", "user", "model", "a"]
PAIR = ("The capital of France is", "The capital of Italy is")


def byte_level(template: str | None = None) -> Any:
    """A byte-level BPE of a few words, which puts around a text what the template says."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    special = ["<bos>", "<eos>", "<turn>"]
    trainer = BpeTrainer(
        vocab_size=2000, min_frequency=1, initial_alphabet=ByteLevel.alphabet(), special_tokens=special
    )
    tokenizer.train_from_iterator([*WORDS, *(f" {word}" for word in WORDS)], trainer)
    if template:
        tokenizer.post_processor = TemplateProcessing(
            single=template, special_tokens=[(name, tokenizer.token_to_id(name)) for name in special]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>")


@pytest.fixture(scope="module")
def bpe() -> Any:
    """A tokenizer that adds nothing, as GPT-2's."""
    return byte_level()


@pytest.fixture(scope="module")
def words() -> Any:
    """The bundled model's: whole words, and an unknown token for every other."""
    return AutoTokenizer.from_pretrained(BUNDLED["pico"])


TEMPLATES = {"<bos> $A": ["<bos>"], "<bos> <turn> $A": ["<bos>", "<turn>"], "<bos> $A <eos>": ["<bos>"]}


@pytest.mark.parametrize(("template", "begins"), TEMPLATES.items(), ids=TEMPLATES)
def test_a_prompt_begins_once(template: str, begins: list[str]):
    """A text that holds the beginning already, as a chat template's does, reads as one that does not."""
    tokenizer = byte_level(template)
    ids = encode(tokenizer, "The capital")
    assert tokenizer.convert_ids_to_tokens(ids) == [*begins, "The", "Ġcapital"]
    assert encode(tokenizer, "".join(begins) + "The capital") == ids


def test_an_end_that_the_text_holds_is_kept():
    """Only the end token that the tokenizer itself adds is left out."""
    ids = encode(byte_level("<bos> $A <eos>"), "The<eos>")
    assert byte_level().convert_ids_to_tokens(ids) == ["<bos>", "The", "<eos>"]
    assert byte_level().convert_ids_to_tokens(encode(byte_level(), "The<eos>")) == ["The", "<eos>"]


def test_a_pair_with_its_answers_is_ids(bpe: Any):
    """Prompts as they are, each answer the one token that follows the clean prompt."""
    clean, corrupt, right, wrong = encode_row(bpe, *PAIR, [" Paris"], [" Rome"])
    assert bpe.convert_ids_to_tokens([*clean, *right, *wrong]) == [
        "The",
        "Ġcapital",
        "Ġof",
        "ĠFrance",
        "Ġis",
        "ĠParis",
        "ĠRome",
    ]
    assert bpe.decode(corrupt) == PAIR[1]


@pytest.mark.parametrize(
    ("clean", "right", "wrong", "says"),
    [
        (
            "The capital of France is",
            ["Paris"],
            ["Rome"],
            "'Paris' would continue the last word of .* begin it with a space",
        ),
        ("The capital of France is", [" Paris"], ["Rome"], "' Paris' begins with a space and 'Rome' does not"),
        ("The capital of France is ", [" Paris"], [" Rome"], "the prompt ends with a space and the answer ' Paris'"),
        ("The capital of France is ", ["Paris"], ["Rome"], "remove the space at the prompt's end"),
        ("The capital of France is", [" Parisian"], [" Rome"], "' Parisian' is not one token"),
    ],
)
def test_spaces_that_the_model_would_not_see_so_are_refused(bpe: Any, clean: str, right, wrong, says: str):
    """Each contradiction between prompt and answers is one sentence with what to do."""
    with pytest.raises(InputError, match=says):
        encode_row(bpe, clean, PAIR[1], right, wrong)


def test_an_answer_without_a_space_is_right_after_what_is_no_letter(bpe: Any):
    """After a bracket or a quotation mark the answer begins at once."""
    right = encode_row(bpe, 'The capital of France is "', 'The capital of Italy is "', ["Paris"], ["Rome"])[2]
    assert bpe.convert_ids_to_tokens(right) == ["Paris"]


@pytest.mark.parametrize("side", ["clean", "corrupt"])
def test_an_unknown_word_is_refused_by_name(words: Any, side: str):
    """A word outside the vocabulary does not become <unk> in silence."""
    prompts = {"clean": "Then, Mary went to the", "corrupt": "Then, John went to the"}
    prompts[side] = prompts[side].replace("went", "zoological,")
    with pytest.raises(InputError, match="not in the vocabulary, 'zoological'"):
        encode_row(words, **prompts, right=[" store"], wrong=[" park"])


def test_an_unknown_answer_is_refused(words: Any):
    """Two unknown answers would be one token."""
    with pytest.raises(InputError, match="the answer ' zoological' is not in the vocabulary"):
        encode_row(words, "Then, Mary went to the", "Then, John went to the", [" zoological"], [" park"])


def test_an_unknown_token_that_is_written_is_meant(words: Any):
    """Whoever writes <unk> gets it."""
    clean = encode_row(words, f"Then, {words.unk_token} went", "Then, John went", [" to"], [" the"])[0]
    assert words.unk_token_id in clean


def test_the_likeliest_tokens_stand_beside_the_answers(bpe: Any):
    """The sentence shows an answer that only lacks its space."""
    paris, spaced, rome = (bpe(text).input_ids[0] for text in ("Paris", " Paris", "Rome"))
    logits = torch.zeros(len(bpe))
    logits[spaced], logits[paris], logits[rome] = 9.0, 3.0, 2.0
    assert likeliest_tokens(logits, bpe, 2) == [" Paris", "Paris"]
    assert likeliest_tokens(logits, None, 1) == [str(spaced)]
    said = answers_beside(logits, [paris], [rome], bpe, k=1)
    beside = "the likeliest tokens are ' Paris'; yours are right 'Paris' (rank 2) and wrong 'Rome' (rank 3)"
    assert said == f"{beside}; did you mean ' Paris', not 'Paris'?"
    assert answers_beside(logits, [spaced], [rome], bpe, k=1).endswith("wrong 'Rome' (rank 3)")


def test_all_tokens_of_an_answer_without_a_wrong_one(bpe: Any):
    """They continue the clean prompt as the tokenizer itself continues it, and must be the same after the corrupt one."""
    clean, corrupt, answer, wrong = encode_row(bpe, "a b", "a c", [" New York"], [])
    assert clean + answer == bpe("a b New York").input_ids and corrupt + answer == bpe("a c New York").input_ids
    assert len(answer) > 1 and wrong == []
    for right, words in (
        ([" a", " b"], "2 right answers"),
        (["York"], "begin it with a space"),
        ([""], "token of its own"),
    ):
        with pytest.raises(InputError, match=words):
            encode_row(bpe, "a b", "a c", right, [])
    with pytest.raises(InputError, match="leave the wrong answers out"):
        encode_row(bpe, "a b", "a c", [" New York"], [" a"])
