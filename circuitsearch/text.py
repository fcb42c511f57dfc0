"""From text to token ids: the few lines that every task and task file share."""

from __future__ import annotations

from typing import Any

from circuitsearch.errors import InputError

Tokenizer = Any  # a transformers tokenizer; not imported, so that this module stays light


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of ``text``, with the special tokens that the tokenizer itself puts around a prompt, end token left out."""
    ids = list(tokenizer(text).input_ids)
    eos = getattr(tokenizer, "eos_token_id", None)
    return ids[:-1] if len(ids) > 1 and ids[-1] == eos else ids


def answer_token(tokenizer: Tokenizer, prompt: str, answer: str, prompt_ids: list[int] | None = None) -> int:
    """Return the single token with which ``answer`` continues ``prompt``, whose ids may be given if they are known.

    The two are tokenised together, as the model would read them, so that a leading space is handled by the
    tokenizer's own rules.

    Raises
    ------
    InputError
        If the answer is not exactly one token after the prompt.
    """
    before = encode(tokenizer, prompt) if prompt_ids is None else prompt_ids
    after = encode(tokenizer, prompt + answer)
    if after[: len(before)] != before or len(after) != len(before) + 1:
        pieces = tokenizer.convert_ids_to_tokens(after[len(before) :]) if after[: len(before)] == before else after
        raise InputError(
            f"the answer {answer!r} is not one token after {prompt[-40:]!r} in this tokenizer"
            f" (it gives {pieces}): choose an answer that is one token, with its leading space"
        )
    return after[-1]


def is_one_token(tokenizer: Tokenizer, word: str, prompt: str = "the") -> bool:
    """Say whether ``word`` (with its leading space, if any) is one known token after ``prompt``."""
    try:
        token = answer_token(tokenizer, prompt, word)
    except InputError:
        return False
    return token != getattr(tokenizer, "unk_token_id", None)
