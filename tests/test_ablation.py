"""What cut edges carry, against means taken by hand."""

from __future__ import annotations

import pytest
import torch

from circuitsearch.ablation import Mean, Resample, Zero
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.methods import EAP, Exact
from circuitsearch.registry import ABLATIONS
from tests.conftest import mixed_task, random_task
from tests.engine.plain import plain_circuit, plain_writes


def by_hand(ablation, model, task):
    """Ablated writes (U, T, D) of each prompt, from plain runs of the corrupt prompts."""
    corrupt = [plain_writes(model, ids) for ids in task.corrupt]
    if ablation == Resample():
        return lambda row: corrupt[row]
    if ablation == Zero():
        return lambda row: torch.zeros_like(corrupt[row])
    if ablation == Mean():
        return lambda row: torch.stack([w for w in corrupt if w.shape == corrupt[row].shape]).mean(0)
    everything = torch.cat(corrupt, dim=1).mean(1, keepdim=True)  # (U, 1, D)
    return lambda row: everything.expand_as(corrupt[row])


# Norms and softmaxes in float32 turn a difference of 1e-16 into one of 1e-7, once in a while.
@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("ablation", [Resample(), Mean(), Mean(over_positions=True), Zero()], ids=repr)
def test_circuits_carry_the_ablated_values(ablation, grouped):
    """A random circuit on prompts of mixed lengths equals the plain run with means and zeros taken by hand."""
    task = mixed_task()
    described = verified(grouped, task)
    shares = torch.rand(described.graph.mask.shape, generator=torch.Generator().manual_seed(0))
    mask = (shares < 0.6) & described.graph.mask
    (fast,) = Evaluator(described, task, ablation).circuits(mask[None])
    assert (fast[0] - plain_circuit(grouped, task, mask, by_hand(ablation, grouped, task))).abs().max() < 1e-10


@pytest.mark.parametrize("ablation", [Mean(), Mean(over_positions=True), Zero()], ids=repr)
def test_scores_measure_the_cut_to_the_ablated_value(ablation, gpt2):
    """EAP is the slope of the metric from clean towards the ablated value, and Exact the whole step."""
    task = random_task(n=2, length=6)
    estimate, exact = score(gpt2, task, EAP(), ablation=ablation), score(gpt2, task, Exact(), ablation=ablation)
    ablated = by_hand(ablation, gpt2, task)
    clean = [plain_writes(gpt2, ids) for ids in task.clean]
    for row, column in exact.graph.mask.nonzero()[::17].tolist():
        kept = exact.graph.mask.clone()
        kept[row, column] = False
        whole = plain_circuit(gpt2, task, exact.graph.mask).mean() - plain_circuit(gpt2, task, kept, ablated).mean()
        assert float(exact.values[row, column]) == pytest.approx(float(whole), abs=1e-10)

        def moved(share: float, kept=kept):
            towards = lambda i: clean[i] + share * (ablated(i) - clean[i])  # noqa: E731
            return float(plain_circuit(gpt2, task, kept, towards).mean())

        slope = (moved(-1e-4) - moved(1e-4)) / 2e-4
        assert float(estimate.values[row, column]) == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_mean_over_a_reference_task_is_taken_there(gpt2):
    """The reference's prompts are averaged, not the task's own."""
    task, reference = random_task(), random_task(seed=7)
    described = verified(gpt2, task)
    mask = torch.zeros_like(described.graph.mask)
    (elsewhere,) = Evaluator(described, task, Mean(reference)).circuits(mask[None])
    (own,) = Evaluator(described, reference, Mean()).circuits(mask[None])
    logits_apart = elsewhere[0] - own[0]
    assert logits_apart.abs().max() > 1e-6 or torch.equal(task.answers[0], reference.answers[0])
    (home,) = Evaluator(described, task, Mean()).circuits(mask[None])
    assert (home - elsewhere).abs().max() > 1e-6


def test_a_reference_without_the_length_is_an_error(gpt2):
    """Means by position need prompts of the same length; the sentence says what to do."""
    task = random_task(length=9)
    with pytest.raises(InputError, match="no prompt of 9 tokens"):
        score(gpt2, task, EAP(), ablation=Mean(random_task(length=7)))


def test_an_unknown_ablation_names_the_nearest():
    """A misspelt ablation is answered with the right name."""
    with pytest.raises(InputError, match="did you mean 'resample'"):
        ABLATIONS.read("resampel")
