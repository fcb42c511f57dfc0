"""The requirements on a metric, checked on random logits before the model runs, and the digest that identifies it.

A metric is any ``(logits, batch) -> (B,)``. Nothing here runs a model: seeded random logits (B, vocabulary) replace
its output, so that an unusable metric is refused at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.errors import InputError
from circuitsearch.metrics import Metric, metric_name

MOST_CHECKED = 3  # prompts of the batch on which a metric is checked
BOOST = 20.0  # added to the logits of answers, so that metrics that only compare or rank change as well
RANGE = 5.0  # random logits are in -RANGE ... RANGE
VANISHES = 1e-3  # a gradient below this share of that at other logits is rounding error
DTYPES = (
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float64,
)  # a metric with weights may take one of them only


class Needs(Enum):
    """What a method needs from the metric; each method has it as its attribute ``needs``."""

    VALUES = "its values"
    GRADIENT = "its gradient at several runs"
    GRADIENT_AT_CLEAN = "its gradient at the clean run alone"


def check_metric(metric: Metric, batch: Batch, vocabulary_size: int, *, needs_gradient: bool = False) -> None:
    """Check that a metric gives one number per prompt, which depends on that prompt's logits only.

    Parameters
    ----------
    metric
        Called as ``metric(logits, batch)`` on random logits in float32, or in another dtype if it accepts only that.
    batch
        Prompts of the task, on the device on which the metric will be called.
    vocabulary_size
        Number of logits per position.
    needs_gradient
        Whether the metric must have a gradient with respect to the logits as well.

    Raises
    ------
    InputError
        Unless the values are a floating-point (B,) tensor, finite, the same at each call, and dependent on the logits of
        their own prompt only; or if a gradient is needed and is zero or not finite.
    """
    with torch.inference_mode(False):
        probe = _Probe.of(metric, batch, vocabulary_size)
        problems = (*_VALUE_CHECKS, _no_gradient) if needs_gradient else _VALUE_CHECKS
        problem = next((found for check in problems for found in check(probe)), None)
    if problem is not None:
        raise InputError(f"the metric {_short(metric)} {problem}")


def check_metric_suits(metric: Metric, method: Any, batch: Batch, vocabulary_size: int) -> None:
    """Check a metric as :func:`check_metric` does, and that it has the gradient that ``method`` needs.

    Raises
    ------
    InputError
        If the metric fails a check; the sentence names what to use instead.
    """
    needs = getattr(method, "needs", Needs.VALUES)
    check_metric(metric, batch, vocabulary_size, needs_gradient=needs is not Needs.VALUES)
    if needs is Needs.GRADIENT_AT_CLEAN and _vanishes_at_clean(metric, batch, vocabulary_size):
        raise InputError(
            f"the gradient of the metric {_short(metric)} is zero at the clean run, where {type(method).__name__} needs it:"
            " use the metric logit_diff, or the method EAPIG() or Exact()"
        )


def metric_digest(metric: Metric, batch: Batch, vocabulary_size: int) -> str:
    """SHA-256 of a metric's name and its values on random logits of several scales.

    Two metrics of the same name that close over different values have different digests, and a metric has the same digest
    on every machine. The prompts are random, so that the digest does not depend on the task's; only a metric that fails on
    those is called on prompts of ``batch``. Values are rounded to 8 significant digits, or to 4 if the metric does not
    return float64.

    Raises
    ------
    InputError
        If the metric fails on the prompts of ``batch`` as well.
    """
    with torch.inference_mode(False):
        dtype = _dtype_of(metric, _few(batch), vocabulary_size, (torch.float64, *DTYPES[:-1]))
        draw = partial(_scaled, vocabulary_size=vocabulary_size, dtype=dtype)
        called = [_digits(metric, made_up, draw) for made_up in _made_up_batches(batch, vocabulary_size)]
        if not any(called):
            called = [_rounded(_call(metric, *draw(_few(batch), RANGE)))]
    return hashlib.sha256(json.dumps([metric_name(metric), *called]).encode()).hexdigest()


# ---- random logits


def random_logits(
    like: Batch, vocabulary_size: int, seed: int, dtype: torch.dtype = torch.float32, scale: float = RANGE
) -> Tensor:
    """Draw logits (B, vocabulary), or (B, K, vocabulary) of K positions, uniformly from -scale ... scale, the same on every machine."""
    drawn = np.random.RandomState(seed).uniform(-scale, scale, (*like.position.shape, vocabulary_size))
    return torch.as_tensor(drawn).to(like.clean.device, dtype)


def _few(batch: Batch) -> Batch:
    """At most MOST_CHECKED of the batch's prompts, and at least two: a single one is repeated."""
    return batch.take([row % len(batch) for row in range(max(2, min(MOST_CHECKED, len(batch))))])


def _raised(logits: Tensor, ids: Tensor) -> Tensor:
    """Logits (B, vocabulary) with those at ``ids`` (B, k) higher by BOOST; ids of -1 are padding. Of K positions, one id is at each."""
    ids = ids[..., None] if logits.dim() == 3 else ids
    return logits.scatter_add(-1, ids.clamp(min=0), BOOST * (ids >= 0).to(logits))


@dataclass(frozen=True)
class _Probe:
    """A metric with prompts (B of them) and four sets of logits (B, vocabulary) to call it on."""

    metric: Metric
    batch: Batch
    logits: tuple[Tensor, ...]  # two at random, then those with right and those with wrong answers raised

    @classmethod
    def of(cls, metric: Metric, batch: Batch, vocabulary_size: int) -> _Probe:
        few = _few(batch)
        dtype = _dtype_of(metric, few, vocabulary_size, DTYPES)
        first, second, clean = (random_logits(few, vocabulary_size, seed, dtype) for seed in range(3))
        logits = first, second, _raised(first, few.answers), _raised(first, few.wrong)
        return cls(metric, replace(few, clean_logits=clean), logits)

    def values(self, logits: Tensor) -> Tensor:
        return _call(self.metric, logits, self.batch)

    def gradient(self, logits: Tensor) -> Tensor:
        return _gradient(self.metric, logits, self.batch)


def _dtype_of(metric: Metric, batch: Batch, vocabulary_size: int, dtypes: Sequence[torch.dtype]) -> torch.dtype:
    """The first of these dtypes whose logits the metric accepts; the first of all if it accepts none."""
    for dtype in dtypes:
        try:
            _call(metric, *_scaled(batch, RANGE, vocabulary_size, dtype))
        except (InputError, TypeError):  # a TypeError where the device has no such dtype
            continue
        return dtype
    return dtypes[0]


def _call(metric: Metric, logits: Tensor, batch: Batch) -> Tensor:
    """The metric's value; an exception of the metric becomes an InputError of one sentence."""
    try:
        return metric(logits.clone(), batch)
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(
            f"the metric {_short(metric)} fails on the task's prompts ({type(error).__name__}: {said}):"
            " it must take logits (B, vocabulary) and a Batch, and return (B,)"
        ) from None


def _gradient(metric: Metric, logits: Tensor, batch: Batch) -> Tensor:
    """The gradient (B, vocabulary) of the sum over prompts; zero if the metric has none."""
    with torch.enable_grad():
        leaf = logits.clone().requires_grad_()
        total = _call(metric, leaf, batch).sum()
        found = torch.autograd.grad(total, leaf, allow_unused=True)[0] if total.requires_grad else None
    return torch.zeros_like(logits) if found is None else found


def _short(metric: Metric) -> str:
    return repr(metric_name(metric)[:60])


# ---- checks: each yields a sentence about what is wrong, if anything


def _not_one_number_a_prompt(probe: _Probe) -> Iterator[str]:
    values, n = probe.values(probe.logits[0]), len(probe.batch)
    if not isinstance(values, Tensor):
        yield f"returns a {type(values).__name__}, not a tensor: return one number per prompt, (B,)"
    elif values.dim() == 0:
        yield "returns one number for the whole batch: return one per prompt, (B,), without a mean or sum over prompts"
    elif tuple(values.shape) != (n,):
        yield f"returns the shape {tuple(values.shape)} for {n} prompts: return one number per prompt, (B,)"
    elif not values.is_floating_point():
        yield f"returns {values.dtype}: return floating-point numbers, as with .to(logits.dtype)"


def _not_finite(probe: _Probe) -> Iterator[str]:
    if not all(probe.values(logits).isfinite().all() for logits in probe.logits[:2]):
        yield "gives NaN or infinity on ordinary logits: compute logarithms with log_softmax, and check its divisions"


def _not_deterministic(probe: _Probe) -> Iterator[str]:
    if not torch.equal(*(probe.values(probe.logits[0]) for _ in range(2))):
        yield "gives other values when it is called again on the same logits: remove randomness and state from it"


def _not_from_the_logits(probe: _Probe) -> Iterator[str]:
    values = [probe.values(logits) for logits in probe.logits]
    if all(torch.equal(values[0], other) for other in values[1:]):
        yield "does not depend on the logits: compute it from its first argument, (B, vocabulary)"


def _not_per_prompt(probe: _Probe) -> Iterator[str]:
    random, other, right, wrong = probe.logits
    for before, after in ((random, other), (right, wrong)):
        for row in range(len(probe.batch)):
            changed = before.clone()
            changed[row] = after[row]
            others = torch.arange(len(before), device=before.device) != row
            pair = (probe.values(logits)[others] for logits in (before, changed))
            if not torch.allclose(*pair, rtol=1e-4, atol=1e-5):
                yield "mixes prompts: one prompt's value depends on another's logits, so leave out means over prompts"


def _no_gradient(probe: _Probe) -> Iterator[str]:
    gradients = [probe.gradient(logits) for logits in probe.logits]
    if not all(gradient.isfinite().all() for gradient in gradients[:2]):
        yield "has a gradient that is NaN or infinite: compute logarithms with log_softmax, and check its divisions"
    if not any(gradient.any() for gradient in gradients):
        yield "has no gradient, and the method needs one: use the metric logit_diff, or the method Exact()"


_VALUE_CHECKS = (_not_one_number_a_prompt, _not_finite, _not_deterministic, _not_from_the_logits, _not_per_prompt)


def _vanishes_at_clean(metric: Metric, batch: Batch, vocabulary_size: int) -> bool:
    """Whether the gradient is zero if the logits are those of the clean run, as it is for a divergence from them."""
    with torch.inference_mode(False):
        probe = _Probe.of(metric, batch, vocabulary_size)
        logits = probe.logits[0]
        elsewhere = probe.gradient(logits).abs().max()
        at_clean = _gradient(metric, logits, replace(probe.batch, clean_logits=logits)).abs().max()
    return bool(at_clean <= VANISHES * elsewhere)


# ---- the digest


def _made_up_batches(batch: Batch, vocabulary_size: int) -> Iterator[Batch]:
    """Four random prompts with one answer of each kind; then with several, padded. Of teacher-forced answers, with one and three tokens."""
    names = sorted({name for spans in batch.spans for name in spans})
    forced = batch.position.dim() == 2
    for right, wrong, padded in ((1, 0, False), (3, 0, False)) if forced else ((1, 1, False), (3, 2, True)):
        draw = np.random.RandomState(right)
        clean, corrupt, *answers = (
            torch.as_tensor(draw.randint(0, vocabulary_size, (4, n), dtype=np.int64)) for n in (8, 8, right, wrong)
        )
        for ids in answers if padded else ():
            ids[1, 1:] = -1
        spans = tuple({name: (_place(name, 8),) for name in names} for _ in range(4)) if names else ()
        lengths = torch.full((4,), 8)
        position = (lengths[:, None] - torch.arange(right, 0, -1)) if forced else lengths - 1
        made = Batch(torch.arange(4), clean, corrupt, lengths, *answers, position=position, start=0, spans=spans)
        yield made.to(batch.clean.device)


def _place(name: str, length: int) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % length


def _scaled(batch: Batch, scale: float, vocabulary_size: int, dtype: torch.dtype) -> tuple[Tensor, Batch]:
    """Logits of a scale, and a batch with other random logits as its clean ones."""
    logits, clean = (random_logits(batch, vocabulary_size, seed, dtype, scale) for seed in range(2))
    return logits, replace(batch, clean_logits=clean)


def _digits(metric: Metric, batch: Batch, draw: Callable[[Batch, float], tuple[Tensor, Batch]]) -> list[list[str]]:
    """The metric's values at three scales of logits, as text; none if it fails on such a batch."""
    try:
        return [_rounded(_call(metric, *draw(batch, scale))) for scale in (1.0, RANGE, 30.0)]
    except InputError:
        return []


def _rounded(values: Tensor) -> list[str]:
    """Values as text, with only as many digits as are the same on every machine."""
    digits = 7 if values.dtype == torch.float64 else 3
    return [f"{value:.{digits}e}" if abs(value) > 1e-12 else "0" for value in values.double().flatten().tolist()]
