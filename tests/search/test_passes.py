"""One pass of the search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.history import Judged, Measured, Pass
from circuitsearch.search.edits import Edits
from circuitsearch.search.passes import Passes

pytestmark = pytest.mark.rounded


@pytest.fixture(scope="module")
def passes() -> Passes:
    """On pico's induction."""
    model, tokenizer = cs.load("pico")
    selection, stopping, _ = cs.tasks.induction(tokenizer, n=32, seed=0).parts((0.5, 0.25, 0.25), seed=0)
    experiment = cs.Experiment(model, selection)
    ranking = experiment.score("relp").ranking()
    return Passes(experiment, Faithfulness(experiment.on(stopping)), 0.9, cs.Refine(passes=3, prompts=16), ranking)


@pytest.fixture(scope="module")
def circuit(passes: Passes) -> torch.Tensor:
    """A circuit (U, V) that reaches the target."""
    return cs.minimal(passes.selection, passes.selection.task, passes.selection.score("relp"), 0.95).mask


def test_changes_that_do_not_help_on_other_prompts_are_not_made(passes: Passes, circuit: torch.Tensor):
    """However much their gains promise: all edges of a circuit that reaches the target are to be dropped, and none is."""
    state = passes.step(passes.start(circuit))
    state = replace(state, inside=circuit[passes.places])
    every_edge = tuple(state.inside.nonzero().flatten().tolist())
    checked, rise = passes._checked(state, Edits((), every_edge, predicted=5.0))
    assert torch.equal(checked.inside, state.inside) and rise == 0


def test_a_useless_edge_is_dropped_when_the_check_agrees(passes: Passes, circuit: torch.Tensor):
    """The circuit without it is smaller and as faithful."""
    with_more = circuit | cs.top(passes.selection.score("relp"), 60).mask
    state = replace(passes.step(passes.start(with_more)), inside=with_more[passes.places])
    useless = (with_more & ~circuit)[passes.places].nonzero().flatten().tolist()
    checked, _ = passes._checked(state, Edits((), tuple(useless), predicted=0.0))
    assert int(checked.inside.sum()) < int(with_more.sum())


def test_where_no_edge_is_sure_to_help_the_ranking_adds_some(passes: Passes):
    """A path of which two edges are missing has no gradient; as many edges are added as the circuit has, in the ranking's order."""
    few = cs.top(passes.selection.score("relp"), 4).mask
    unsure = replace(passes, knobs=cs.Refine(passes=3, prompts=16, errors=1e6))
    wider = unsure.mask(unsure.step(unsure.start(few)).inside)
    strongest = passes.ranking[: 4 * int(few.sum())]
    among = torch.zeros_like(few)
    among[strongest[:, 0], strongest[:, 1]] = True
    assert int(few.sum()) < int(wider.sum()) <= 2 * int(few.sum())
    assert (wider & few).sum() == few.sum() and not (wider & ~among).any()


def test_a_circuit_near_the_target_is_not_widened(passes: Passes, circuit: torch.Tensor):
    """Even where no edge is sure to help: what is missing is little beside what so many edges may do."""
    unsure = replace(passes, knobs=cs.Refine(passes=3, prompts=16, errors=1e6))
    for near in (circuit, cs.top(passes.selection.score("relp"), 6).mask):
        assert int(unsure.step(unsure.start(near)).inside.sum()) <= int(near.sum())


def test_a_pass_measures_the_circuit_that_it_is_given(passes: Passes, circuit: torch.Tensor):
    """Its faithfulness is that of a plain run on the same prompts, and the state keeps the circuit."""
    state = passes.step(passes.start(circuit))
    (plain,) = Faithfulness(passes.prompts.of_pass(0)).measured(circuit[None])
    assert abs(state.passes[0].selection.value - plain.value) < 1e-4
    assert torch.equal(state.circuits[0], circuit[passes.places]) and state.best_at == 0


def test_a_circuit_near_the_target_is_judged(passes: Passes, circuit: torch.Tensor):
    """On the stopping prompts and on new ones; what the judges find then counts. One far from it costs no such run."""
    near = passes.step(passes.start(circuit)).passes[0]
    assert near.judged is not None and near.judged == passes.judges(circuit[None])[0]
    assert near.judged.stopping == near.stopping and near.best_estimate == near.judged.together
    far = passes.step(passes.start(cs.top(passes.selection.score("relp"), 6).mask)).passes[0]
    assert far.judged is None and far.forwards < near.forwards


def _passed(number: int, n_edges: int, value: float) -> Pass:
    return Pass(number, n_edges, Measured(value, 0.01), Measured(value, 0.01), 1.0)


@pytest.mark.parametrize(
    ("n_edges", "value", "shrinks"), [(50, 1.3, True), (50, 0.95, True), (50, 0.85, False), (99, 1.3, False)]
)
def test_a_smaller_circuit_that_overshoots_is_progress(
    passes: Passes, circuit: torch.Tensor, n_edges: int, value: float, shrinks: bool
):
    """More edges can be dropped from it; one that falls below the target, or is hardly smaller, is none."""
    state = replace(passes.start(circuit), passes=(_passed(1, 100, 1.2),))
    assert passes._shrinks(state, _passed(2, n_edges, value)) is shrinks


@pytest.mark.parametrize(("error", "enough"), [(0.005, 0.905), (0.2, 0.9 + 0.1 / 3)])
def test_a_standard_error_above_the_target_is_enough(passes: Passes, error: float, enough: float):
    """Where the error is large, a third of the way from the target to 1."""
    assert passes.target == 0.9
    measured = Measured(0.95, error)
    judged = Judged(measured, measured, measured)
    passed = Pass(1, 10, measured, measured, forwards=1.0, judged=judged)
    assert abs(passes._threshold(passed) - enough) < 1e-12


def test_edges_are_dropped_from_a_circuit_that_is_not_surely_good_enough(
    passes: Passes, circuit: torch.Tensor, monkeypatch: Any
):
    """It reaches the target, though not the threshold: if edges were only added there, large circuits would stay large."""
    measured, tried = Measured(0.92, 0.05), []
    passed = Pass(1, 10, measured, measured, forwards=1.0, judged=Judged(measured, measured, measured))
    assert passes.target < measured.value < passes._threshold(passed)
    judged = {"passes": (passed,), "circuits": circuit[passes.places][None], "best_at": 0}
    monkeypatch.setattr(Passes, "_judged", lambda self, state, _: replace(state, **judged))
    monkeypatch.setattr(Passes, "_checked", lambda self, state, edits: tried.append(edits) or (state, 0.0))
    passes.step(passes.start(circuit))
    assert len(tried[0].dropped) == round(passes.knobs.dropped * int(circuit.sum()))


def test_after_a_pass_that_changes_nothing_less_is_dropped(passes: Passes, circuit: torch.Tensor, monkeypatch: Any):
    """Else the next one would try the same again."""
    monkeypatch.setattr(Passes, "_checked", lambda self, state, edits: (state, 0.0))
    state = passes.step(passes.start(circuit))
    assert torch.equal(state.inside, circuit[passes.places]) and state.dropped == passes.knobs.dropped / 2


def test_edges_that_are_missed_after_all_changes_are_taken_back(passes: Passes, circuit: torch.Tensor):
    """All edges of a large circuit are dropped but those that a faithful one needs, and one of these too: it is the last in the new order."""
    inside = circuit[passes.places]
    useless = (~inside & (torch.arange(len(inside)) % 7 == 0)).nonzero().flatten().tolist()
    effect = passes.gains_at(passes.selection, circuit)
    needed = int(effect.masked_fill(~inside, -1).argmax())
    state = replace(
        passes.start(circuit), inside=inside | torch.zeros_like(inside).index_fill(0, torch.tensor(useless), True)
    )
    edits = Edits((), (needed, *useless), predicted=0.0)
    experiment, whole = passes.prompts.of_pass(0), passes.pruned(edits.first(1, state.inside))
    value, mended = passes._mended(experiment, edits, whole)
    assert abs(value - passes.faithfulness_on(experiment, passes.mask(whole))) < 1e-6
    assert mended.dropped[-1] == needed and set(mended.dropped) == set(edits.dropped)


def test_the_gradient_after_a_whole_edit_is_not_run_again(passes: Passes, circuit: torch.Tensor, monkeypatch: Any):
    """The next pass begins with it; at another circuit, or on other prompts, it is run."""
    first, second = passes.prompts.of_pass(0), passes.prompts.of_pass(1)
    values, gradients = passes._gradients(first, circuit)
    with monkeypatch.context() as patched:
        patched.setattr(Passes, "_run_with_gradient", lambda *_: pytest.fail("it was run again"))
        again = passes._gradients(first, circuit.clone())
    assert torch.equal(again[0], values) and torch.equal(again[1], gradients)
    assert not torch.equal(passes._gradients(second, circuit)[0], values)
    assert not torch.equal(passes._gradients(second, passes.graph.mask)[0], values)


def test_the_search_goes_on_until_the_target_is_reached(passes: Passes, circuit: torch.Tensor):
    """Passes without progress end it only after a circuit has."""
    state = replace(passes.step(passes.start(circuit)), since=passes.knobs.patience)
    assert passes._reached(state) and passes.ended(state) is not None
    (first,) = state.passes
    assert passes.ended(replace(state, passes=(replace(first, judged=None),))) is None


def test_a_circuit_that_stays_is_not_measured_again(passes: Passes, circuit: torch.Tensor, monkeypatch: Any):
    """Its faithfulness on the stopping prompts is that of the pass before, at no cost."""
    before = passes.step(passes.start(circuit))
    before = replace(before, inside=before.circuits[-1])
    monkeypatch.setattr(Passes, "on_stopping", None)
    after = passes.step(before)
    assert after.passes[1].stopping == before.passes[0].stopping


def test_the_same_state_gives_the_same_next_state(passes: Passes, circuit: torch.Tensor):
    """Whatever was run before, as after an interruption."""
    first = passes.step(passes.start(circuit))
    other = replace(passes)
    ours, theirs = passes.step(first), other.step(first)
    assert torch.equal(ours.inside, theirs.inside) and ours.passes == theirs.passes


def test_gradients_and_values_agree_with_the_mask(passes: Passes, circuit: torch.Tensor):
    """Mask and list of edges are the same circuit, in both directions."""
    inside: Any = circuit[passes.places]
    assert torch.equal(passes.mask(inside), circuit) and torch.equal(passes.pruned(inside), inside)
