"""Metrics: one number per prompt, higher when the model does the task better.

Each takes the logits at the position from which the prompt's answer is read, (B, vocabulary), and the
:class:`~circuitsearch.batch.Batch` with the right and the wrong answers, and returns (B,). Where the answers are teacher-forced,
the logits are those at each of the K positions from which a token of the answer is read, (B, K, vocabulary).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.errors import InputError

Metric = Callable[[Tensor, Batch], Tensor]


def _at(values: Tensor, ids: Tensor, absent: float) -> Tensor:
    """Select ``values`` (B, vocabulary) at ``ids`` (B, k); ids of -1 are padding and give ``absent``."""
    if values.dim() > 2:
        raise InputError(
            "teacher-forced answers are read at several positions: use the metric answer_log_prob, or neg_kl"
        )
    return values.gather(-1, ids.clamp(min=0)).masked_fill(ids < 0, absent)


def _mean_at(values: Tensor, ids: Tensor) -> Tensor:
    return _at(values, ids, 0.0).sum(-1) / (ids >= 0).sum(-1).clamp(min=1)


def logit_diff(logits: Tensor, batch: Batch) -> Tensor:
    """Mean logit of the right answers minus mean logit of the wrong ones, in logits (B,).

    With one answer of each kind this is the logit difference of Wang et al. (2211.00593).
    """
    return _mean_at(logits, batch.answers) - _mean_at(logits, batch.wrong)


def prob_diff(logits: Tensor, batch: Batch) -> Tensor:
    """Probability of all right answers minus that of all wrong ones, in -1 ... 1 (B,); Hanna et al. (2305.00586)."""
    probabilities = logits.softmax(-1)
    return _at(probabilities, batch.answers, 0.0).sum(-1) - _at(probabilities, batch.wrong, 0.0).sum(-1)


def log_likelihood(logits: Tensor, batch: Batch) -> Tensor:
    """Log probability of the right answers together, in nats (B,): minus the negative log-likelihood."""
    return _at(logits.log_softmax(-1), batch.answers, -float("inf")).logsumexp(-1)


def answer_log_prob(logits: Tensor, batch: Batch) -> Tensor:
    """Log probability of the whole answer after the prompt, in nats (B,): the sum over its tokens of the log probability of each.

    Each token is read after the prompt and the answer's earlier tokens (teacher forcing), whatever the model itself would say.
    There are no wrong answers: the corrupt run has the same tokens after the corrupt prompt.

    Raises
    ------
    InputError
        Unless the logits are (B, K, vocabulary), those of a task whose answers are teacher-forced.
    """
    if logits.dim() != 3:
        raise InputError("answer_log_prob scores teacher-forced answers: use log_likelihood for answers of one token")
    return logits.log_softmax(-1).gather(-1, batch.answers[..., None])[..., 0].sum(-1)


def neg_kl(logits: Tensor, batch: Batch) -> Tensor:
    """Minus the KL divergence from the clean model's next-token distribution, in nats (B,); 0 is the best.

    It is the mean over the positions that are read, if there are several.
    Its gradient is zero at the clean run, so methods that take the gradient only there (EAP) give every edge the score zero.

    Raises
    ------
    InputError
        If the batch has no clean logits to compare with.
    """
    if batch.clean_logits is None:
        raise InputError(
            "neg_kl needs the clean model's logits: run it through circuitsearch.engine, which provides them"
        )
    clean = batch.clean_logits.log_softmax(-1)
    values = (clean.exp() * (logits.log_softmax(-1) - clean)).sum(-1)
    return values if values.dim() == 1 else values.mean(-1)


def accuracy(logits: Tensor, batch: Batch) -> Tensor:
    """1 if the best right answer has a higher logit than every wrong one, else 0 (B,).

    Of a teacher-forced answer, which has no wrong ones, 1 if the model itself would say it, as :func:`top1`.
    """
    if logits.dim() == 3:
        return top1(logits, batch)
    right = _at(logits, batch.answers, -float("inf")).amax(-1)
    wrong = _at(logits, batch.wrong, -float("inf")).amax(-1)
    return (right > wrong).to(logits.dtype)


def top1(logits: Tensor, batch: Batch) -> Tensor:
    """1 if the most likely token of the whole vocabulary is a right answer, else 0 (B,).

    Of a teacher-forced answer, 1 if each of its tokens is the most likely one: the model would say it, token by token.
    """
    if logits.dim() == 3:
        return (logits.argmax(-1) == batch.answers).all(-1).to(logits.dtype)
    best = logits.argmax(-1, keepdim=True)  # (B, 1)
    return (best == batch.answers).any(-1).to(logits.dtype)


_IN_WORDS = {
    "logit_diff": "logit difference",
    "prob_diff": "probability difference",
    "log_likelihood": "log likelihood of the answer",
    "answer_log_prob": "log probability of the whole answer",
    "neg_kl": "negative KL divergence",
    "accuracy": "accuracy",
    "top1": "top-1 accuracy",
}


def metric_in_words(name: str) -> str:
    """A metric's name in words; that of another one with spaces.

    Examples
    --------
    >>> metric_in_words("logit_diff"), metric_in_words("my_metric")
    ('logit difference', 'my metric')
    """
    return _IN_WORDS.get(name, name.replace("_", " "))


def metric_name(metric: Metric) -> str:
    """Return the name to print for a metric: a function's own, ``partial(...)`` around it, or an object's class.

    Two metrics may have the same name; :func:`circuitsearch.metric_contract.metric_digest` distinguishes them.

    Examples
    --------
    >>> metric_name(logit_diff), metric_name(partial(logit_diff))
    ('logit_diff', 'partial(logit_diff)')
    """
    if isinstance(metric, partial):
        return f"partial({metric_name(metric.func)})"
    return str(getattr(metric, "__name__", type(metric).__name__))
