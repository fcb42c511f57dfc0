"""The gradient at a circuit: equal to EAP at the full model, and to finite differences of the weights at any circuit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from circuitsearch.ablation import Mean, Resample, Zero
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.experiment import Experiment
from circuitsearch.granularity import Granularity
from circuitsearch.methods import Exact
from circuitsearch.task import Task
from tests.conftest import granularity_of, mixed_task, random_task, tiny_model, verified_once
from tests.engine.test_granularity import KINDS, named_task, random_masks

STEP = 1e-5
FINER = [*KINDS, Granularity(query_heads=True), Granularity(neurons=(1,))]


def on_all(evaluator: Evaluator, weights: torch.Tensor, gradient: bool = True):
    """The metric (N,) and its gradient (N, U, V), gathered from the batches."""
    values = torch.empty(len(evaluator.task), dtype=torch.float64)
    gradients = torch.zeros(len(evaluator.task), *weights.shape, dtype=torch.float64)
    for rows, run in evaluator.run(weights, gradient=gradient):
        values[rows] = run.values.double()
        if run.gradient is not None:
            gradients[rows] = run.gradient.double()
    return values, gradients


def finite_difference(evaluator: Evaluator, weights: torch.Tensor, edge: tuple[int, int]) -> torch.Tensor:
    """The derivative of the metric in one weight, on every prompt (N,)."""
    ends = []
    for step in (STEP, -STEP):
        moved = weights.double().clone()
        moved[edge] += step
        ends.append(on_all(evaluator, moved, gradient=False)[0])
    return (ends[0] - ends[1]) / (2 * STEP)


def assert_is_derivative(evaluator: Evaluator, weights: torch.Tensor, count: int = 6) -> None:
    """The gradient of ``count`` edges in the circuit and as many outside it is that of finite differences, to 1e-5."""
    _, gradients = on_all(evaluator, weights)
    scale = gradients.abs().max()
    assert scale > 0
    generator = torch.Generator().manual_seed(1)
    for inside in (True, False):
        places = (evaluator.described.graph.mask & (weights.bool() == inside) & gradients.any(0)).nonzero()
        for row, column in places[torch.randperm(len(places), generator=generator)[:count]].tolist():
            slow = finite_difference(evaluator, weights, (row, column))
            found = gradients[:, row, column]
            assert (found - slow).abs().max() <= 1e-5 * max(found.abs().max(), 1e-2 * scale)


def assert_scores_are_those_of_runs(experiment: Experiment, by_hand: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """EAP is the gradient at the full model, which agrees with finite differences, and an exact effect is what runs by hand lose.

    ``by_hand`` gives the metric (N,) of a circuit (U, V).
    """
    mask = experiment.graph.mask
    gradients, eap = on_all(experiment.evaluator, mask)[1].mean(0), experiment.score("eap").values
    assert (gradients - eap).abs().max() < 1e-9 * eap.abs().max()
    assert_is_derivative(experiment.evaluator, mask, count=1)
    edge = tuple(mask.nonzero()[int(mask.sum()) // 2].tolist())
    without = mask.clone()
    without[edge] = False
    (name,) = experiment.graph.edges(mask & ~without)
    fall = (experiment.evaluator.clean()[0] - by_hand(without)).mean()
    assert abs(experiment.score(Exact(edges=(name,)))[name] - float(fall)) < 1e-10


def of_model(model, task: Task, granularity: Granularity | None = None, **settings) -> Evaluator:
    return Evaluator(verified_once(model, granularity), task, **settings)


def test_at_the_full_model_it_is_eap(any_model):
    """With every edge kept the mean gradient is EAP's score of every edge."""
    task = random_task()
    experiment = Experiment(any_model, task, granularity=granularity_of(any_model))
    values, gradients = on_all(experiment.evaluator, experiment.graph.mask)
    eap = experiment.score("eap").values
    assert (values - experiment.evaluator.clean()[0]).abs().max() < 1e-10
    assert (gradients.mean(0) - eap).abs().max() < 1e-9 * eap.abs().max()


def test_at_a_circuit_it_is_the_derivative(every_family):
    """Inside and outside a random circuit it agrees with finite differences of the edges' weights."""
    evaluator = of_model(every_family, random_task(n=2, length=7))
    for mask in random_masks(evaluator.described.graph, (0.3, 0.8)):
        mask |= evaluator.described.graph.mask & (torch.arange(len(mask)) == 0)[:, None]  # small graphs need a path too
        mask[1:, -1] = True
        assert_is_derivative(evaluator, mask, count=3)


@pytest.mark.parametrize("granularity", FINER, ids=repr)
def test_of_other_nodes(granularity):
    """Spans, positions, merged heads, query heads and neurons have the derivative in their own edges' weights."""
    evaluator = of_model(tiny_model("llama-grouped"), named_task(), granularity)
    (mask,) = random_masks(evaluator.described.graph, (0.4,))
    assert_is_derivative(evaluator, mask, count=4)


@pytest.mark.parametrize("ablation", [Zero(), Mean()], ids=repr)
def test_with_other_ablations(ablation):
    """Where ablated edges carry zeros or means it is the derivative too."""
    evaluator = of_model(tiny_model("gpt2"), mixed_task(), ablation=ablation)
    (mask,) = random_masks(evaluator.described.graph, (0.4,))
    assert_is_derivative(evaluator, mask, count=4)


@pytest.mark.parametrize("ablation", [Resample(), Zero(), Mean()], ids=repr)
def test_values_are_those_of_the_circuits(any_model, ablation):
    """The metric is that of the circuit as interventions compute it, also of few edges and of none, some after components without inputs."""
    evaluator = of_model(any_model, mixed_task(), ablation=ablation)
    masks = random_masks(evaluator.described.graph, (0.0, 0.05, 0.5))
    (slow,) = evaluator.circuits(masks)
    for mask, expected in zip(masks, slow, strict=True):
        assert (on_all(evaluator, mask)[0] - expected).abs().max() < 1e-10


@pytest.mark.parametrize("memory", [1 << 16, 1 << 28])
def test_some_circuits_one_after_another(memory: int):
    """Each has the values of a joint run, whether activations are kept between calls or not."""
    evaluator = of_model(tiny_model("gpt2"), mixed_task(), memory=memory)
    masks = random_masks(evaluator.described.graph, (0.0, 0.05, 0.5))
    assert evaluator._keeps_activations is (memory > 1 << 20)
    (joint,) = evaluator.circuits(masks)
    assert (evaluator.metric_of_each(list(masks)) - joint).abs().max() < 1e-10


def test_an_unread_component_has_no_gradient():
    """Edges into a head that nothing reads, have a gradient of exactly 0, edges from a head that reads nothing one of 0."""
    evaluator = of_model(tiny_model("gpt2"), random_task())
    graph = evaluator.described.graph
    mask = graph.edge_mask([("embed", "logits"), ("embed", "a0.h0<v>"), ("a0.h1", "logits")])
    _, gradients = on_all(evaluator, mask)
    assert not gradients[:, :, graph.find_reader("a0.h2<v>")].any()
    assert gradients[:, graph.find_writer("a0.h1")].abs().max() < 1e-14  # its delta is rounding
    assert gradients[:, graph.find_writer("a0.h0"), -1].all()


def test_the_model_is_left_as_it_was():
    """Gradients of parameters are neither computed nor turned off for good."""
    model = tiny_model("gpt2").requires_grad_(True)
    evaluator = of_model(model, random_task())
    on_all(evaluator, evaluator.described.graph.mask)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
