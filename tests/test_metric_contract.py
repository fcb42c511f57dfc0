"""What a metric is checked for before any run, and what identifies it."""

from __future__ import annotations

import functools

import pytest
import torch

import circuitsearch as cs
from circuitsearch import metrics
from circuitsearch.errors import InputError
from circuitsearch.metric_contract import check_metric, check_metric_suits, metric_digest
from circuitsearch.metrics import logit_diff, metric_name
from circuitsearch.registry import METRICS

V = 40
TASK = cs.Task.from_ids(
    [[1, 2, 3], [1, 4, 3], [1, 6, 3]], [[1, 5, 3]] * 3, [[6, 7], [8], [9]], [[10], [11, 12], [13]], spans=[{"S": 1}] * 3
)
BATCH = next(TASK.batches())
OF_ONE_POSITION = [METRICS.load(name) for name in METRICS.names() if name != "answer_log_prob"]
ONE = next(TASK.subset([0]).batches())


class Weighted:
    """A callable object as metric."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, logits, batch):
        return self.weight * logit_diff(logits, batch)


def times(factor: float):
    """Metrics of one name that differ in what they close over."""

    def metric(logits, batch):
        return factor * logit_diff(logits, batch)

    return metric


calls = iter(range(10**6))

BROKEN = {
    "mean": (lambda logits, batch: logit_diff(logits, batch).mean(), "one number for the whole batch"),
    "expanded mean": (lambda logits, batch: logit_diff(logits, batch).mean().expand(len(batch)), "mixes prompts"),
    "centred": (lambda logits, batch: logit_diff(logits, batch) - logit_diff(logits, batch)[-1], "mixes prompts"),
    "share of right ones": (
        lambda logits, batch: metrics.accuracy(logits, batch).mean().expand(len(batch)),
        "mixes prompts",
    ),
    "wide": (lambda logits, batch: logits, r"the shape \(3, 40\) for 3 prompts"),
    "whole numbers": (lambda logits, batch: logits.argmax(-1), "returns torch.int64"),
    "no tensor": (lambda logits, batch: 1.0, "returns a float, not a tensor"),
    "nothing": (lambda logits, batch: None, "returns a NoneType"),
    "constant": (lambda logits, batch: torch.ones(len(batch)), "does not depend on the logits"),
    "clean logits only": (lambda logits, batch: batch.clean_logits[:, 0], "does not depend on the logits"),
    "NaN": (lambda logits, batch: logits[:, 0].log(), "gives NaN or infinity"),
    "random": (lambda logits, batch: logits[:, 0] + next(calls), "gives other values when it is called again"),
    "raises": (lambda logits, batch: logits[:, 10**6], r"fails on the task's prompts \(IndexError: "),
}


@pytest.mark.parametrize(("metric", "says"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_one_number_a_prompt_from_its_logits_is_refused(metric, says):
    """Each fault is one short sentence that names the metric."""
    with pytest.raises(InputError, match=says) as caught:
        check_metric(metric, BATCH, V)
    assert "'<lambda>'" in str(caught.value) and len(str(caught.value)) <= 300


@pytest.mark.parametrize("batch", [BATCH, ONE], ids=["three prompts", "one prompt"])
@pytest.mark.parametrize(
    "metric",
    [
        *OF_ONE_POSITION,
        functools.partial(logit_diff),
        Weighted(2.0),
        times(-1.0),
        lambda x, _: x.float()[:, 3],
    ],
)
def test_usable_metrics_pass(metric, batch):
    """Every metric of the package, partials, objects and functions are taken, whatever the batch's size."""
    check_metric(metric, batch, V)


FORCED = next(cs.Task.from_ids([[1, 2, 3]] * 2, [[1, 5, 3]] * 2, [[4, 6], [7, 8]], None).batches())


@pytest.mark.parametrize("name", ["answer_log_prob", "neg_kl", "accuracy", "top1"])
def test_metrics_of_long_answers_pass(name):
    """Metrics that read every token of an answer are taken for teacher-forced tasks, and have a digest there."""
    check_metric(METRICS.load(name), FORCED, V)
    assert len(metric_digest(METRICS.load(name), FORCED, V)) == 64


def test_a_batch_of_one_prompt_does_not_hide_a_mean():
    """A mean over one prompt is that prompt's value, so the check repeats the prompt."""
    with pytest.raises(InputError, match="mixes prompts"):
        check_metric(BROKEN["expanded mean"][0], ONE, V)


def test_inference_mode_is_no_hindrance():
    """The gradient is checked even where torch is told to record none."""
    with torch.inference_mode():
        check_metric(logit_diff, BATCH, V, needs_gradient=True)
        assert metric_digest(logit_diff, BATCH, V)


ONE_CLEAN_GRADIENT = [
    cs.EAP(),
    cs.Conductance(steps=1),
    cs.Ensemble((cs.EAP(), cs.Exact())),
    cs.RelP(),
    cs.GIM(),
    cs.QKFix(cs.EAP()),
    cs.Recheck(cs.EAP()),
]
SEVERAL_GRADIENTS = [
    cs.EAPIG(),
    cs.Conductance(),
    cs.Matryoshka(),
    cs.EAPIGActivations(),
    cs.CleanCorrupt(),
    cs.QKFix(cs.EAPIG()),
    cs.Recheck(),
]


@pytest.mark.parametrize("method", ONE_CLEAN_GRADIENT + SEVERAL_GRADIENTS, ids=repr)
@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.top1, lambda x, b: logit_diff(x.detach(), b)])
def test_no_gradient_method_takes_a_metric_without_a_gradient(method, metric):
    """Accuracies have none, whatever the method does with it; the sentence says what to use."""
    with pytest.raises(InputError, match=r"has no gradient.* use the metric logit_diff, or the method Exact\(\)"):
        check_metric_suits(metric, method, BATCH, V)
    check_metric_suits(metric, cs.Exact(), BATCH, V)


@pytest.mark.parametrize("method", ONE_CLEAN_GRADIENT, ids=repr)
def test_a_divergence_has_no_gradient_at_the_clean_run(method):
    """It is at its minimum there, so methods that look there alone would rank rounding."""
    with pytest.raises(InputError, match="'neg_kl' is zero at the clean run"):
        check_metric_suits(metrics.neg_kl, method, BATCH, V)
    for metric in (logit_diff, metrics.prob_diff, metrics.log_likelihood):
        check_metric_suits(metric, method, BATCH, V)


@pytest.mark.parametrize("method", SEVERAL_GRADIENTS, ids=repr)
def test_a_divergence_has_a_gradient_elsewhere(method):
    """Methods that look at other runs as well take it."""
    check_metric_suits(metrics.neg_kl, method, BATCH, V)


def test_a_digest_tells_metrics_of_one_name_apart():
    """What a metric does counts, in whatever it closes over; making it anew changes nothing."""
    digests = [metric_digest(metric, BATCH, V) for metric in (times(1.0), times(10.0), times(1.0))]
    assert digests[0] == digests[2] != digests[1]
    weighted = [metric_digest(Weighted(weight), BATCH, V) for weight in (1.0, 1.001)]
    assert weighted[0] != weighted[1]
    assert len({metric_digest(metric, BATCH, V) for metric in OF_ONE_POSITION}) == len(OF_ONE_POSITION)


def test_a_digest_does_not_depend_on_the_prompts():
    """Prompts of the search and held-out ones give a metric the same identity."""
    assert metric_digest(logit_diff, BATCH, V) == metric_digest(logit_diff, ONE, V)


def test_digests_stay_the_same_from_version_to_version():
    """A saved digest is good on another machine and later."""
    assert metric_digest(logit_diff, BATCH, V)[:16] == "42ab1f0bc8e77d7c"


def test_a_metric_that_needs_the_tasks_own_prompts_has_a_digest():
    """One that indexes a third right answer fails on made-up prompts of one or of three padded ones."""
    wide = next(cs.Task.from_ids([[1, 2]], [[1, 3]], [[4, 5, 6, 7]], [[8]]).batches())
    fourth = [lambda x, b, k=k: k * x.gather(1, b.answers[:, 3:4])[:, 0] for k in (1, 2)]
    assert metric_digest(fourth[0], wide, V) != metric_digest(fourth[1], wide, V)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_metric_with_weights_takes_its_own_dtype(dtype):
    """A direction of the model's dtype multiplies logits of that dtype alone; it is checked and told apart so."""
    digests = []
    for token in (3, 4):
        weight = torch.zeros(V, dtype=dtype)
        weight[token] = 1.0
        probe = lambda logits, batch, weight=weight: logits @ weight  # noqa: E731
        check_metric(probe, BATCH, V, needs_gradient=True)
        digests.append(metric_digest(probe, BATCH, V))
    assert digests[0] != digests[1]


def test_a_metric_of_a_span_has_a_digest():
    """Spans that the task names are named in the made-up prompts as well."""

    def at_span(logits, batch):
        ids = torch.stack([row[spans["S"][0]] for row, spans in zip(batch.clean, batch.spans, strict=True)])
        return logits.gather(1, ids[:, None])[:, 0]

    check_metric(at_span, BATCH, V)
    assert metric_digest(at_span, BATCH, V) == metric_digest(at_span, ONE, V)


def test_every_metric_has_a_name():
    """Functions, partials of partials and objects alike."""
    nested = functools.partial(functools.partial(Weighted(1.0)))
    assert [metric_name(metric) for metric in (logit_diff, functools.partial(logit_diff), Weighted(1.0), nested)] == [
        "logit_diff",
        "partial(logit_diff)",
        "Weighted",
        "partial(Weighted)",
    ]
