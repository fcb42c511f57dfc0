"""The battery that every family must pass, on tiny random models in float64.

The routers of experts choose the largest few of their numbers, so that a model with experts jumps where two numbers are
equal: gradients can be held against finite differences only where no choice turns within the step. With the seeds used
here none does; should one, the slope would be off by orders of magnitude, and another seed is the remedy.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch

from circuitsearch.ablation import Resample
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.pair import pairs
from circuitsearch.engine.reference import ReplayContext, run_reference
from circuitsearch.engine.verify import verified
from circuitsearch.experiment import score
from circuitsearch.methods import EAP, Exact
from circuitsearch.models.families import FAMILIES, REFUSED
from tests.conftest import CONFIGS, granularity_of, mixed_task, random_task, verified_once
from tests.engine.plain import PlainRun, described, plain_circuit, plain_writes


def graph_of(model):
    """Its graph, heads being nodes where they can be told apart."""
    return described(model).graph


def some_edges(graph, n: int, seed: int) -> list[list[int]]:
    """Rows and columns of random edges."""
    order = torch.randperm(graph.n_edges, generator=torch.Generator().manual_seed(seed))
    return graph.mask.nonzero()[order[:n]].tolist()


def test_every_row_has_a_tiny_model():
    """No family is claimed that the battery does not run."""
    assert {config.model_type for config in CONFIGS.values()} == set(FAMILIES)


def test_the_page_of_families_is_of_these_families():
    """docs/models.md lists every family that is read and every one that is refused, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\S+)` \|", page, flags=re.MULTILINE)
    assert listed == [*sorted(FAMILIES), *sorted(REFUSED)]


def test_writers_add_up_to_the_stream(every_model, measured):
    """The plain sum of the writers, port by port, reproduces the model's own logits."""
    ids = random_task().clean[0]
    own = every_model(ids[None]).logits[0]
    plain = PlainRun(every_model, ids, graph_of(every_model).mask).logits
    measured("writers", (plain - own).abs().max(), 1e-12)


def test_verification_passes_and_leaves_the_model_alone(every_model):
    """Verification accepts the family, and neither hooks nor weights are left changed."""
    before = {name: value.clone() for name, value in every_model.state_dict().items()}
    verified(every_model, granularity=granularity_of(every_model))
    assert all(torch.equal(value, before[name]) for name, value in every_model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in every_model.modules())
    assert not any("forward" in vars(module) for module in every_model.modules())


def test_edge_count_is_the_closed_form(every_model):
    """H + 2G ports of attention and one of any other part read every earlier writer; logits read all."""
    g = graph_of(every_model)
    blocks = g.blocks or ["heads+mlp" if g.parallel else "heads>mlp"] * g.n_layers
    expected, before = 0, 1
    for stage in ">".join(blocks).split(">"):
        parts = stage.split("+")
        expected += before * sum(g.n_heads + 2 * g.n_kv_heads if part == "heads" else 1 for part in parts)
        before += sum(g.n_heads if part == "heads" else 1 for part in parts)
    assert before == len(g.writers)
    assert g.n_edges == expected + before == int(g.mask.sum())


def test_full_circuit_is_clean_and_empty_is_corrupt(every_model, measured):
    """Keeping every edge gives the clean run, cutting every edge the corrupt one."""
    task = mixed_task()
    evaluator = Evaluator(verified_once(every_model), task)
    mask = evaluator.described.graph.mask
    (values,) = evaluator.circuits(torch.stack([mask, torch.zeros_like(mask)]))
    swapped = type(task).from_ids(task.corrupt, task.clean, task.answers, task.wrong)
    (clean,), (corrupt,) = evaluator.clean(), Evaluator(evaluator.described, swapped).clean()
    own = [every_model(ids[None]).logits[0, -1] for ids in task.clean]
    direct = torch.stack(
        [logits[a[0]] - logits[w[0]] for logits, a, w in zip(own, task.answers, task.wrong, strict=True)]
    )
    measured("full", (clean - direct).abs().max(), 1e-12)
    measured("full", (values[0] - clean).abs().max(), 1e-12)
    measured("full", (values[1] - corrupt).abs().max(), 1e-12)


def test_random_circuits_equal_the_plain_run(every_model, measured):
    """Circuits in one joint batch after a shared prefix equal one plain run a prompt, port by port."""
    task = random_task(n=2, length=7)
    described = verified_once(every_model)
    generator = torch.Generator().manual_seed(1)
    masks = torch.stack(
        [
            (torch.rand(described.graph.mask.shape, generator=generator) < share) & described.graph.mask
            for share in (0.2, 0.5, 0.9)
        ]
    )
    (fast,) = Evaluator(described, task).circuits(masks)
    corrupt = [plain_writes(every_model, ids) for ids in task.corrupt]
    slow = torch.stack([plain_circuit(every_model, task, mask, corrupt.__getitem__) for mask in masks])
    measured("circuits", (fast - slow).abs().max(), 1e-10)


@pytest.mark.deep
def test_gradients_agree_with_finite_differences(every_model, measured):
    """EAP's score of an edge is the slope of the metric as the edge moves from clean towards corrupt."""
    task = random_task(n=1, length=6)
    graph = graph_of(every_model)
    scores = score(every_model, task, EAP(), granularity=granularity_of(every_model))
    clean, corrupt = plain_writes(every_model, task.clean[0]), plain_writes(every_model, task.corrupt[0])
    # A random edge, the first into the first part and into the first MLP, and the last of all.
    first = [[0, part.columns.stop - 1] for part in (graph.parts[0], graph.parts[1])]
    places = [*some_edges(graph, 1, seed=2), *first, [len(graph.writers) - 1, len(graph.readers) - 1]]
    scale = float(scores.values.abs().max())
    for row, column in places:
        kept = graph.mask.clone()
        kept[row, column] = False
        step = 1e-4

        def metric_at(share: float, row=row, kept=kept) -> float:
            moved = clean.clone()
            moved[row] = clean[row] + share * (corrupt[row] - clean[row])
            return float(plain_circuit(every_model, task, kept, lambda _: moved)[0])

        slope = (metric_at(-step) - metric_at(step)) / (2 * step)
        difference = abs(float(scores.values[row, column]) - slope)
        measured("slope", difference / (abs(slope) + 1e-2 * scale), 1e-5)  # below a hundredth of the largest, absolute


@pytest.mark.deep
def test_exact_effects_equal_the_plain_run(every_model, measured):
    """Cutting one edge alone by the engine equals the plain run without it."""
    task = random_task(n=2, length=6)
    graph = graph_of(every_model)
    places = some_edges(graph, 3, seed=3)
    edges = [(graph.writers[row], graph.readers[column]) for row, column in places]
    scores = score(every_model, task, Exact(edges=tuple(edges)), granularity=granularity_of(every_model))
    corrupt = [plain_writes(every_model, ids) for ids in task.corrupt]
    clean = plain_circuit(every_model, task, graph.mask, corrupt.__getitem__).mean()
    for row, column in places:
        kept = graph.mask.clone()
        kept[row, column] = False
        cut = plain_circuit(every_model, task, kept, corrupt.__getitem__).mean()
        measured("exact", (scores.values[row, column] - (clean - cut)).abs(), 1e-10)
    assert int(scores.scored.sum()) == len(set(edges))


OWN_DTYPES = {
    "float32": 1e-4,
    "bfloat16": 1 / 2,
}  # of the largest logit; a router may choose otherwise


@pytest.mark.deep
@pytest.mark.rounded
def test_a_users_own_model_is_read(every_model, measured):
    """With nothing kept from turning to float32, the circuit of all edges gives the model's own logits, in narrower dtypes than the rest of this battery has."""
    task = random_task(n=2, length=7)
    for name, bound in OWN_DTYPES.items():
        model = copy.deepcopy(every_model).to(getattr(torch, name))
        described = verified(model, task, granularity_of(model))
        for pair in pairs(described, task, Resample()):
            own = model(pair.batch.clean).logits[:, -1]
            full = run_reference(ReplayContext(pair), described.graph.mask).logits
            measured(name, (full - own).abs().max() / own.abs().max(), bound)


def test_prefix_changes_nothing(every_model):
    """Running a shared prefix once gives the logits of the whole prompt, windows and rotary positions included.

    Where a mixer carries a state from position to position there is no prefix to share.
    """
    task = random_task(length=12, differs_at=8)
    described = verified_once(every_model)
    for pair in pairs(described, task, Resample()):
        assert pair.batch.start == (8 if described.shares_prefix else 0)
        assert (pair.clean[1] - every_model(pair.batch.clean).logits[:, -1]).abs().max() < 1e-12
