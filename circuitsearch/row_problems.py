"""What is wrong with one row of a task, in words."""

from __future__ import annotations

from torch import Tensor


def prompt_problem(clean: Tensor, corrupt: Tensor, position: int, aligned: Tensor | None) -> str | None:
    if len(clean) == 0:
        return "the prompt is empty: give at least one token"
    if aligned is not None and not _is_alignment(aligned, len(clean), len(corrupt)):
        return "aligned must have for each token of the clean prompt a position in the corrupt one, in order"
    if aligned is None and len(clean) != len(corrupt):
        return (
            f"the clean prompt has {len(clean)} tokens and the corrupt one {len(corrupt)}:"
            " make the pair token-aligned, of one length"
        )
    if not 0 <= position < len(clean):
        return f"the metric's position {position} is outside the prompt of {len(clean)} tokens, 0 ... {len(clean) - 1}"
    return None


def _is_alignment(aligned: Tensor, length: int, others: int) -> bool:
    """Whether it has a position below ``others`` for each of ``length`` tokens, in ascending order."""
    return len(aligned) == length and bool((aligned.diff() >= 0).all() and aligned[0] >= 0 and aligned[-1] < others)


def forced_problem(answers: Tensor, wrong: Tensor, position: int) -> str | None:
    """What is wrong with a teacher-forced answer."""
    if len(answers) == 0:
        return "the answer is empty: give at least one token"
    if len(wrong):
        return "a teacher-forced answer is scored by its own log probability: leave the wrong answers out"
    if position + 1 < len(answers):
        return "there is no prompt before the answer: give at least one token"
    return None


def answers_problem(answers: Tensor, wrong: Tensor) -> str | None:
    if len(answers) == 0 or len(wrong) == 0:
        return "there must be at least one right and one wrong answer"
    for kind, ids in (("right", answers.tolist()), ("wrong", wrong.tolist())):
        if len(set(ids)) < len(ids):
            twice = next(token for token in ids if ids.count(token) > 1)
            return f"token {twice} is given twice as a {kind} answer: leave one out"
    both = sorted(set(answers.tolist()) & set(wrong.tolist()))
    if both:
        return f"token {both[0]} is given as right and as wrong answer: make them differ"
    return None
