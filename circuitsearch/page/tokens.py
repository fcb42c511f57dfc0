"""Tokens as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def token_texts(ids: Sequence[int], tokenizer: Any) -> tuple[str, ...]:
    """The text of each token, with its leading space; its number where there is no tokenizer."""
    if tokenizer is None:
        return tuple(f"#{token}" for token in ids)
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    texts = [tokenizer.decode([token], clean_up_tokenization_spaces=False) for token in ids]
    # SentencePiece marks a leading space in the piece, and takes it away when it decodes a token alone.
    marked = [
        str(piece).startswith("\u2581") and not text.startswith(" ") for piece, text in zip(pieces, texts, strict=True)
    ]
    return tuple(f" {text}" if space else text for space, text in zip(marked, texts, strict=True))
