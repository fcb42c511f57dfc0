"""The search by the gradient at the circuit, on pico."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.search import ending
from circuitsearch.search.ending import Ending
from circuitsearch.search.judging import Judges
from circuitsearch.search.minimal import Elimination, Place
from circuitsearch.search.prompts import PassPrompts
from circuitsearch.target import reaches

pytestmark = pytest.mark.rounded
FEW = cs.Refine(passes=4, prompts=8)


@pytest.fixture(scope="module")
def pico() -> Any:
    """Experiment on selection prompts, the stopping prompts and the scores."""
    model, tokenizer = cs.load("pico")
    selection, stopping, _ = cs.tasks.induction(tokenizer, n=24, seed=0).parts((0.5, 0.25, 0.25), seed=0)
    experiment = cs.Experiment(model, selection)
    return experiment, stopping.fresh(16, seed=1), experiment.score("relp")


@pytest.fixture(scope="module")
def whole(pico: Any) -> cs.Circuit:
    """The circuit of a search that was left alone."""
    return refined(pico)


def refined(pico: Any, **options: Any) -> cs.Circuit:
    experiment, stopping, scores = pico
    return cs.refine(experiment, experiment.task, scores, stopping, how=FEW, **options)


def test_the_circuit_reaches_the_target_on_the_stopping_prompts(pico: Any, whole: cs.Circuit):
    """With few edges; the history and the certificate say how."""
    circuit = whole
    assert len(circuit) < 30 and circuit.history is not None and circuit.certificate is not None
    assert reaches(circuit.history.stopping.value, 0.9) and circuit.history.note == ""
    assert len(circuit.history.passes) <= FEW.passes and circuit.history.complete
    experiment, stopping, _ = pico
    (judged,) = Judges(experiment, Faithfulness(experiment.on(stopping)))(circuit.mask[None])
    assert judged.reaches(0.9) and abs(judged.together.value - circuit.history.stopping.value) < 1e-6


def test_no_elimination_is_done_twice(pico: Any, monkeypatch: pytest.MonkeyPatch):
    """If the judges refuse all it leads to, the circuit is run without each of its edges once on the same prompts, and no other is."""
    done: list[tuple[int, bytes]] = []
    without_each = Elimination.without_each

    def counted(self: Elimination, mask: Tensor, among: Tensor | None = None) -> dict[Place, float]:
        done.append((len(self.measure.clean), mask.numpy().tobytes()))
        return without_each(self, mask, among)

    monkeypatch.setattr(Elimination, "without_each", counted)
    monkeypatch.setattr(Ending, "_last_accepted", lambda ending, chain: 0)
    circuit = refined(pico)
    assert circuit.certificate is not None
    assert len({n_prompts for n_prompts, _ in done}) == len(done) == 2 and len({mask for _, mask in done}) == 1


def test_a_search_that_was_stopped_goes_on_to_the_same_circuit(pico: Any, whole: cs.Circuit, tmp_path: Any):
    """After any pass, with the same passes."""
    file = tmp_path / "search.checkpoint"

    def stop(circuit: cs.Circuit) -> None:
        assert circuit.history is not None
        if len(circuit.history.passes) in (1, 3):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            refined(pico, checkpoint=file, passed=stop)
    again = refined(pico, checkpoint=file)
    assert again.edges == whole.edges and again.history == whole.history and not file.exists()


def test_time_ends_the_search_and_it_can_go_on(pico: Any, whole: cs.Circuit, tmp_path: Any):
    """With no time at all the start is returned, marked as not complete; the checkpoint stays."""
    file = tmp_path / "search.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        refined(pico, checkpoint=file, passed=_interrupt)
    early = refined(pico, checkpoint=file, minutes=0.0)
    assert early.history is not None and not early.history.complete and file.exists()
    assert refined(pico, checkpoint=file).edges == whole.edges


def _interrupt(circuit: cs.Circuit) -> None:
    raise KeyboardInterrupt


def test_the_checkpoint_of_another_search_is_refused(pico: Any, tmp_path: Any):
    """With the reason."""
    file = tmp_path / "search.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        refined(pico, checkpoint=file, passed=_interrupt)
    with pytest.raises(InputError, match="other settings"):
        refined(pico, checkpoint=file, faithfulness=0.8)


def test_a_target_out_of_reach_is_said(pico: Any, monkeypatch: pytest.MonkeyPatch):
    """The best circuit is returned, with how far it is; as on a large model only a few edges are tried by exact runs."""
    monkeypatch.setattr(ending, "affordable_edges", lambda selection, forwards: 4)
    experiment, stopping, scores = pico
    circuit = cs.refine(
        experiment, experiment.task, scores, stopping, faithfulness=1.0, how=cs.Refine(passes=1, prompts=8)
    )
    assert circuit.history is not None and not reaches(circuit.history.stopping.value, 1.0)
    assert circuit.history.note.startswith("no circuit of faithfulness 1 was found: the best one ")
    assert f"{circuit.history.stopping.value:.3f}" in circuit.history.note
    assert circuit.certificate is not None and len(circuit.certificate.without) <= 4 < len(circuit)


def test_every_pass_has_new_prompts(pico: Any):
    """Of the selection's words alone; the same in every search with this seed."""
    experiment, *_ = pico
    prompts = PassPrompts(experiment, 16)
    first, second, again = (prompts.of_pass(number).task.prompt_digests() for number in (0, 1, 0))
    assert first == again and not set(first) & set(second) and len(set(first)) == 16


def test_rows_take_turns_where_no_prompts_can_be_written(pico: Any):
    """Every row once before any row again; all at once if they are few."""
    experiment, *_ = pico
    given = experiment.on(
        cs.Task.from_ids(experiment.task.clean, experiment.task.corrupt, experiment.task.answers, experiment.task.wrong)
    )
    prompts = PassPrompts(given, len(given.task) // 2)
    halves = [set(prompts.of_pass(number).task.prompt_digests()) for number in (0, 1)]
    assert not halves[0] & halves[1] and len(halves[0] | halves[1]) == 2 * (len(given.task) // 2)
    assert PassPrompts(given, 1000).of_pass(3) is given


@pytest.mark.parametrize(
    "knobs", [{"passes": 0}, {"prompts": 0}, {"patience": 0}, {"dropped": 1.0}, {"momentum": -0.1}]
)
def test_wrong_knobs_are_refused(knobs: dict[str, Any]):
    """By name."""
    with pytest.raises(InputError, match=next(iter(knobs))):
        cs.Refine(**knobs)
