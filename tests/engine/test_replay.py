"""Interventions in one joint batch, from any reference run, equal one plain run each."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from circuitsearch.ablation import Mean, Resample
from circuitsearch.engine.components import Components, replaced_forward
from circuitsearch.engine.interventions import BYTES_AN_EDGE, Circuits, Interventions, State
from circuitsearch.engine.pair import DEFAULT_CHUNK, pairs
from circuitsearch.engine.reference import ReplayContext, run_reference
from circuitsearch.engine.replay import Replay, measure
from circuitsearch.engine.verify import verified
from circuitsearch.experiment import score
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.methods import EAP, EAPIG, Exact
from circuitsearch.models.parts import Whole
from circuitsearch.reachability import components
from circuitsearch.task import Task
from tests.conftest import REPRESENTATIVE, random_task, tiny_model, verified_once
from tests.engine.plain import PlainRun, plain_circuit, plain_writes


def random_masks(graph, shares, seed=0):
    """One random set of edges for each share."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([(torch.rand(graph.mask.shape, generator=generator) < share) & graph.mask for share in shares])


def contexts(model, task, ablation=None, memory=DEFAULT_CHUNK):
    return [ReplayContext(pair) for pair in pairs(verified_once(model), task, ablation or Resample(), memory)]


def without_one(graph, count, seed=0):
    """The full graph without one random edge, ``count`` times."""
    places = graph.mask.nonzero()
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:count]]
    kept = graph.mask.repeat(len(places), 1, 1)
    kept[torch.arange(len(places)), places[:, 0], places[:, 1]] = False
    return kept


def circuits(reference, masks):
    """The metric (C, B) of circuits that start from a reference run."""
    return measure(reference, Circuits(masks, reference.kept[..., 0]))[0]


def test_any_reference_run_gives_the_plain_run(any_model):
    """Wherever they start, sparse, dense and single-edge interventions equal the run of one prompt, port by port."""
    task = random_task(n=2, length=7)
    (context,) = contexts(any_model, task)
    masks = torch.cat([random_masks(context.graph, (0.1, 0.5, 0.95)), without_one(context.graph, 4)])
    slow = torch.stack([plain_circuit(any_model, task, mask) for mask in masks])
    for kept in (context.graph.mask, torch.zeros_like(context.graph.mask), masks[1]):
        fast = circuits(run_reference(context, kept), masks)
        assert (fast - slow).abs().max() < 1e-10


def test_the_full_reference_run_is_the_model_itself(any_model):
    """The components, put together again, give the model's own logits."""
    task = random_task(length=12, differs_at=8)
    (context,) = contexts(any_model, task)
    own = any_model(torch.stack(task.clean)).logits[:, -1]
    assert (run_reference(context, context.graph.mask).logits - own).abs().max() < 1e-12


def test_an_ablation_that_is_no_run_is_met_too(gpt2):
    """With means on the cut edges the components' own outputs differ from the ablated ones, and are computed."""
    task = random_task(n=3, length=6)
    (context,) = contexts(gpt2, task, Mean())
    masks = random_masks(context.graph, (0.2, 0.7))
    mean = torch.stack([plain_writes(gpt2, ids) for ids in task.corrupt]).mean(0)
    slow = torch.stack([plain_circuit(gpt2, task, mask, lambda _: mean) for mask in masks])
    for kept in (context.graph.mask, torch.zeros_like(context.graph.mask)):
        assert (circuits(run_reference(context, kept), masks) - slow).abs().max() < 1e-10


def test_a_small_budget_changes_nothing(gpt2):
    """One intervention at a time gives what all at once give."""
    task = random_task()
    masks = random_masks(contexts(gpt2, task)[0].graph, (0.3, 0.6, 0.9))
    values = []
    for context in (contexts(gpt2, task)[0], ReplayContext(next(pairs(verified(gpt2, task), task, Resample())))):
        object.__setattr__(context.pair, "memory", 1 if values else DEFAULT_CHUNK)
        values.append(circuits(run_reference(context, context.graph.mask), masks))
    assert (values[0] - values[1]).abs().max() < 1e-12


def test_the_metric_may_read_any_position(gpt2):
    """Only the positions that the metric reads are left at the end; each prompt may have its own."""
    base = random_task(n=4, length=8, differs_at=1)
    columns = (base.clean, base.corrupt, base.answers, base.wrong)
    task = Task.from_ids(*columns, position=[7, 3, 5, 6])
    (context,) = contexts(gpt2, task)
    masks = torch.cat([random_masks(context.graph, (0.4, 0.9)), without_one(context.graph, 3)])
    slow = torch.stack([plain_circuit(gpt2, task, mask) for mask in masks])
    rows = context.pair.batch.rows
    fast = circuits(run_reference(context, context.graph.mask), masks)
    assert (fast - slow[:, rows]).abs().max() < 1e-10


@pytest.mark.parametrize("ablation", [Resample(), Mean()], ids=repr)
def test_only_live_positions_are_computed(gpt2, ablation):
    """Each prompt's MLPs run from its first difference to the position that the metric reads, and give what plain runs give."""
    base = random_task(n=3, length=8, differs_at=1)
    corrupt = [base.corrupt[0], torch.cat([base.clean[1][:4], base.corrupt[0][4:]]), base.corrupt[2]]
    task = Task.from_ids(base.clean, corrupt, base.answers, base.wrong, position=[7, 6, 3])
    (context,) = contexts(gpt2, task, ablation)
    masks, shapes = without_one(context.graph, 3), []
    first_mlp = next(part.chain[0] for part in context.described.parts if isinstance(part, Whole))
    mean = torch.stack([plain_writes(gpt2, ids) for ids in task.corrupt]).mean(0)
    ablated_of = None if isinstance(ablation, Resample) else lambda _: mean
    slow = torch.stack([plain_circuit(gpt2, task, mask, ablated_of) for mask in masks])
    reference = run_reference(context, context.graph.mask)

    def counted(hidden, own=first_mlp.forward):
        shapes.append(tuple(hidden.shape))
        return own(hidden)

    with replaced_forward(first_mlp, counted):
        circuits(reference, context.graph.mask[None] & ~context.graph.edge_mask([("embed", "m0<in>")]))
    differs = [int((clean != other).nonzero()[0]) for clean, other in zip(task.clean, task.corrupt, strict=True)]
    live = [7 - differs[0] + 1, 6 - differs[1] + 1, 3 - differs[2] + 1]
    assert differs == [1, 4, 1]
    assert shapes == [(1, sum(live) if isinstance(ablation, Resample) else 8 + 7 + 4, 32)]
    fast, rows = circuits(reference, masks), context.pair.batch.rows
    assert (fast - slow[:, rows]).abs().max() < 1e-10


def test_frozen_edges_carry_the_reference_runs_output(any_model):
    """With all edges but those of one path frozen, the path's receiver alone sees the change: a plain two-step patch."""
    task = random_task(n=1, length=6, differs_at=2)
    (context,) = contexts(any_model, task)
    graph = context.graph
    row, middle = graph.find_writer("a0.h1"), graph.find_reader("m0<in>" if not graph.parallel else "a1.h2<q>")
    through = graph.writer_index[components(graph, graph.readers[middle])[0]]
    kept = graph.mask.clone()
    kept[row, middle] = False
    frozen = kept.clone()
    frozen[through, -1] = False
    edges = torch.cat([torch.tensor([[row, middle]]), frozen.nonzero()])
    states = torch.tensor([State.ABLATED] + [State.FROZEN] * (len(edges) - 1), dtype=torch.int8)
    asked = Interventions(1, torch.zeros(len(edges), dtype=torch.long), edges, states)
    (fast,) = measure(run_reference(context, graph.mask), asked)
    corrupt = plain_writes(any_model, task.corrupt[0])
    patched = PlainRun(any_model, task.clean[0], kept, corrupt).writes  # the middle component sees the patch
    only_it = torch.zeros_like(corrupt)
    only_it[through] = patched[through]
    direct = graph.mask.clone()
    direct[through, -1] = False
    logits = PlainRun(any_model, task.clean[0], direct, only_it).logits[-1]
    expected = logits[task.answers[0]] - logits[task.wrong[0]]
    assert float(fast) == pytest.approx(float(expected), abs=1e-10)


def test_plans_are_made_once_and_fit_the_memory(gpt2, monkeypatch):
    """Interventions that fit are planned once; with less memory no chunk is larger than it, and each is run once."""
    (context,) = contexts(gpt2, random_task())
    reference, places = run_reference(context, context.graph.mask), context.graph.mask.nonzero()[:12]
    planned, plan = [], Replay.__init__

    def counted(self, reference, interventions):
        planned.append(len(interventions))
        plan(self, reference, interventions)

    monkeypatch.setattr(Replay, "__init__", counted)
    (together,) = measure(reference, Interventions.ablating_each(places))
    assert planned == [12]
    planned.clear()
    object.__setattr__(context.pair, "memory", 5 * (reference.work_bytes + BYTES_AN_EDGE))
    (apart,) = measure(reference, Interventions.ablating_each(places))
    assert planned == [5, 5, 2]
    assert (apart - together).abs().max() < 1e-12


def random_interventions(graph, count, edges, seed=0):
    """Interventions that each change a random number of random edges of the described graph to random states."""
    generator = torch.Generator().manual_seed(seed)
    places, sets = graph.mask.nonzero(), []
    for _ in range(count):
        some = int(torch.randint(edges + 1, (), generator=generator))
        sets.append(places[torch.randperm(len(places), generator=generator)[:some]])
    ablating = Interventions.ablating(sets)
    states = torch.randint(3, ablating.states.shape, generator=generator, dtype=torch.int8)
    return Interventions(count, ablating.which, ablating.edges, states)


@pytest.mark.parametrize("granularity", [WHOLE, Granularity(merged_heads=True), Granularity(positions=7)], ids=repr)
def test_interventions_do_not_depend_on_the_others_of_their_chunk(any_model, granularity):
    """Together, whatever edges each changes and wherever it begins, they give what each gives alone."""
    task = random_task(n=2, length=7)
    pair = next(pairs(verified_once(any_model, granularity), task, Resample()))
    graph = pair.described.graph
    starts = [graph.mask, *random_masks(graph, (0.3,), seed=1)]
    for start in starts:
        reference = run_reference(ReplayContext(pair), start)
        asked = random_interventions(graph, 10, 6)
        (together,) = measure(reference, asked)
        apart = torch.cat([measure(reference, asked[place : place + 1])[0] for place in range(len(asked))])
        assert (together - apart).abs().max() < 1e-10


@pytest.mark.parametrize("granularity", [WHOLE, Granularity(merged_heads=True), Granularity(positions=7)], ids=repr)
def test_ablated_and_added_edges_are_those_of_the_mask(any_model, granularity):
    """Edges that are ablated or kept one by one give the plain run of the mask that they make."""
    task = random_task(n=2, length=7)
    pair = next(pairs(verified_once(any_model, granularity), task, Resample()))
    start = random_masks(pair.described.graph, (0.6,), seed=2)[0]
    asked = random_interventions(pair.described.graph, 3, 5, seed=3)
    asked = replace(asked, states=asked.states % 2)
    masks = start.repeat(3, 1, 1)
    masks[asked.which, asked.edges[:, 0], asked.edges[:, 1]] = asked.states == State.KEPT
    slow = torch.stack([plain_circuit(any_model, task, mask, granularity=granularity) for mask in masks])
    (fast,) = measure(run_reference(ReplayContext(pair), start), asked)
    assert (fast - slow).abs().max() < 1e-10


def test_asking_for_many_takes_memory_for_their_edges_alone(gpt2):
    """Ten thousand edges to ablate are four numbers each, also while they are run."""
    graph = verified(gpt2, random_task()).graph
    places = graph.mask.nonzero()[torch.arange(10_000) % graph.n_edges]
    asked = Interventions.ablating_each(places)
    assert sum(each.nbytes for each in (asked.which, asked.edges, asked.states)) == 10_000 * 25
    assert asked[5_000:5_010].edges.tolist() == places[5_000:5_010].tolist()


def test_only_what_a_change_reaches_is_run(gpt2):
    """An edge into the logits runs no attention and no MLP; an edge into the last MLP runs that alone."""
    (context,) = contexts(gpt2, random_task())
    base = run_reference(context, context.graph.mask)
    ran: list[str] = []
    first_mlp, second_mlp = (part.chain[0] for part in context.described.parts if isinstance(part, Whole))
    for edge, expected in (
        (("m0", "logits"), []),
        (("a1.h0", "m1<in>"), ["mlp1"]),
        (("embed", "m0<in>"), ["mlp0", "attention", "mlp1"]),
    ):
        kept = context.graph.mask & ~context.graph.edge_mask([edge])
        ran.clear()
        attend = Components.attend

        def counted(self, index, outputs, attend=attend):
            ran.append("attention")
            return attend(self, index, outputs)

        def first(*args, own=first_mlp.forward):
            ran.append("mlp0")
            return own(*args)

        def second(*args, own=second_mlp.forward):
            ran.append("mlp1")
            return own(*args)

        with (
            pytest.MonkeyPatch.context() as patch,
            replaced_forward(first_mlp, first),
            replaced_forward(second_mlp, second),
        ):
            patch.setattr(Components, "attend", counted)
            circuits(base, kept[None])
        assert ran == expected


def test_the_model_is_left_as_it_was(any_model):
    """No module keeps a forward of ours, not even after an error."""
    task = random_task()
    (context,) = contexts(any_model, task)
    circuits(run_reference(context, context.graph.mask), without_one(context.graph, 3))
    with pytest.raises(ZeroDivisionError), replaced_forward(any_model.base_model, lambda: None):
        raise ZeroDivisionError
    assert not any("forward" in vars(module) for module in any_model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in any_model.modules())


@pytest.mark.rounded
@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_float32_is_near_enough(name):
    """In the precision that models come in, exact effects are the plain run's to 1e-4."""
    model, task = tiny_model(name, torch.float32), random_task(n=2, length=6)
    (context,) = contexts(model, task)
    masks = without_one(context.graph, 6)
    base = run_reference(context, context.graph.mask)
    slow = torch.stack([plain_circuit(model, task, mask) for mask in [context.graph.mask, *masks]])
    clean = context.pair.metric(base.logits, context.pair.known)
    fast = circuits(base, masks)
    assert ((clean - fast) - (slow[0] - slow[1:])).abs().max() < 1e-4


@pytest.mark.rounded
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", [EAP(), EAPIG(2), Exact()], ids=repr)
def test_half_precision_gives_the_same_picture(dtype, method):
    """Scores of half-precision weights are those of the same weights in float64, up to their rounding."""
    task = random_task(n=2, length=6)
    rounded = tiny_model("gpt2", dtype)
    half, whole = score(rounded, task, method), score(copy.deepcopy(rounded).double(), task, method)
    assert half.values.dtype == torch.float64 and half.values.isfinite().all()
    strength = torch.corrcoef(torch.stack([half.values[half.scored], whole.values[whole.scored]]))[0, 1]
    assert strength > 0.99
