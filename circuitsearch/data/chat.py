"""Prompts as a chat model reads them: through the template of its own tokenizer, up to where the answer begins."""

from __future__ import annotations

from typing import Any

from circuitsearch.errors import InputError, shortened
from circuitsearch.text import Tokenizer, encode

SYSTEM, USER, ANSWER_START = "SYSTEM", "USER", "ANSWER_START"


def check_template(tokenizer: Tokenizer | None) -> None:
    """Raise an InputError unless the tokenizer has a chat template."""
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            "this model's tokenizer has no chat template: take its chat or instruct version, or give prompts without --chat"
            " (in Python chat=True)"
        )


def chat_text(tokenizer: Tokenizer, user: str, system: str | None = None) -> str:
    """A user's message as the model is to read it, with the generation prompt after it.

    Raises
    ------
    InputError
        If the template refuses the messages, or leaves one of them out.
    """
    text = _rendered(tokenizer, user, system, start=True)
    for role, content in (("user", user), ("system", system)):
        if content and content.strip() not in text:
            raise InputError(
                f"the tokenizer's chat template does not show the {role}'s text {shortened(repr(content), 40)}"
            )
    return text


def chat_spans(tokenizer: Tokenizer, text: str, user: str, system: str | None = None) -> dict[str, list[int]]:
    """Positions of the system's text, the user's, and what the template writes after it up to the answer.

    Parameters
    ----------
    text
        What :func:`chat_text` gave.
    """
    begin = text.rindex(user.strip())
    bounds = {USER: (begin, begin + len(user.strip()))}
    bounds[ANSWER_START] = (len(_rendered(tokenizer, user, system, start=False)), len(text))
    if system and system.strip():
        first = text.index(system.strip())
        bounds = {SYSTEM: (first, first + len(system.strip())), **bounds}
    found = {name: _tokens(tokenizer, text, *places) for name, places in bounds.items()}
    return {name: places for name, places in found.items() if places}


def _rendered(tokenizer: Tokenizer, user: str, system: str | None, start: bool) -> str:
    messages = [{"role": "user", "content": user}]
    if system:
        messages = [{"role": "system", "content": system}, *messages]
    try:
        text: Any = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=start)
    except Exception as error:  # a template is a program of its own, which raises what it likes
        raise InputError(
            f"the tokenizer's chat template refuses the row ({shortened(error, 100)}): leave out what it names"
        ) from None
    return str(text)


def _tokens(tokenizer: Tokenizer, text: str, first: int, last: int) -> list[int]:
    """Positions of the tokens that have a character of ``text[first:last]``."""
    bare = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    before = len(encode(tokenizer, text)) - len(bare.input_ids)  # tokens that the tokenizer puts first
    return [
        before + place
        for place, (begin, end) in enumerate(bare.offset_mapping)
        if begin < last and end > first and begin < end
    ]
