"""Answers of several tokens: the engine reads all of them, and gives what a plain run of each prompt with its answer gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from circuitsearch.engine.circuits import Evaluator
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.granularity import Granularity
from circuitsearch.instruments import direct_logit
from circuitsearch.metrics import accuracy, answer_log_prob, neg_kl, top1
from circuitsearch.registry import METRICS
from circuitsearch.task import Task
from tests.conftest import granularity_of, random_task, tiny_model, verified_once
from tests.engine.plain import PlainRun, plain_writes, spans_of
from tests.engine.test_circuit_gradient import assert_is_derivative, assert_scores_are_those_of_runs, on_all
from tests.engine.test_granularity import random_masks

SPANS = Granularity(spans=("S", "END"))


def long_task(lengths: tuple[int, ...] = (2, 3, 1, 3, 2), seed: int = 3) -> Task:
    """Prompts of two lengths, with answers of these lengths; one differs from its counterfactual at its last token alone."""
    generator = torch.Generator().manual_seed(seed)
    clean = [torch.randint(1, 40, (5 + row % 2,), generator=generator) for row in range(len(lengths))]
    corrupt = [ids.clone() for ids in clean]
    for row, ids in enumerate(corrupt):
        at = len(ids) - 1 if row == 1 else 2
        ids[at] = (ids[at] + 7) % 40
    answers = [torch.randint(1, 40, (length,), generator=generator) for length in lengths]
    spans = [{"S": (2,), "END": (len(ids) - 1,)} for ids in clean]
    return Task.from_ids(clean, corrupt, answers, None, spans=spans)


def own_log_probs(model, task: Task, side: str = "clean") -> torch.Tensor:
    """From the model's own logits, prompt by prompt: the sum of the log probabilities of the answer's tokens (N,)."""
    values = []
    for ids, answer in zip(getattr(task, side), task.answers, strict=True):
        logs = model(ids[None]).logits[0].log_softmax(-1)
        first = len(ids) - len(answer)
        values.append(sum(logs[first + place, token] for place, token in enumerate(answer.tolist())))
    return torch.stack(values)


def plain(model, task: Task, kept: torch.Tensor, granularity=None) -> torch.Tensor:
    """The answers' log probabilities (N,) in a circuit that is run by hand, one prompt and one port at a time."""
    granularity = granularity or granularity_of(model)
    values = []
    for row, (clean, corrupt, answer) in enumerate(zip(task.clean, task.corrupt, task.answers, strict=True)):
        ablated = plain_writes(model, corrupt, granularity)
        run = PlainRun(model, clean, kept, ablated, granularity, spans_of(task, row, granularity))
        logs = run.logits[len(clean) - len(answer) :].log_softmax(-1)  # (K, vocabulary)
        values.append(logs[torch.arange(len(answer)), answer].sum())
    return torch.stack(values)


def test_the_ends_are_the_models_own(every_family):
    """Of the model the metric is what its own logits give; with every edge ablated, what they give after the corrupt prompt."""
    task = long_task()
    evaluator = Evaluator(verified_once(every_family), task)
    ((clean, ablated),) = evaluator.ends()
    assert (clean - own_log_probs(every_family, task)).abs().max() < 1e-10
    assert (ablated - own_log_probs(every_family, task, "corrupt")).abs().max() < 1e-10


def test_circuits_are_those_run_by_hand(any_model):
    """Replay and the weighted pass give a circuit the metric of a run with every port fed by a sum of its own."""
    task = long_task()
    evaluator = Evaluator(verified_once(any_model), task)
    masks = random_masks(evaluator.described.graph, (0.3, 0.8))
    (joint,) = evaluator.circuits(masks)
    for mask, found in zip(masks, joint, strict=True):
        slow = plain(any_model, task, mask)
        assert (found - slow).abs().max() < 1e-10
        assert (on_all(evaluator, mask)[0] - slow).abs().max() < 1e-10


@pytest.mark.parametrize("rows", [[1], [0, 1, 2]])
def test_with_nodes_of_spans(rows: list[int]):
    """Where spans have nodes of their own, too, also if only the positions that are read differ between the prompts."""
    model, task = tiny_model("llama-grouped"), long_task().subset(rows)
    evaluator = Evaluator(verified_once(model, SPANS), task)
    masks = random_masks(evaluator.described.graph, (0.4, 0.9))
    (joint,) = evaluator.circuits(masks)
    for mask, found in zip(masks, joint, strict=True):
        assert (found - plain(model, task, mask, SPANS)).abs().max() < 1e-10
    assert_is_derivative(evaluator, masks[0], count=2)


def test_scores_are_the_derivative_and_exact_effects_the_fall(any_model):
    """EAP is the gradient at the full model, which agrees with finite differences; an exact effect is the fall of the metric."""
    task = long_task()
    experiment = Experiment(any_model, task, granularity=granularity_of(any_model))
    assert (experiment.evaluator.clean()[0] - own_log_probs(any_model, task)).abs().max() < 1e-10
    assert_scores_are_those_of_runs(experiment, lambda mask: plain(any_model, task, mask))


def test_other_metrics_of_long_answers():
    """The divergence is a mean over the answer's positions; a model is right if it would say each of the answer's tokens."""
    model, task = tiny_model("gpt2"), long_task((3,))
    ids, k = task.clean[0], 3
    logits = model(ids[None]).logits[:, -k:]
    said = logits.argmax(-1)[0]
    batch = next(task.batches())
    assert accuracy(logits, batch) == top1(logits, batch) == float(torch.equal(said, task.answers[0]))
    own = Task.from_ids([ids[: -k + 1]], [task.corrupt[0][: -k + 1]], [said], None)
    first = next(own.batches())
    assert top1(logits[:, :1].expand(-1, k, -1), first) == float((said == said[0]).all())
    other = Evaluator(verified_once(model), task)
    ((clean, ablated),) = other.ends(neg_kl)
    p, q = (model(each[0][None]).logits[0, -k:].log_softmax(-1) for each in (task.clean, task.corrupt))
    assert abs(float(clean)) < 1e-12 and abs(float(ablated) - float((p.exp() * (q - p)).sum(-1).mean())) < 1e-10


def test_an_answer_of_one_token_is_its_log_likelihood(gpt2):
    """Then the metric is that of log_likelihood, and reads one position."""
    task = random_task()
    forced = Task.from_ids(task.clean, task.corrupt, [ids[:1] for ids in task.answers], None)
    own = torch.stack(
        [gpt2(i[None]).logits[0, -1].log_softmax(-1)[a[0]] for i, a in zip(task.clean, task.answers, strict=True)]
    )
    assert (Evaluator(verified_once(gpt2), forced).clean()[0] - own).abs().max() < 1e-10


def test_what_long_answers_refuse(gpt2):
    """Metrics and instruments of one position, wrong answers and a position of one's own each get a sentence."""
    task = long_task()
    for metric in ("logit_diff", "prob_diff", "log_likelihood"):
        with pytest.raises(InputError, match="answer_log_prob"):
            Experiment(gpt2, replace(task, metric=METRICS.read(metric)))
    with pytest.raises(InputError, match="teacher-forced answers"):
        Experiment(gpt2, replace(random_task(), metric=answer_log_prob))
    with pytest.raises(InputError, match="one position a prompt"):
        direct_logit(gpt2, task)
    with pytest.raises(InputError, match="leave the wrong answers out"):
        replace(task, wrong=task.answers)
    with pytest.raises(InputError, match="leave out position"):
        Task.from_ids([[1, 2]], [[3, 2]], [[4, 5]], None, position=[1])
    with pytest.raises(InputError, match="the answer is empty"):
        Task.from_ids([[1, 2]], [[3, 2]], [[]], None)
