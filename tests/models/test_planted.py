"""Planted models: the circuit that they are said to have is the one that runs of them show."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import compress, product
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.models.planted import MOTIFS, Design, Planted, plant, reset
from circuitsearch.models.planted.motif import Edge
from circuitsearch.models.planted.prompts import PlantedWriter
from circuitsearch.models.planted.stream import Stream
from circuitsearch.search.prompts import PassPrompts
from circuitsearch.validation import generalisation
from tests.engine.plain import plain_circuit

# Attention to anything but a match is below the rounding of float64.
EXACT = Design(heads=3, sharpness=40.0, constant=20.0)
DESIGNS = {
    "plain": Design(),
    "rotated": Design(layers=4, heads=3, rotated=True),
    "norm": Design(constant=0.0),
    "distractors": Design(layers=4, distractor_heads=6, distractor_mlps=2, constant=20.0),
    "noise": Design(noise=0.002),
    "all": Design(layers=4, distractor_heads=4, distractor_mlps=1, rotated=True, noise=0.002, constant=6.0),
}
REDUNDANT = ("or", "vote")
SINGLE = [motif for motif in MOTIFS if motif not in (*REDUNDANT, "backup")]  # one set of edges alone suffices
of_every_motif = pytest.mark.parametrize("motif", MOTIFS)
of_every_design = pytest.mark.parametrize("name", DESIGNS)
SEEDS = {name: 10 + number for number, name in enumerate(DESIGNS)}


@cache
def measured(motif: str, design: Design, seed: int) -> tuple[Planted, Faithfulness]:
    """A planted model with what measures its circuits on 8 prompts."""
    planted = plant(motif, seed, n=8, design=design)
    return planted, Faithfulness(cs.Experiment(planted.model, planted.task))


def kept(measure: Faithfulness, *circuits: Any) -> Tensor:
    """Faithfulness of some sets of edges: (C,)."""
    return measure(torch.stack([measure.graph.edge_mask(edges) for edges in circuits]))


def behaviour(measure: Faithfulness) -> float:
    """How much the metric falls if every edge is ablated."""
    return float((measure.clean - measure.ablated).mean())


@cache
def effects(measure: Faithfulness, method: Any) -> Tensor:
    """Effects of all edges, as shares of the behaviour: (U, V)."""
    return measure.experiment.score(method).values / behaviour(measure)


# ---- the model and its circuit


@of_every_motif
@of_every_design
def test_the_model_does_the_task(motif: str, name: str):
    """The right answer is above the wrong one on every prompt, clearly, and not if all edges are ablated."""
    _, measure = measured(motif, DESIGNS[name], SEEDS[name])
    assert (measure.clean > 1).all()
    assert measure.ablated.max() < 0.5


@of_every_motif
@of_every_design
def test_the_true_edges_alone_do_what_the_model_does(motif: str, name: str):
    """Nothing else is needed, whatever surrounds the circuit."""
    planted, measure = measured(motif, DESIGNS[name], SEEDS[name])
    assert float(kept(measure, planted.edges)) == pytest.approx(1, abs=0.01)


@of_every_motif
@of_every_design
def test_each_sufficient_set_suffices_and_none_of_its_edges_can_be_left_out(motif: str, name: str):
    """Alone it has faithfulness 1, and without any of its edges clearly another one."""
    planted, measure = measured(motif, DESIGNS[name], SEEDS[name])
    for edges in planted.sufficient:
        without = kept(measure, *(edges - {edge} for edge in edges))
        assert float(kept(measure, edges)) == pytest.approx(1, abs=0.1)
        assert ((without - 1).abs() > 0.15).all()


@of_every_motif
@pytest.mark.parametrize("seed", range(2))
def test_no_other_edge_has_an_effect(motif: str, seed: int):
    """Exact effects outside the circuit are 0, to the rounding of the model."""
    planted, measure = measured(motif, EXACT, seed)
    others = measure.graph.mask & ~measure.graph.edge_mask(planted.edges)
    assert effects(measure, cs.Exact())[others].abs().max() < 1e-9


@of_every_motif
def test_no_other_edge_matters_to_any_circuit(motif: str):
    """Random circuits keep what their true edges keep."""
    planted, measure = measured(motif, EXACT, 0)
    generator = torch.Generator().manual_seed(0)
    true, graph = measure.graph.edge_mask(planted.edges), measure.graph
    circuits = graph.mask & (torch.rand(12, *graph.mask.shape, generator=generator) < 0.8)
    values = measure(circuits)
    assert len(values.round(decimals=3).unique()) > 1
    torch.testing.assert_close(values, measure(circuits & true), atol=1e-3, rtol=0)


@of_every_motif
def test_the_circuit_is_that_of_plain_runs(motif: str):
    """One prompt at a time, without the engine, the true edges give the model's metric."""
    planted, measure = measured(motif, EXACT, 1)
    task, graph = planted.task.subset(range(2)), measure.graph
    alone = plain_circuit(planted.model, task, graph.edge_mask(planted.edges))
    torch.testing.assert_close(alone, measure.clean[:2], atol=1e-6, rtol=0)


@of_every_motif
def test_the_sufficient_sets_are_all_there_are(motif: str):
    """Of all sets of true edges, the smallest with faithfulness 1 are those that are named."""
    planted, measure = measured(motif, EXACT, 0)
    choices = [frozenset(compress(planted.edges, chosen)) for chosen in product((0, 1), repeat=len(planted.edges))]
    values = kept(measure.on_first(4), *choices).tolist()
    suffice = [edges for edges, value in zip(choices, values, strict=True) if abs(value - 1) < 0.02]
    smallest = {edges for edges in suffice if not any(other < edges for other in suffice)}
    assert smallest == set(planted.sufficient)


# ---- what single edges show of it


@pytest.mark.parametrize("motif", SINGLE)
def test_every_true_edge_has_an_effect(motif: str):
    """Cut alone in the whole model, it lowers the metric, or raises it if it works against the answer."""
    planted, measure = measured(motif, EXACT, 1)
    found, find = effects(measure, cs.Exact()), measure.graph.find_edge
    assert all(found[find(edge)] > 0.15 for edge in set(planted.edges) - planted.opposing)
    assert all(found[find(edge)] < -0.15 for edge in planted.opposing)


@pytest.mark.parametrize("motif", REDUNDANT)
def test_heads_that_replace_each_other_have_no_effect_alone(motif: str):
    """Only the edge from the MLP to the logits has one, while the edges of too few heads keep nothing."""
    planted, measure = measured(motif, EXACT, 1)
    found, find = effects(measure, cs.Exact()), measure.graph.find_edge
    *of_heads, last = planted.edges
    assert found[find(last)] == pytest.approx(1)
    assert all(abs(found[find(edge)]) < 0.01 for edge in of_heads)
    common = frozenset[Edge].intersection(*planted.sufficient)
    assert abs(float(kept(measure, common))) < 0.01


def test_a_backup_replaces_the_first_head_only_where_it_sees_its_loss():
    """Cut from the logits the first head is missed; given the corrupt word it is not; unseen by the backup it is doubled."""
    planted, measure = measured("backup", EXACT, 1)
    into, out, silencing, *of_backup = map(measure.graph.find_edge, planted.edges)
    found = [float(effects(measure, cs.Exact())[edge]) for edge in (into, out, silencing, *of_backup)]
    assert found == pytest.approx([0, 1, -1, -1, 0, 0], abs=0.02)


def test_one_vote_of_three_is_too_few():
    """A majority of the heads is needed: the edges of one head keep nothing."""
    planted, measure = measured("vote", EXACT, 1)
    *of_heads, last = planted.edges
    alone = kept(measure, *([*of_heads[first : first + 2], last] for first in (0, 2, 4)))
    assert alone.abs().max() < 1e-6


def test_each_head_of_an_and_has_the_whole_effect():
    """So effects of single edges add up to more than the behaviour."""
    planted, measure = measured("and", EXACT, 1)
    found = effects(measure, cs.Exact())
    assert all(float(found[measure.graph.find_edge(edge)]) == pytest.approx(1) for edge in planted.edges)


def test_gradients_at_either_end_do_not_see_a_step():
    """EAP gives 0 to edges that have the whole effect, but for what the last norm makes of the head's size."""
    planted, measure = measured("step", EXACT, 0)
    into_head, into_step, _ = map(measure.graph.find_edge, planted.edges)
    estimate, exact = effects(measure, cs.EAP()), effects(measure, cs.Exact())
    assert abs(float(estimate[into_step])) < 1e-12 and abs(float(estimate[into_head])) < 0.01
    assert float(exact[into_step]) == pytest.approx(1) and float(exact[into_head]) == pytest.approx(1)


def test_a_negative_head_hides_half_of_the_answer():
    """Without its edges the metric is twice the model's."""
    planted, measure = measured("negative", EXACT, 0)
    positive = set(planted.edges) - planted.opposing
    assert float(kept(measure, positive)) == pytest.approx(2, abs=0.01)


# ---- seeds, sizes, prompts


@of_every_motif
def test_a_seed_gives_the_same_model_and_others_give_others(motif: str):
    """Places, words and prompts are those of the seed."""
    first, again, *others = (plant(motif, seed, n=3) for seed in (0, 0, 1, 2, 3, 4))
    weights = [torch.cat([weight.flatten() for weight in each.model.parameters()]) for each in (first, again, *others)]
    assert torch.equal(weights[0], weights[1]) and first.task.digest() == again.task.digest()
    assert len({each.edges for each in others}) > 1
    assert len({each.layout.words for each in others}) == len(others)


@of_every_motif
def test_new_prompts_are_answered_too(motif: str):
    """Prompts of another seed are different, and the model does the task on them."""
    planted = plant(motif, 5, n=16)
    new = planted.prompts(16, seed=99)
    seen = {tuple(ids.tolist()) for ids in planted.task.clean}
    assert not seen & {tuple(ids.tolist()) for ids in new.clean}
    cs.behaviour(planted.model, new).check()
    parts = [set(part.prompt_digests()) for part in planted.task.split(0.5)]
    assert min(map(len, parts)) >= 4 and len(set.union(*parts)) == sum(map(len, parts)) == 16


@pytest.mark.parametrize("motif", ["two-hop", "vote"])
def test_large_models(motif: str):
    """Eight blocks of eight heads, half of them distractors."""
    design = Design(layers=8, heads=8, distractor_heads=32, distractor_mlps=4, rotated=True, constant=20.0)
    planted, measure = measured(motif, design, 0)
    assert float(kept(measure, planted.edges)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrower_dtypes(dtype: torch.dtype):
    """The model computes in the dtype that is asked for, and has the same circuit."""
    planted, measure = measured("ioi", Design(dtype=dtype, constant=2.0), 0)
    assert planted.model.dtype == dtype
    assert float(kept(measure, planted.edges)) == pytest.approx(1, abs=0.02)


def test_values_that_are_small_beside_the_stream_are_verified():
    """Values that noise alone reads have the rounding of the stream that they are read from, and the model is not refused."""
    design = Design(layers=8, heads=3, distractor_heads=1, distractor_mlps=2, rotated=True, noise=0.001, sharpness=40.0)
    planted, measure = measured("vote", design, 3)
    assert float(kept(measure, planted.edges)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rotation", [None, torch.Generator().manual_seed(0)])
def test_norms_subtract_nothing(rotation: torch.Generator | None):
    """The directions of a stream are orthonormal, and the mean of each is 0."""
    basis = Stream.of(("token",), 20, rotation).basis
    torch.testing.assert_close(basis @ basis.T, torch.eye(19, dtype=torch.float64))
    assert basis.mean(1).abs().max() < 1e-15


# ---- models without a circuit


@of_every_motif
def test_reset_models_do_not_do_the_task(motif: str):
    """With their weights in random order they are refused, and the model itself is not changed."""
    planted = plant(motif, 0, n=24)
    for seed in range(2):
        with pytest.raises(cs.InputError, match="does not do the task"):
            cs.behaviour(reset(planted.model, seed), planted.task).check()
    cs.behaviour(planted.model, planted.task).check()


def test_reset_weights_are_the_same_numbers():
    """Each matrix keeps its entries, in an order that the seed decides."""
    model = plant("and", 0, n=1).model
    first, again, other = reset(model, 0), reset(model, 0), reset(model, 1)
    for (name, weight), *copies in zip(
        model.named_parameters(), *(m.parameters() for m in (first, again, other)), strict=True
    ):
        assert all(torch.equal(weight.flatten().sort().values, copy.flatten().sort().values) for copy in copies), name
        assert torch.equal(copies[0], copies[1]), name
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    assert not torch.equal(first.lm_head.weight, model.lm_head.weight)


# ---- what is refused


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"layers": 0}, "layers must be 1 to 12, not 0"),
        ({"heads": 13}, "heads must be 1 to 12, not 13"),
        ({"heads": 2.0}, "heads must be an integer"),
        ({"noise": -0.1}, "noise must be 0 to 1"),
        ({"noise": float("nan")}, "noise must be 0 to 1"),
        ({"constant": 1e3}, "constant must be 0 to 20"),
        ({"sharpness": 0.5}, "sharpness must be 1 to 100"),
        ({"dtype": "float32"}, "dtype must be dtype"),
        ({"dtype": torch.int64}, "floating-point"),
        ({"dtype": torch.bfloat16}, "rounds a constant of 10 too coarsely: take at most 6.4"),
    ],
    ids=str,
)
def test_designs_that_make_no_sense_are_refused(knobs: dict[str, Any], words: str):
    """Each in a sentence that names the knob."""
    with pytest.raises(cs.InputError, match=words):
        Design(**knobs)


@pytest.mark.parametrize(
    ("motif", "design", "words"),
    [
        ("two-hop", Design(layers=2), "'two-hop' with 4 heads in a layer takes 3 layers, not 2"),
        ("vote", Design(layers=2, heads=1), "takes 3 layers, not 2"),
        ("ioi", Design(distractor_heads=9), "distractor_heads must be at most 8, not 9"),
        ("step", Design(distractor_mlps=3), "distractor_mlps must be at most 2, not 3"),
        ("inductoin", Design(), "did you mean 'induction'"),
    ],
)
def test_models_without_room_are_refused(motif: str, design: Design, words: str):
    """The sentence says how much room there is."""
    with pytest.raises(cs.InputError, match=words):
        plant(motif, design=design)


def test_a_task_needs_a_prompt():
    """No prompts at all are refused."""
    with pytest.raises(cs.InputError, match="at least 1 prompt, not 0"):
        plant("or", n=0)


# ---- new prompts


@of_every_motif
def test_parts_of_a_task_write_prompts_of_their_own(motif: str):
    """All different, none that another part has or writes, and the model does the task on them."""
    planted = plant(motif, 2, n=32)
    parts = planted.task.parts((0.5, 0.25, 0.25))
    written = [part.fresh(24, seed=1) for part in parts]
    digests = [set(part.prompt_digests()) | set(new.prompt_digests()) for part, new in zip(parts, written, strict=True)]
    assert all(len(set(new.prompt_digests())) == 24 for new in written)
    assert len(set.union(*digests)) == sum(map(len, digests))
    writer = planted.task.writer
    assert writer is not None
    shares = [set(writer.share(part, 3).draw_by_group(16).prompt_digests()) for part in range(3)]
    assert len(set.union(*shares)) == 48
    ((clean, ablated),) = cs.Experiment(planted.model, written[0]).evaluator.ends()
    assert clean.min() > 1 and ablated.max() < 0.5


def test_every_pass_of_a_search_has_new_prompts():
    """And a report measures the circuit on further ones."""
    planted = plant("induction", 0, n=16)
    selection, held_out = cs.Experiment(planted.model, planted.task).split()
    prompts = PassPrompts(selection, 8)
    first, second = (set(prompts.of_pass(number).task.prompt_digests()) for number in (1, 2))
    assert prompts.are_new and len(first) == len(second) == 8 and not first & second
    circuit = cs.Circuit.from_edges(selection.graph, planted.edges)
    (row,) = generalisation(circuit, selection, held_out, n=12, n_resamples=20)
    assert (row.label, row.n) == ("new prompts", 12) and row.faithfulness.value == pytest.approx(1, abs=0.01)


def test_a_writer_whose_prompts_run_out_says_so():
    """Of a rule with three prompts there are three, and no more; other factors than none are unknown."""
    planted = plant("induction", 0, n=4)
    writer = planted.task.writer
    assert isinstance(writer, PlantedWriter)
    pairs = [planted.motif.write(Random(seed), ()) for seed in range(3)]
    few = replace(
        writer,
        by_group=tuple(range(64)),
        motif=replace(planted.motif, write=lambda random, sites: random.choice(pairs)),
    )
    assert len(few.draw(5, at_most=True)) == len(few.draw(3)) == 3
    with pytest.raises(cs.InputError, match="about 3 distinct prompts, not 5; ask for a smaller n"):
        few.draw(5)
    with pytest.raises(cs.InputError, match="at least 1 prompt, not 0"):
        few.draw(0)
    with pytest.raises(cs.InputError, match="unknown factor 'names'"):
        few.taking(writer, "names")
