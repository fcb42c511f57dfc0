"""Faithfulness: its two averages over prompts, their standard errors, and when a target is reached."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuitsearch.faithfulness import PROMPT, RATIO, Average
from circuitsearch.target import reaches


def made_up(n: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Metrics (n,) of a circuit that keeps about four fifths, of the model, and with every edge ablated."""
    rng = np.random.default_rng(seed)
    ablated = rng.normal(-1, 0.5, n)
    clean = ablated + rng.gamma(4, 1, n)
    circuit = ablated + 0.8 * (clean - ablated) + rng.normal(0, 0.7, n)
    return tuple(map(torch.from_numpy, (circuit, clean, ablated)))


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [(0.9, 0.9, True), (1.1, 0.9, True), (0.899, 0.9, False), (1.101, 0.9, False), (3.0, 0.9, False),
     (1000.0, 0.01, False), (-0.5, 0.9, False), (1.0, 1.0, True), (1.001, 1.0, False), (0.999, 1.0, False),
     (1 - 5e-8, 1.0, True), (float("nan"), 0.5, False)],
)  # fmt: skip
def test_a_target_is_reached_near_one_on_either_side(value, target, expected):
    """Overshoot misses the target as undershoot does; rounding of the model's own value does not."""
    assert reaches(value, target) is expected
    assert reaches(torch.tensor([value, 1.0]), target).tolist() == [expected, True]


def test_errors_cancel_in_the_ratio_and_not_per_prompt():
    """One prompt at half of the model's metric and one at one and a half."""
    columns = (torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0]), torch.tensor([0.0, 0.0]))
    assert float(RATIO.estimate(*columns)) == 1.0
    assert float(PROMPT.estimate(*columns)) == 0.5


@pytest.mark.parametrize("average", [RATIO, PROMPT])
def test_the_standard_error_is_that_of_the_jackknife(average: Average):
    """Computed by leaving out each of 400 prompts; it agrees to some percent, and the influences have mean 0."""
    columns, n = made_up(400), 400
    without = [average.estimate(*(torch.cat([each[:i], each[i + 1 :]]) for each in columns)) for i in range(n)]
    jackknife = (n - 1) / n**0.5 * torch.stack(without).std(correction=0)
    assert float(average.standard_error(*columns)) == pytest.approx(float(jackknife), rel=0.02)
    assert float(average.influence(*columns).mean()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("average", [RATIO, PROMPT])
def test_many_circuits_at_once(average: Average):
    """Circuits (C, N) have estimates (C,) and standard errors (C,), each as alone; one prompt has no standard error."""
    circuit, clean, ablated = made_up(30)
    circuits = torch.stack([circuit, clean, ablated])
    assert average.estimate(circuits, clean, ablated)[1:].tolist() == [1.0, 0.0]
    errors = average.standard_error(circuits, clean, ablated)
    assert errors[0] == average.standard_error(circuit, clean, ablated) and errors[1:].tolist() == [0.0, 0.0]
    assert average.standard_error(circuits[:, :1], clean[:1], ablated[:1]).isnan().all()
