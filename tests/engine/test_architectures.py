"""The battery that every architecture row must pass, on tiny random models in float64."""

from __future__ import annotations

import pytest
import torch

from circuitsearch.ablation import Resample
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.pair import pairs
from circuitsearch.engine.proof import proven
from circuitsearch.methods import EAP, Exact
from circuitsearch.models.describe import describe
from circuitsearch.models.families import FAMILIES
from circuitsearch.scores import score
from tests.conftest import CONFIGS, mixed_task, random_task
from tests.engine.plain import PlainRun, plain_circuit, plain_writes


def test_every_row_has_a_tiny_model():
    """No family is claimed that the battery does not run."""
    assert {config.model_type for config in CONFIGS.values()} == set(FAMILIES)


def test_writers_add_up_to_the_stream(any_model):
    """The plain sum of the writers, port by port, reproduces the model's own logits."""
    ids = random_task().clean[0]
    own = any_model(ids[None]).logits[0]
    plain = PlainRun(any_model, ids, describe(any_model).graph.mask).logits
    assert (plain - own).abs().max() < 1e-12


def test_proof_on_load_passes_and_leaves_the_model_alone(any_model):
    """The proof accepts the family, and neither hooks nor weights are left changed."""
    before = {name: value.clone() for name, value in any_model.state_dict().items()}
    proven(any_model)
    assert all(torch.equal(value, before[name]) for name, value in any_model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in any_model.modules())


def test_edge_count_is_the_closed_form(any_model):
    """H + 2G ports and one MLP port a block read every earlier writer; logits read all."""
    g = describe(any_model).graph
    ports, per_layer = g.n_heads + 2 * g.n_kv_heads, g.n_heads + 1
    expected = len(g.writers)
    for layer in range(g.n_layers):
        before = 1 + per_layer * layer
        expected += ports * before + before + (0 if g.parallel else g.n_heads)
    assert g.n_edges == expected == int(g.mask.sum())


def test_full_circuit_is_clean_and_empty_is_corrupt(any_model):
    """Keeping every edge gives the clean run, cutting every edge the corrupt one."""
    task = mixed_task()
    evaluator = Evaluator(proven(any_model, task), task)
    mask = evaluator.described.graph.mask
    (values,) = evaluator.circuits(torch.stack([mask, torch.zeros_like(mask)]))
    swapped = type(task).from_ids(task.corrupt, task.corrupt, task.answers, task.wrong)
    (clean,), (corrupt,) = evaluator.clean(), Evaluator(evaluator.described, swapped).clean()
    own = [any_model(ids[None]).logits[0, -1] for ids in task.clean]
    direct = torch.stack(
        [logits[a[0]] - logits[w[0]] for logits, a, w in zip(own, task.answers, task.wrong, strict=True)]
    )
    assert (clean - direct).abs().max() < 1e-12
    assert (values[0] - clean).abs().max() < 1e-12
    assert (values[1] - corrupt).abs().max() < 1e-12


def test_random_circuits_equal_the_plain_run(any_model):
    """Circuits in one joint batch after a shared prefix equal one plain run a prompt, port by port."""
    task = random_task(n=2, length=7)
    described = proven(any_model, task)
    generator = torch.Generator().manual_seed(1)
    masks = torch.stack(
        [
            (torch.rand(described.graph.mask.shape, generator=generator) < share) & described.graph.mask
            for share in (0.2, 0.5, 0.9)
        ]
    )
    (fast,) = Evaluator(described, task).circuits(masks)
    slow = torch.stack([plain_circuit(any_model, task, mask) for mask in masks])
    assert (fast - slow).abs().max() < 1e-10


def test_gradients_agree_with_finite_differences(any_model):
    """EAP's score of an edge is the slope of the metric as the edge moves from clean towards corrupt."""
    task = random_task(n=1, length=6)
    graph = describe(any_model).graph
    scores = score(any_model, task, EAP())
    clean, corrupt = plain_writes(any_model, task.clean[0]), plain_writes(any_model, task.corrupt[0])
    generator = torch.Generator().manual_seed(2)
    places = graph.mask.nonzero()[torch.randperm(graph.n_edges, generator=generator)[:12]].tolist()
    places += [[0, graph.mlp_reader(0)], [len(graph.writers) - 1, len(graph.readers) - 1]]
    scale = float(scores.values.abs().max())
    for row, column in places:
        kept = graph.mask.clone()
        kept[row, column] = False
        step = 1e-4

        def metric_at(share: float, row=row, kept=kept) -> float:
            moved = clean.clone()
            moved[row] = clean[row] + share * (corrupt[row] - clean[row])
            return float(plain_circuit(any_model, task, kept, lambda _: moved)[0])

        slope = (metric_at(-step) - metric_at(step)) / (2 * step)
        assert scores.values[row, column] == pytest.approx(slope, rel=1e-5, abs=1e-7 * scale)


def test_exact_effects_equal_the_plain_run(any_model):
    """Cutting one edge alone by the engine equals the plain run without it."""
    task = random_task(n=2, length=6)
    graph = describe(any_model).graph
    places = graph.mask.nonzero()[
        torch.randperm(graph.n_edges, generator=torch.Generator().manual_seed(3))[:6]
    ].tolist()
    edges = [(graph.writers[row], graph.readers[column]) for row, column in places]
    scores = score(any_model, task, Exact(edges=tuple(edges)))
    clean = plain_circuit(any_model, task, graph.mask).mean()
    for row, column in places:
        kept = graph.mask.clone()
        kept[row, column] = False
        assert float(
            scores.values[row, column] - (clean - plain_circuit(any_model, task, kept).mean())
        ) == pytest.approx(0, abs=1e-10)
    assert int(scores.scored.sum()) == len(set(edges))


def test_prefix_changes_nothing(any_model):
    """Running a shared prefix once gives the logits of the whole prompt, windows and rotary positions included."""
    task = random_task(length=12, differs_at=8)
    described = proven(any_model, task)
    for pair in pairs(described, task, Resample()):
        assert pair.batch.start == 8
        assert (pair.clean[1] - any_model(pair.batch.clean).logits[:, -1]).abs().max() < 1e-12
