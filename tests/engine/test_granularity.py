"""Finer and coarser nodes, held against plain runs that read masks by the nodes' names."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.granularity import Granularity
from circuitsearch.methods import (
    EAP,
    EAPIG,
    GIM,
    CleanCorrupt,
    Conductance,
    EAPIGActivations,
    Exact,
    QKFix,
    Recheck,
    RelP,
)
from circuitsearch.models.describe import describe
from circuitsearch.reachability import components
from circuitsearch.search import minimal
from circuitsearch.task import Task
from circuitsearch.validation import validate
from tests.conftest import TINY, granularity_of, random_task, tiny_model
from tests.engine.plain import PlainRun, plain_circuit, plain_writes, spans_of

SPANS = Granularity(spans=("S", "END"))
MERGED = Granularity(merged_heads=True)
KINDS = [SPANS, MERGED, Granularity(positions=7), Granularity(merged_heads=True, spans=("S", "END"))]


def named_task(n: int = 2, length: int = 7, differs_at: int = 2, seed: int = 0) -> Task:
    """Random pairs with two spans: S, where the prompts differ and the token after it, and the last token, END."""
    task = random_task(n, length, differs_at, seed)
    spans = [{"S": (differs_at, differs_at + 1), "END": (length - 1,)}] * n
    return Task.from_ids(task.clean, task.corrupt, task.answers, task.wrong, name="named", spans=spans)


def mixed_spans() -> Task:
    """Prompts of two lengths whose spans stand at different places."""
    parts = [named_task(2, 7, 2), named_task(1, 9, 4, seed=1), named_task(1, 9, 1, seed=2)]
    columns = [sum((getattr(part, name) for part in parts), ()) for name in ("clean", "corrupt", "answers", "wrong")]
    return Task.from_ids(*columns, name="mixed", spans=sum((part.spans for part in parts), ()))


def random_masks(graph, shares=(0.2, 0.6, 0.95), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([(torch.rand(graph.mask.shape, generator=generator) < share) & graph.mask for share in shares])


@pytest.mark.parametrize("granularity", KINDS, ids=repr)
@pytest.mark.parametrize("name", ["gpt2", "llama-grouped", "gpt_neox-parallel"])
def test_random_circuits_equal_the_plain_run(name, granularity):
    """Circuits of such nodes equal one plain run a prompt, from whatever circuit they start."""
    model, task = tiny_model(name), named_task()
    evaluator = Evaluator(verified(model, task, granularity), task)
    masks = random_masks(evaluator.described.graph)
    slow = torch.stack([plain_circuit(model, task, mask, granularity=granularity) for mask in masks])
    for near in (None, evaluator.described.graph.mask, masks[1]):
        (fast,) = evaluator.circuits(masks, near=near)
        assert (fast - slow).abs().max() < 1e-10


@pytest.mark.parametrize("granularity", KINDS, ids=repr)
def test_full_is_clean_and_empty_is_corrupt(granularity):
    """Keeping every edge gives the clean run, cutting every edge the corrupt one."""
    model, task = tiny_model("llama-grouped"), named_task(4)
    evaluator = Evaluator(verified(model, task, granularity), task)
    mask = evaluator.described.graph.mask
    (values,) = evaluator.circuits(torch.stack([mask, torch.zeros_like(mask)]))
    swapped = Task.from_ids(task.corrupt, task.clean, task.answers, task.wrong)
    (corrupt,) = Evaluator(verified(model), swapped).clean()
    assert (values[0] - evaluator.clean()[0]).abs().max() < 1e-10
    assert (values[1] - corrupt).abs().max() < 1e-10


def test_spans_of_prompts_of_different_length(gpt2):
    """Named spans are aligned prompt by prompt, and the prefix that a batch shares is still run once."""
    task = mixed_spans()
    evaluator = Evaluator(verified(gpt2, task, SPANS), task)
    masks = random_masks(evaluator.described.graph)
    (fast,) = evaluator.circuits(masks)
    slow = torch.stack([plain_circuit(gpt2, task, mask, granularity=SPANS) for mask in masks])
    assert (fast - slow).abs().max() < 1e-10
    assert any(batch.start > 0 for batch in task.batches())


@pytest.mark.parametrize("granularity", KINDS, ids=repr)
def test_exact_effects_equal_the_plain_run(granularity):
    """Cutting one edge alone equals the plain run without it."""
    model, task = tiny_model("llama-grouped"), named_task()
    graph = describe(model, granularity).graph
    order = torch.randperm(graph.n_edges, generator=torch.Generator().manual_seed(3))
    places = graph.mask.nonzero()[order[:8]].tolist()
    edges = tuple((graph.writers[row], graph.readers[column]) for row, column in places)
    scores = score(model, task, Exact(edges=edges), granularity=granularity)
    clean = plain_circuit(model, task, graph.mask, granularity=granularity).mean()
    for row, column in places:
        kept = graph.mask.clone()
        kept[row, column] = False
        cut = plain_circuit(model, task, kept, granularity=granularity).mean()
        assert float(scores.values[row, column]) == pytest.approx(float(clean - cut), abs=1e-10)


METHODS = [EAP(), EAPIG(2), EAPIGActivations(1), CleanCorrupt(), Conductance(2), RelP(), GIM()]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("granularity", KINDS, ids=repr)
def test_a_gradients_share_adds_up(granularity, method):
    """Scores of an edge's spans, and of the heads of a merged one, add up to the whole."""
    model, task = tiny_model("llama-grouped"), named_task(3)
    whole, split = score(model, task, method), score(model, task, method, granularity=granularity)
    sums: dict[tuple[str, str], float] = {}
    for edges, sign in ((whole, 1), (split, -1)):
        for edge, value in edges.to_dict().items():
            writer, reader = (re_merged(name.partition("@")[0], granularity) for name in edge.split("->"))
            sums[writer, reader] = sums.get((writer, reader), 0.0) + sign * value
    assert max(map(abs, sums.values())) < 1e-12 * max(1.0, float(whole.values.abs().max()))


def re_merged(name: str, granularity: Granularity) -> str:
    if not granularity.merged_heads or not name.startswith("a"):
        return name
    owner, bracket, port = name.partition("<")
    return owner.partition(".")[0] + bracket + port


def test_gradients_agree_with_finite_differences(gpt2):
    """EAP's score of a span's edge is the slope of the metric as the edge moves there from clean towards corrupt."""
    task = named_task(1, 6)
    graph = describe(gpt2, SPANS).graph
    scores = score(gpt2, task, EAP(), granularity=SPANS)
    clean, corrupt = plain_writes(gpt2, task.clean[0]), plain_writes(gpt2, task.corrupt[0])
    order = torch.randperm(graph.n_edges, generator=torch.Generator().manual_seed(2))
    places = graph.mask.nonzero()[order[:12]].tolist()
    places.append([graph.writer_index["embed@S"], graph.reader_index["a0.h1<k>@S"]])
    for row, column in places:
        kept, step = graph.mask.clone(), 1e-4
        kept[row, column] = False
        base_row = row // len(graph.spans)

        def metric_at(share: float, base_row=base_row, kept=kept) -> float:
            moved = clean.clone()
            moved[base_row] = clean[base_row] + share * (corrupt[base_row] - clean[base_row])
            return float(plain_circuit(gpt2, task, kept, lambda _: moved, SPANS)[0])

        slope = (metric_at(-step) - metric_at(step)) / (2 * step)
        scale = float(scores.values.abs().max())
        assert scores.values[row, column] == pytest.approx(slope, rel=1e-5, abs=1e-7 * scale)


def test_the_qk_fix_per_span_is_the_plain_change(grouped):
    """An edge into a query or key of one span: the plain change of the head's value, times the gradient there."""
    task = named_task(1, 6)
    graph = describe(grouped, SPANS).graph
    scores, plain = (score(grouped, task, method, granularity=SPANS) for method in (QKFix(), EAP()))
    spans = spans_of(task, 0, SPANS)
    corrupt, clean = plain_writes(grouped, task.corrupt[0]), plain_writes(grouped, task.clean[0])
    for edge in (("embed@S", "a0.kv1<k>@S"), ("m0@S", "a1.kv0<k>@S"), ("a0.h2@END", "a1.h3<q>@END")):
        row, column = graph.find_edge(edge)
        kept = graph.mask.clone()
        kept[row, column] = False
        cut = torch.stack(PlainRun(grouped, task.clean[0], kept, corrupt, SPANS, spans).writes)
        part = next(part for part in graph.base.parts if part.kind == "heads" and f"a{part.layer}." in edge[1])
        change = (clean - cut)[part.rows]  # the heads' own; what comes after them is not meant
        fed = [graph.base.writer_index[name.partition("@")[0]] for name in components(graph, edge[1])]
        expected = sum(_slope_along(grouped, task, head, change[head - part.rows.start]) for head in sorted(set(fed)))
        assert float(scores.values[row, column]) == pytest.approx(expected, rel=1e-4, abs=1e-8)
    values = [("embed@S", "a0.kv1<v>@S"), ("a0.h2@rest", "logits")]
    assert all(scores[edge] == plain[edge] for edge in values)


def _slope_along(model, task, head: int, change: torch.Tensor) -> float:
    """How fast the metric falls when a writer's value moves against ``change`` (T, D) at every reader."""
    graph = describe(model).graph
    clean = plain_writes(model, task.clean[0])
    kept, step = graph.mask.clone(), 1e-4
    kept[head] = False

    def metric_at(share: float) -> float:
        moved = clean.clone()
        moved[head] = clean[head] - share * change
        return float(plain_circuit(model, task, kept, lambda _: moved)[0])

    return (metric_at(-step) - metric_at(step)) / (2 * step)


def test_merged_circuits_equal_the_expanded_ones(grouped):
    """A circuit of merged heads is the circuit of all their edges."""
    task = named_task(3)
    merged, whole = (Evaluator(verified(grouped, task, each), task) for each in (MERGED, Granularity()))
    masks = random_masks(merged.described.graph)
    expanded = merged.described.graph.expand(masks)[..., 0]
    assert torch.equal(merged.circuits(masks)[0], whole.circuits(expanded)[0])


@pytest.mark.parametrize("granularity", KINDS, ids=repr)
def test_the_whole_way(granularity):
    """A recheck, the minimal search and the validation take the granularity from what they are given."""
    model, task = tiny_model("gpt2"), named_task(8)
    scores = score(model, task, Recheck(EAPIG(2), k=30), granularity=granularity)
    circuit = minimal(model, task, scores, 0.8)
    assert circuit.graph.granularity == granularity
    assert circuit.certificate is not None and 0.8 <= circuit.certificate.faithfulness <= 1.2
    assert not any(0.8 <= value <= 1.2 for value in circuit.certificate.without.values())
    slow = plain_circuit(model, task, circuit.mask, granularity=granularity).mean()
    report = validate(model, circuit, task, n_controls=2, n_resamples=100)
    assert report.circuit == pytest.approx(float(slow), abs=1e-10)
    assert report.n_edges_total == int(circuit.graph.mask.sum())


def test_positions_are_ordered_and_spans_are_not(gpt2):
    """A key feeds its own and later positions; of a named span nobody knows what comes after it."""
    positions = describe(gpt2, Granularity(positions=4)).graph
    assert components(positions, "a0.h1<k>@t2") == ["a0.h1@t2", "a0.h1@t3"]
    assert components(positions, "a0.h1<q>@t2") == ["a0.h1@t2"]
    named = describe(gpt2, SPANS).graph
    assert components(named, "a0.h1<v>@END") == ["a0.h1@S", "a0.h1@END", "a0.h1@rest"]


def test_edges_are_those_of_every_span(gpt2):
    """Each edge stands once in each span, those into the logits too."""
    whole = describe(gpt2).graph
    assert describe(gpt2, Granularity(positions=7)).graph.n_edges == 7 * whole.n_edges


@pytest.mark.parametrize(
    ("granularity", "problem"),
    [
        (Granularity(spans=("IO",)), "no span 'IO': it has S, END"),
        (Granularity(positions=9), "row 1: the prompt has 7 tokens, and nodes for each of 9 positions"),
    ],
)
def test_a_task_without_the_spans_is_refused(gpt2, granularity, problem):
    """The sentence says what the task has."""
    with pytest.raises(InputError, match=problem):
        score(gpt2, named_task(), EAP(), granularity=granularity)


def test_spans_that_no_node_can_have_are_refused():
    """A name given twice, the name of the rest, or both ways at once."""
    several: list[dict[str, Any]] = [
        {"spans": ("S", "S")},
        {"spans": ("rest",)},
        {"spans": ("a b",)},
        {"spans": ("S",), "positions": 3},
    ]
    for bad in several:
        with pytest.raises(InputError):
            Granularity(**bad)
    task = named_task(1)
    both = Task.from_ids(task.clean, task.corrupt, [1], [2], spans=[{"S": 2, "T": (2, 3), "U": ()}])
    with pytest.raises(InputError, match="token 2 belongs to two of the spans S, T"):
        both.check_spans(("S", "T"))
    with pytest.raises(InputError, match="row 1: no token belongs to the span 'U'"):
        both.check_spans(("S", "U"))
    with pytest.raises(InputError, match="is outside the prompt"):
        Task.from_ids(task.clean, task.corrupt, [1], [2], spans=[{"S": 7}])


QUERY_HEADS = Granularity(query_heads=True)


def ungrouped(model):
    """The same model with the keys and values of each group copied for each of its heads."""
    config = copy.deepcopy(model.config)
    sharing = config.num_attention_heads // config.num_key_value_heads
    width = model.model.layers[0].self_attn.head_dim
    config.num_key_value_heads = config.num_attention_heads
    state = {
        name: value.unflatten(0, (-1, width)).repeat_interleave(sharing, 0).flatten(0, 1)
        if ".k_proj." in name or ".v_proj." in name
        else value
        for name, value in model.state_dict().items()
    }
    apart = type(model)(config).eval().requires_grad_(False).to(model.dtype)
    apart.load_state_dict(state)
    return apart


SHARING = ["llama-grouped", "llama-multiquery", "qwen3", "mistral-windowed"]


@pytest.mark.parametrize("name", SHARING)
def test_query_heads_are_those_of_the_ungrouped_model(name):
    """Every method scores them as in a model whose keys and values are copied, and circuits and edges are the same."""
    model, task = tiny_model(name), mixed_spans()
    apart = ungrouped(model)
    for method in (EAP(), EAPIG(2), QKFix(), GIM()):
        fine, copied = score(model, task, method, granularity=QUERY_HEADS), score(apart, task, method)
        assert fine.graph.readers == copied.graph.readers and fine.graph.n_edges == copied.graph.n_edges
        assert (fine.values - copied.values).abs().max() < 1e-10
    masks = random_masks(fine.graph)
    found = [
        Evaluator(verified(one, task, granularity), task).circuits(masks, near=masks[1])[0]
        for one, granularity in ((model, QUERY_HEADS), (apart, Granularity()))
    ]
    assert (found[0] - found[1]).abs().max() < 1e-10
    edges = tuple(fine.graph.edges(masks[0]))[:6]
    exact = score(model, task, Exact(edges=edges), granularity=QUERY_HEADS), score(apart, task, Exact(edges=edges))
    assert all(exact[0][edge] == pytest.approx(exact[1][edge], abs=1e-10) for edge in edges)


@pytest.mark.parametrize("name", SHARING)
def test_a_groups_share_is_the_sum_over_its_heads(name):
    """Gradients add up to the native ones, and circuits that treat a group's heads alike are the native ones."""
    model, task = tiny_model(name), named_task(3)
    native, fine = score(model, task, EAP()), score(model, task, EAP(), granularity=QUERY_HEADS)
    place = [native.graph.find_reader(name) for name in fine.graph.readers]
    summed = torch.zeros_like(native.values).index_add_(1, torch.tensor(place), fine.values)
    assert (summed - native.values).abs().max() < 1e-12 * float(native.values.abs().max() + 1)
    masks = random_masks(native.graph)
    (whole,) = Evaluator(verified(model, task), task).circuits(masks)
    (split,) = Evaluator(verified(model, task, QUERY_HEADS), task).circuits(masks[..., place])
    assert (whole - split).abs().max() < 1e-10


def test_query_heads_in_spans_too():
    """The two go together, and leave the model as it was."""
    grouped, task = tiny_model("llama-grouped"), named_task()
    granularity = Granularity(query_heads=True, spans=("S", "END"))
    masks = random_masks(describe(grouped, granularity).graph)
    (fast,) = Evaluator(verified(grouped, task, granularity), task).circuits(masks)
    spans = Granularity(spans=("S", "END"))
    (copied,) = Evaluator(verified(ungrouped(grouped), task, spans), task).circuits(masks)
    assert (fast - copied).abs().max() < 1e-10
    attentions = [block.self_attn for block in grouped.model.layers]
    assert all(attention.num_key_value_groups == 2 for attention in attentions)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in grouped.modules())


def test_sharing_that_cannot_be_undone_is_refused():
    """Keys and values that come from the queries' own projection are not copied."""
    with pytest.raises(InputError, match="leave out query_heads"):
        describe(tiny_model("falcon-new"), QUERY_HEADS)


def small(name: str):
    """A tiny model with a dozen neurons a block."""
    config = copy.deepcopy(TINY[name])
    setattr(config, "n_inner" if name == "gpt2" else "intermediate_size", 12)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.copy_(1 + 0.2 * noise if parameter.dim() == 1 and parameter.mean() > 0.5 else 0.25 * noise)
    return model


NEURONS = [Granularity(neurons=(1,)), Granularity(neurons=(0, 1), spans=("S", "END"))]


@pytest.mark.parametrize("granularity", NEURONS, ids=repr)
@pytest.mark.parametrize("name", ["gpt2", "llama-grouped", "gpt_neox-parallel"])
def test_neurons_equal_the_plain_run(name, granularity):
    """Circuits of neurons equal one plain run a prompt; all of them are the model, none the corrupt run."""
    model, task = small(name), named_task()
    evaluator = Evaluator(verified(model, task, granularity), task)
    graph = evaluator.described.graph
    assert "m1.n11" + ("@END" if granularity.spans else "") in graph.writers
    masks = random_masks(graph)
    slow = torch.stack([plain_circuit(model, task, mask, granularity=granularity) for mask in masks])
    for near in (None, masks[1]):
        assert (evaluator.circuits(masks, near=near)[0] - slow).abs().max() < 1e-10
    (ends,) = evaluator.circuits(torch.stack([graph.mask, torch.zeros_like(graph.mask)]))
    swapped = Task.from_ids(task.corrupt, task.clean, task.answers, task.wrong)
    assert (ends[0] - evaluator.clean()[0]).abs().max() < 1e-10
    assert (ends[1] - Evaluator(verified(model), swapped).clean()[0]).abs().max() < 1e-10


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_neurons_add_up_to_their_mlp(method):
    """What a gradient makes of an MLP's edge is the sum over its neurons; edges into the MLP stay one."""
    model, task = small("llama-grouped"), named_task(3)
    whole, fine = score(model, task, method), score(model, task, method, granularity=Granularity(neurons=(0, 1)))
    place = [whole.graph.find_writer(name.partition(".n")[0]) for name in fine.graph.writers]
    summed = torch.zeros_like(whole.values).index_add_(0, torch.tensor(place), fine.values)
    assert (summed - whole.values).abs().max() < 1e-12 * float(whole.values.abs().max() + 1)


def test_neurons_exactly_and_the_whole_way():
    """Exact effects of neurons, a recheck and the minimal search."""
    model, task, granularity = small("llama-grouped"), named_task(6), Granularity(neurons=(1,))
    task = Task.from_ids(task.clean, task.corrupt, task.wrong, task.answers)  # so that it does the task
    scores = score(model, task, Recheck(EAP(), k=20), granularity=granularity)
    (edge, *_) = [(w, r) for w, r, _ in scores.top(20) if ".n" in w]
    kept = scores.graph.mask.clone()
    kept[scores.graph.find_edge(edge)] = False
    clean, cut = (
        plain_circuit(model, task, mask, granularity=granularity).mean() for mask in (scores.graph.mask, kept)
    )
    assert scores[edge] == pytest.approx(float(clean - cut), abs=1e-10)
    assert minimal(model, task, scores, 0.8).graph.granularity == granularity


@pytest.mark.parametrize(
    ("name", "layer", "problem"),
    [
        ("gpt2", 2, "there is no block 2"),
        ("gemma2", 0, "their summed output is normed"),
        ("mixtral", 0, "no single linear module"),
    ],
)
def test_neurons_that_no_node_can_be_are_refused(name, layer, problem):
    """The sentence says why."""
    with pytest.raises(InputError, match=problem):
        describe(tiny_model(name), Granularity(neurons=(layer,)))


@pytest.mark.parametrize("granularity", [Granularity(neurons=(0,)), QUERY_HEADS, Granularity(experts=True)], ids=repr)
def test_every_family_is_proven_or_refused(every_family, granularity):
    """Neurons, query heads and experts of any family pass verification, unless a sentence says why they cannot be nodes."""
    own = granularity_of(every_family)
    try:
        graph = verified(every_family, granularity=replace(granularity, merged_heads=own.merged_heads)).graph
    except InputError as error:
        assert re.search(r"cannot be nodes|leave out query_heads|no mixture", str(error)), error
        return
    assert "m0.n0" in graph.writers or graph.granularity.query_heads or any(".e1" in name for name in graph.writers)


EXPERTS = Granularity(experts=True)
MIXTURES = ["mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v3"]


@pytest.mark.parametrize("granularity", [EXPERTS, Granularity(experts=True, spans=("S", "END"))], ids=repr)
@pytest.mark.parametrize("name", MIXTURES[:3])
def test_experts_equal_the_plain_run(name, granularity):
    """Circuits in which each expert and the router read streams of their own equal one plain run a prompt."""
    model, task = tiny_model(name), named_task()
    evaluator = Evaluator(verified(model, task, granularity), task)
    graph = evaluator.described.graph
    masks = torch.cat([random_masks(graph), without_one(graph, 6)])
    slow = torch.stack([plain_circuit(model, task, mask, granularity=granularity) for mask in masks])
    for near in (None, graph.mask, masks[1]):
        assert (evaluator.circuits(masks, near=near)[0] - slow).abs().max() < 1e-10


def without_one(graph, count: int):
    """The full graph without one random edge into an expert or a router."""
    places = graph.mask.nonzero()
    places = places[[".e" in graph.readers[v] or "router" in graph.readers[v] for v in places[:, 1].tolist()]]
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))[:count]]
    kept = graph.mask.repeat(len(places), 1, 1)
    kept[torch.arange(len(places)), places[:, 0], places[:, 1]] = False
    return kept


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("name", MIXTURES)
def test_experts_add_up_to_their_mixture(name, method):
    """What a gradient makes of a mixture's edges is the sum over experts, the shared one, and the router."""
    model, task = tiny_model(name), named_task(3)
    own = granularity_of(model)
    whole = score(model, task, method, granularity=own)
    fine = score(model, task, method, granularity=replace(own, experts=True))
    if isinstance(method, EAPIGActivations) and any("shared" in name for name in fine.graph.writers):
        pytest.skip("its paths run through groups of writers, and the shared expert is a group of its own")
    assert {name.partition(".")[2][:1] for name in fine.graph.writers if name.startswith("m1.")} >= {"e"}
    rows, columns = (
        torch.tensor([find(re.sub(r"^(m\d+)\..*", r"\1", name)) for name in names])
        for find, names in (
            (whole.graph.find_writer, fine.graph.writers),
            (whole.graph.find_reader, fine.graph.readers),
        )
    )
    place = rows[:, None] * len(whole.graph.readers) + columns
    summed = torch.zeros_like(whole.values).view(-1).index_add_(0, place.flatten(), fine.values.flatten())
    assert (summed.view_as(whole.values) - whole.values).abs().max() < 1e-12 * float(whole.values.abs().max() + 1)


def test_experts_gradients_agree_with_finite_differences():
    """An edge into one expert, into the router and from an expert: the slope of the metric along it."""
    model, task = tiny_model("qwen2_moe"), named_task(1, 6)
    graph = describe(model, EXPERTS).graph
    scores = score(model, task, EAP(), granularity=EXPERTS)
    clean, corrupt = (plain_writes(model, ids[0], EXPERTS) for ids in (task.clean, task.corrupt))
    edges = [("embed", "m0.e1<in>"), ("a0.h2", "m0.router<in>"), ("m0.e2", "m1.router<in>"), ("m0.shared", "logits")]
    edges += [("embed", "m1.shared<in>"), ("m0.e0", "a1.kv1<v>"), ("m0.e3", "m1.e3<in>"), ("embed", "m1.e0<in>")]
    scale = float(scores.values.abs().max())
    for row, column in map(graph.find_edge, edges):
        kept, step = graph.mask.clone(), 1e-4
        kept[row, column] = False

        def metric_at(share: float, row=row, kept=kept) -> float:
            moved = clean.clone()
            moved[row] = clean[row] + share * (corrupt[row] - clean[row])
            return float(plain_circuit(model, task, kept, lambda _: moved, EXPERTS)[0])

        slope = (metric_at(-step) - metric_at(step)) / (2 * step)
        assert scores.values[row, column] == pytest.approx(slope, rel=1e-5, abs=1e-7 * scale)


def test_experts_the_whole_way():
    """Names as a person types them, exact effects, and the minimal search."""
    model, task = tiny_model("mixtral"), named_task(6)
    scores = score(model, task, Recheck(EAP(), k=20), granularity=EXPERTS)
    graph = scores.graph
    assert graph.readers[graph.find_reader("m1.e2")] == "m1.e2<in>"
    assert components(graph, "m1.router<in>") == [f"m1.e{expert}" for expert in range(4)]
    row, column = scores.ranking()[0].tolist()
    kept = graph.mask.clone()
    kept[row, column] = False
    clean, cut = (plain_circuit(model, task, mask, granularity=EXPERTS).mean() for mask in (graph.mask, kept))
    assert float(scores.values[row, column]) == pytest.approx(float(clean - cut), abs=1e-10)
    if clean < plain_circuit(model, task, torch.zeros_like(kept), granularity=EXPERTS).mean():
        task = Task.from_ids(task.clean, task.corrupt, task.wrong, task.answers)
        scores = score(model, task, Recheck(EAP(), k=20), granularity=EXPERTS)
    circuit = minimal(model, task, scores, 0.8)
    assert circuit.graph.granularity == EXPERTS and len(circuit) < graph.n_edges
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
