"""The same numbers on every accelerator that is there, to float32's rounding; test_emulated.py has some that always are."""

from __future__ import annotations

import pytest
import torch

from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.experiment import score
from circuitsearch.granularity import Granularity
from circuitsearch.methods import EAP, EAPIG, Exact, QKFix
from tests.conftest import mixed_task, tiny_model

ABSENT = pytest.mark.skip(reason="no accelerator is here")
THERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
NAMES = ("gpt2", "llama-grouped", "gemma2", "olmo2", "falcon-new", "bloom", "mixtral", "mamba")
EDGES = (("embed", "logits"),)


@pytest.fixture(params=[name for name, there in THERE.items() if there] or [pytest.param("none", marks=ABSENT)])
def device(request) -> str:
    """Each device that is there."""
    return request.param


@pytest.mark.rounded
@pytest.mark.parametrize("name", NAMES)
def test_scores_and_circuits_do_not_depend_on_the_device(name, device):
    """Scores, exact effects and circuits in float32 there are those in float32 on the processor, and stand on it."""
    task, here = mixed_task(), tiny_model(name, torch.float32)
    there = tiny_model(name, torch.float32).to(device)
    for method in (EAP(), EAPIG(steps=2), QKFix(), Exact(EDGES)):
        found, expected = score(there, task, method), score(here, task, method)
        assert found.values.device.type == "cpu"
        scale = float(expected.values.nan_to_num().abs().max())
        torch.testing.assert_close(found.values, expected.values, rtol=1e-3, atol=1e-4 * scale, equal_nan=True)
    mask = verified(here).graph.mask
    masks = mask & (torch.rand(3, *mask.shape, generator=torch.Generator().manual_seed(0)) < 0.7)
    (found,), (expected,) = (Evaluator(verified(model), task).circuits(masks) for model in (there, here))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.rounded
def test_merged_heads_on_the_device(device):
    """Masks and scores of a coarser graph pass between the devices."""
    task, granularity = mixed_task(), Granularity(merged_heads=True)
    here, there = (tiny_model("llama-grouped", torch.float32).to(each) for each in ("cpu", device))
    found, expected = (score(model, task, EAP(), granularity=granularity).values for model in (there, here))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
