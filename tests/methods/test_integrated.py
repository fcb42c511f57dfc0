"""Methods that average gradients over runs, against autograd in plain runs with the formula written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from circuitsearch.experiment import Experiment, score
from circuitsearch.methods import EAP, EAPIG, CleanCorrupt, Conductance, EAPIGActivations
from circuitsearch.models.describe import describe
from circuitsearch.task import Task
from tests.conftest import granularity_of, random_task
from tests.engine.plain import PortRun, plain_writes

EMBED = -1
Change = Callable[
    [int, list[Tensor]], list[Tensor]
]  # (part's place, or EMBED; what its writers add) -> what they add instead


class ChangedRun(PortRun):
    """A plain run in which a change is made to what some writers add."""

    def __init__(self, change: Change, *args: Any) -> None:
        self.change = change
        super().__init__(*args)

    def _embedded(self) -> Tensor:
        return self.change(EMBED, [super()._embedded()])[0]

    def _written(self, index: int, constant: Tensor) -> list[Tensor]:
        return self.change(index, super()._written(index, constant))


class ByHand:
    """One prompt of a task: its writers, clean and corrupt, and the metric's gradient at every port in any run."""

    def __init__(self, model: Any, task: Task, row: int) -> None:
        self.model, self.ids = model, task.clean[row]
        self.answer, self.wrong = int(task.answers[row]), int(task.wrong[row])
        granularity = granularity_of(model)
        self.graph = describe(model, granularity).graph
        self.clean, self.corrupt = (plain_writes(model, side[row], granularity) for side in (task.clean, task.corrupt))

    def run(self, change: Change) -> tuple[Tensor, Tensor]:
        """The clean run with a change: what is written (U, T, D), and the gradient at every port (V, T, D)."""
        run = ChangedRun(change, self.model, self.ids, self.graph.mask)
        logits = run.logits[-1]
        return torch.stack(run.writes).detach(), run.gradients(logits[self.answer] - logits[self.wrong])

    def gradients(self, change: Change) -> Tensor:
        """(V, T, D) in the clean run with a change."""
        return self.run(change)[1]

    def on_the_path(self, group: int, share: float) -> Change:
        """Set a group of writers to ``share`` of the way from corrupt to clean."""
        rows = slice(0, 1) if group == EMBED else self.graph.parts[group].rows
        values = self.corrupt[rows] + share * (self.clean[rows] - self.corrupt[rows])
        return lambda index, writes: list(values) if index == group else writes

    def scores(self, gradients: list[Tensor]) -> Tensor:
        """(clean write - corrupt write) . mean gradient, summed over positions: (U, V)."""
        return torch.einsum("utd,vtd->uv", self.clean - self.corrupt, torch.stack(gradients).mean(0))


def eap(prompt: ByHand) -> Tensor:
    """The gradient at the clean run."""
    return prompt.scores([prompt.gradients(lambda _, writes: writes)])


def eap_ig(prompt: ByHand) -> Tensor:
    """The gradient's mean over embeddings corrupt + k / 3 (clean - corrupt), k = 0, 1, 2."""
    return prompt.scores([prompt.gradients(prompt.on_the_path(EMBED, share)) for share in (0, 1 / 3, 2 / 3)])


def clean_corrupt(prompt: ByHand) -> Tensor:
    """The mean of the gradients at the clean and at the corrupt embedding."""
    return prompt.scores([prompt.gradients(prompt.on_the_path(EMBED, share)) for share in (0, 1)])


def eap_ig_activations(prompt: ByHand) -> Tensor:
    """The mean over groups of writers, and over each group at 1/2 and at the whole of the way from corrupt to clean."""
    groups = [EMBED, *range(len(prompt.graph.parts))]
    return prompt.scores([prompt.gradients(prompt.on_the_path(g, share)) for g in groups for share in (1 / 2, 1)])


def conductance(prompt: ByHand) -> Tensor:
    """The gradient at embeddings corrupt + k / 3 (clean - corrupt), k = 1, 2, 3, times what writes gained since k - 1."""
    before, total = prompt.corrupt, torch.zeros(())
    for k in (1, 2, 3):
        writes, gradients = prompt.run(prompt.on_the_path(EMBED, k / 3))
        total = total + torch.einsum("utd,vtd->uv", writes - before, gradients)
        before = writes
    return total


CASES = {
    EAP(): eap,
    EAPIG(steps=3): eap_ig,
    CleanCorrupt(): clean_corrupt,
    EAPIGActivations(steps=2): eap_ig_activations,
    Conductance(steps=3): conductance,
}


@pytest.mark.parametrize("method", CASES, ids=repr)
def test_scores_are_the_formula_by_plain_autograd(method, any_model):
    """On every kind of architecture, every edge, the mean over two prompts."""
    task = random_task(n=2, length=6, differs_at=2)
    scores = score(any_model, task, method, granularity=granularity_of(any_model))
    expected = torch.stack([CASES[method](ByHand(any_model, task, row)) for row in range(len(task))]).mean(0)
    scale = scores.values.abs().max()
    assert scale > 1e-3
    assert (scores.values - expected)[scores.graph.mask].abs().max() < 1e-10 * max(1, float(scale))


@pytest.mark.parametrize("ablation", ["resample", "mean", "zero"])
def test_conductance_of_one_step_is_eap(ablation, gpt2):
    """Whatever ablated edges carry, since the changes of all steps add up to clean minus ablated."""
    of_steps, eap_scores = (
        score(gpt2, random_task(), method, ablation=ablation).values for method in (Conductance(1), EAP())
    )
    assert (of_steps - eap_scores).abs().max() < 1e-12 * eap_scores.abs().max()


def test_conductance_of_many_steps_sums_to_the_metric_on_the_last_edges(gpt2):
    """The metric's change is what the edges into the logits bring, closely and without a factor, since each change is taken where it is made."""
    task = random_task()
    experiment = Experiment(gpt2, task)
    to_logits = float(experiment.score(Conductance(steps=100)).values[:, -1].sum())
    ((clean, ablated),) = experiment.evaluator.ends()
    assert to_logits == pytest.approx(float((clean - ablated).mean()), rel=0.01)
