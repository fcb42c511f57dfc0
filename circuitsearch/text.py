"""From text to token ids and back, for tasks and task files."""

from __future__ import annotations

from collections.abc import Sequence
from string import punctuation
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from circuitsearch.errors import InputError, shortened

if TYPE_CHECKING:
    from torch import Tensor

Tokenizer = Any  # a transformers tokenizer; not imported, so that importing this module is fast
Row = tuple[list[int], list[int], list[int], list[int]]  # ids of clean, corrupt, right and wrong answers


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of ``text``, with the tokens that the tokenizer adds before a prompt and without those that it adds after.

    A text that begins with these tokens already, as from a chat template, does not get them twice.
    """
    ids = list(tokenizer(text).input_ids)
    if len(ids) < 2 or (ids[-1] != getattr(tokenizer, "eos_token_id", None) and ids[0] not in ids[1:]):
        return ids  # the usual case: no end token to remove, and no beginning that may be there twice
    before, after = _added(tokenizer)
    ids = ids[: len(ids) - len(after)]
    return ids[len(before) :] if before and ids[len(before) :][: len(before)] == before else ids


class _ReadAhead:
    """A tokenizer that has read some texts in one call: a hundred answers in half the time of a call each.

    One that is written in Python reads each text when it is asked for, since it may not accept several.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        several = texts if getattr(tokenizer, "is_fast", False) else ()
        self._known = dict(zip(several, tokenizer(several).input_ids, strict=True)) if several else {}

    def __call__(self, text: str, **options: Any) -> Any:
        if options or text not in self._known:
            return self._tokenizer(text, **options)
        return SimpleNamespace(input_ids=self._known[text])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def _added(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Special tokens that the tokenizer itself puts before a text and after it."""
    whole, bare = (list(tokenizer("a", add_special_tokens=special).input_ids) for special in (True, False))
    before = next((k for k in range(len(whole)) if whole[k : k + len(bare)] == bare), 0)
    return whole[:before], whole[before + len(bare) :]


def encode_row(tokenizer: Tokenizer, clean: str, corrupt: str, right: Sequence[str], wrong: Sequence[str]) -> Row:
    """Token ids of a pair of prompts and its answers: of each its token, or without wrong answers all tokens of the only right one.

    Raises
    ------
    InputError
        If a word is not in the vocabulary, an answer is not one token after the clean prompt, or the space between prompt
        and answer is missing or doubled; without wrong answers, if there are several right ones, or the answer's tokens are not
        the same after both prompts.
    """
    if wrong:
        return encode_texts(tokenizer, clean, corrupt, right, wrong)
    clean_ids, corrupt_ids, _, _ = encode_texts(tokenizer, clean, corrupt, [], [])
    _check_spaces(clean, corrupt, right)
    return clean_ids, corrupt_ids, _whole_answer(tokenizer, clean, corrupt, right), []


def encode_texts(tokenizer: Tokenizer, clean: str, corrupt: str, right: Sequence[str], wrong: Sequence[str]) -> Row:
    """Token ids of a pair of prompts, and the tokens of any answers, none included; raises as :func:`encode_row` does."""
    tokenizer = _ReadAhead(tokenizer, [clean, corrupt, *(clean + answer for answer in (*right, *wrong))])
    clean_ids, corrupt_ids = (_known(tokenizer, text) for text in (clean, corrupt))
    _check_spaces(clean, corrupt, [*right, *wrong])
    right_ids, wrong_ids = (
        [_answer(tokenizer, clean, answer, clean_ids) for answer in answers] for answers in (right, wrong)
    )
    return clean_ids, corrupt_ids, right_ids, wrong_ids


def check_all_forced(places: Sequence[str], forced: Sequence[bool]) -> bool:
    """Whether rows have no wrong answers, so that the right ones are teacher-forced.

    Raises
    ------
    InputError
        If only some of them do; the sentence names the place of the first.
    """
    if any(forced) and not all(forced):
        raise InputError(
            f"{places[list(forced).index(True)]} has no wrong answer, and other rows have one: give every row one, or none, so that"
            " the log probability of the answer is the metric"
        )
    return any(forced)


def answer_tokens(tokenizer: Tokenizer, prompt: str, answer: str, prompt_ids: list[int] | None = None) -> list[int]:
    """Return the tokens with which ``answer`` continues ``prompt``; ``prompt_ids`` saves tokenising the prompt again.

    Prompt and answer are tokenised together, as the model would read them.

    Raises
    ------
    InputError
        If the answer is empty, or changes the tokens of the prompt.
    """
    before = encode(tokenizer, prompt) if prompt_ids is None else prompt_ids
    after = encode(tokenizer, prompt + answer)
    if after[: len(before)] != before or len(after) == len(before):
        raise InputError(
            f"the answer {_quoted(answer)} does not begin with a token of its own after {prompt[-40:]!r} in this tokenizer:"
            " begin it with a space, and end the prompt without one"
        )
    return after[len(before) :]


def answer_token(tokenizer: Tokenizer, prompt: str, answer: str, prompt_ids: list[int] | None = None) -> int:
    """Return the single token with which ``answer`` continues ``prompt``; ``prompt_ids`` saves tokenising the prompt again.

    Prompt and answer are tokenised together, as the model would read them, so that the tokenizer's own rules apply to a
    leading space.

    Raises
    ------
    InputError
        If the answer is not exactly one token after the prompt.
    """
    before = encode(tokenizer, prompt) if prompt_ids is None else prompt_ids
    after = encode(tokenizer, prompt + answer)
    if after[: len(before)] != before or len(after) != len(before) + 1:
        pieces = tokenizer.convert_ids_to_tokens(after[len(before) :])
        gives = f"gives {shortened(pieces, 80)}" if after[: len(before)] == before else "joins the prompt's last word"
        advice = (
            "remove the space at the prompt's end and begin the answer with it"
            if prompt.endswith(" ")
            else "choose an answer that is one token, with its leading space, or leave the wrong answers out to score a longer one"
        )
        raise InputError(
            f"the answer {_quoted(answer)} is not one token after {prompt[-40:]!r} in this tokenizer"
            f" (it {gives}): {advice}"
        )
    return after[-1]


def is_one_token(tokenizer: Tokenizer, word: str, prompt: str = "the") -> bool:
    """Whether ``word`` (with its leading space, if any) is one token after ``prompt``, and not the unknown token."""
    try:
        token = answer_token(tokenizer, prompt, word)
    except InputError:
        return False
    return token != getattr(tokenizer, "unk_token_id", None)


# ---- text that the model would not read as the user means it


def _known(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a prompt all of whose words are in the vocabulary."""
    ids = encode(tokenizer, text)
    if _is_unknown(tokenizer, text, ids):
        word = _unknown_word(tokenizer, text)
        raise InputError(
            f"the prompt {shortened(repr(text), 80)} has a word that is not in the vocabulary, {_quoted(word)}:"
            " use another word, or the model's own tokenizer"
        )
    return ids


def _is_unknown(tokenizer: Tokenizer, text: str, ids: Sequence[int]) -> bool:
    """Whether the tokenizer inserted its unknown token; one that the text contains, or that begins every text, is intended."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None or unknown not in ids or str(tokenizer.unk_token) in text:
        return False
    return unknown in ids[1:] or unknown not in _added(tokenizer)[0]


def unknown_word(tokenizer: Tokenizer, text: str) -> str:
    """The first word of a text that is not in the vocabulary; an empty text if all are."""
    return _unknown_word(tokenizer, text) if _is_unknown(tokenizer, text, encode(tokenizer, text)) else ""


def _unknown_word(tokenizer: Tokenizer, text: str) -> str:
    """The first word that is the unknown token by itself, or the first word of the text if none is."""
    words = [word.strip(punctuation) or word for word in text.split()]
    return next((word for word in words if _is_unknown(tokenizer, word, encode(tokenizer, word))), words[0])


def _check_spaces(clean: str, corrupt: str, answers: Sequence[str]) -> None:
    spaced = [answer for answer in answers if answer.startswith(" ")]
    bare = [answer for answer in answers if answer[:1].isalnum()]
    if spaced and any(prompt.endswith(" ") for prompt in (clean, corrupt)):
        raise InputError(
            f"the prompt ends with a space and the answer {_quoted(spaced[0])} begins with one: remove the prompt's"
        )
    if spaced and bare:
        raise InputError(
            f"the answer {_quoted(spaced[0])} begins with a space and {_quoted(bare[0])} does not: begin all answers of a"
            " row with a space, or none"
        )


def _answer(tokenizer: Tokenizer, prompt: str, answer: str, prompt_ids: list[int]) -> int:
    """The token of an answer; the answer must be in the vocabulary, and not a new word without its space."""
    token = answer_token(tokenizer, prompt, answer, prompt_ids)
    if _is_unknown(tokenizer, answer, [token]):
        raise InputError(
            f"the answer {_quoted(answer)} is not in the vocabulary: use another one, or the model's own tokenizer"
        )
    if _is_cased(prompt[-1:]) and _is_cased(answer[:1]) and is_one_token(tokenizer, f" {answer}", prompt):
        raise InputError(
            f"the answer {_quoted(answer)} would continue the last word of {prompt[-20:]!r}: begin it with a space, or give"
            " token ids if that is intended"
        )
    return token


def _whole_answer(tokenizer: Tokenizer, clean: str, corrupt: str, answers: Sequence[str]) -> list[int]:
    """All tokens of the only answer, which must be the same after both prompts."""
    if len(answers) != 1:
        raise InputError(
            f"there are {len(answers)} right answers and no wrong one: give one of each, or one right answer alone"
        )
    (answer,) = answers
    if _is_cased(clean[-1:]) and _is_cased(answer[:1]):
        raise InputError(
            f"the answer {_quoted(answer)} would continue the last word of {clean[-20:]!r}: begin it with a space, or give token"
            " ids if that is intended"
        )
    ids, after_corrupt = (answer_tokens(tokenizer, prompt, answer) for prompt in (clean, corrupt))
    if ids != after_corrupt:
        raise InputError(
            f"the answer {_quoted(answer)} has other tokens after the corrupt prompt than after the clean one: end both with the"
            " same word"
        )
    if getattr(tokenizer, "unk_token_id", None) in ids and str(tokenizer.unk_token) not in answer:
        raise InputError(f"the answer {_quoted(answer)} has a word that is not in the vocabulary: use another one")
    return ids


def _is_cased(letter: str) -> bool:
    """Whether it is a letter of a script with capitals; such scripts put spaces between words."""
    return letter.lower() != letter.upper()


def _quoted(text: str) -> str:
    return shortened(repr(text), 40)


# ---- from ids to text


def likeliest_tokens(logits: Tensor, tokenizer: Tokenizer | None, k: int = 5) -> list[str]:
    """Text of the ``k`` most likely tokens, the likeliest first; their ids if there is no tokenizer.

    Parameters
    ----------
    logits
        (vocabulary,), at the position of one prompt that the metric reads.
    """
    best = logits.topk(min(k, len(logits))).indices.tolist()
    return [token_text(tokenizer, token) for token in best]


def answers_beside(
    logits: Tensor, right: Sequence[int], wrong: Sequence[int], tokenizer: Tokenizer | None, k: int = 3
) -> str:
    """One sentence with the likeliest tokens after a prompt, and the ranks of its answers.

    Parameters
    ----------
    logits
        (vocabulary,), at the position of one prompt that the metric reads.
    right, wrong
        Ids of that prompt's answers.
    """
    likeliest = ", ".join(map(repr, likeliest_tokens(logits, tokenizer, k)))
    given = (("right", right), ("wrong", wrong))
    sides = (f"{kind} {_with_rank(logits, ids, tokenizer)}" for kind, ids in given if len(ids))
    meant = _meant(likeliest_tokens(logits, tokenizer, k), [token_text(tokenizer, token) for token in right])
    return f"the likeliest tokens are {likeliest}; yours are {' and '.join(sides)}{meant}"


def _meant(likeliest: Sequence[str], answers: Sequence[str]) -> str:
    """A question whether a likely token was meant that differs from an answer in spaces or capitals only."""
    pairs = ((token, answer) for token in likeliest for answer in answers if token not in answers)
    near = next((pair for pair in pairs if pair[0].strip().lower() == pair[1].strip().lower() != ""), None)
    return "" if near is None else f"; did you mean {near[0]!r}, not {near[1]!r}?"


def _with_rank(logits: Tensor, ids: Sequence[int], tokenizer: Tokenizer | None) -> str:
    best = max(ids, key=lambda token: float(logits[token]))
    rank = int((logits > logits[best]).sum()) + 1
    return f"{token_text(tokenizer, best)!r} (rank {rank:,})"


def token_text(tokenizer: Tokenizer | None, token: int) -> str:
    return str(token) if tokenizer is None else tokenizer.decode([token])
