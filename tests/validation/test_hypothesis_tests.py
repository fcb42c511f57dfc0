"""Hypothesis tests, completeness and certified edges: against brute force, and on models whose circuit is known."""

from __future__ import annotations

from itertools import combinations, permutations, product
from math import comb
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.models.planted import Design, Planted, plant
from circuitsearch.question import Question
from circuitsearch.reachability import prune
from circuitsearch.registry import CHECKS
from circuitsearch.validation import Report, Trial, binomial
from circuitsearch.validation.checks import (
    CertifiedEdges,
    Completeness,
    EdgeMinimality,
    Equivalence,
    HypothesisTests,
    Independence,
    PartialNecessity,
    Sufficiency,
)
from circuitsearch.validation.checks.certified_edges import radius
from circuitsearch.validation.checks.edge_minimality import random_path
from circuitsearch.validation.checks.independence import dependence, permutation_p
from circuitsearch.validation.significance import holm
from tests.setups import made_up_report

FEW = {"count": 45, "prompts": 8}
NAMES = ("equivalence", "independence", "edge_minimality", "sufficiency", "partial_necessity")


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Induction with a little noise, among distractors."""
    return plant("induction", 3, n=128, design=Design(noise=0.002, rotated=True, distractor_heads=3))


@pytest.fixture(scope="module")
def experiment(planted: Planted) -> cs.Experiment:
    return cs.Experiment(planted.model, planted.task)


def trial_of(experiment: cs.Experiment, edges: Any) -> Trial:
    return Trial(experiment, cs.Circuit.from_edges(experiment.graph, edges), n_resamples=50)


# ---- the numbers


def chance(n: int, share: float, counts: Any) -> float:
    """Of these numbers of successes, by the definition of the binomial distribution."""
    return sum(comb(n, count) * share**count * (1 - share) ** (n - count) for count in counts)


@pytest.mark.parametrize(("wins", "losses", "ties"), [(15, 15, 0), (21, 9, 0), (3, 25, 2), (0, 0, 30), (10, 9, 11)])
def test_equivalence_has_the_p_of_its_definition(wins: int, losses: int, ties: int):
    """Two one-sided sums, of which the larger counts, and the paper's two-sided sum."""
    n, far = 30, abs(wins - losses) / 2
    above = chance(n, 0.3, range(wins + ties // 2, n + 1))
    below = chance(n, 0.7, range(n - losses - ties // 2 + 1))
    assert binomial.equivalence_p(wins, losses, ties, 0.2) == pytest.approx(max(above, below))
    two_sided = chance(n, 0.7, [k for k in range(n + 1) if abs(k - n / 2) >= far])
    assert binomial.difference_p(wins, losses, ties, 0.2) == pytest.approx(two_sided)


@pytest.mark.parametrize("tied", [0, 0.1, 0.3, 0.59])
@pytest.mark.parametrize("n", [30, 31])
def test_equivalence_is_shown_by_mistake_at_most_at_the_level(tied: float, n: int):
    """Over every outcome of prompts that win, lose and tie, with the chance of a win and half a tie at the margin."""
    win = 0.3 - tied / 2
    mistaken = 0.0
    for wins, losses in product(range(n + 1), repeat=2):
        ties = n - wins - losses
        if ties >= 0 and binomial.equivalence_p(wins, losses, ties, 0.2) <= 0.05:
            mistaken += stats.multinomial.pmf([wins, losses, ties], n, [win, 1 - win - tied, tied])
    assert mistaken <= 0.05


def test_power_is_that_of_the_test():
    """Over all outcomes; and the smallest number of prompts is one less than enough."""
    shown = [k for k in range(101) if binomial.equivalence_p(k, 100 - k, 0, 0.1) <= 0.05]
    assert binomial.equivalence_power(100, 0.1, 0.05) == pytest.approx(chance(100, 0.5, shown))
    least = binomial.equivalence_needs(0.1, 0.05)
    powers = [binomial.equivalence_p(n // 2, n - n // 2, 0, 0.1) <= 0.05 for n in (least - 1, least)]
    assert powers == [False, True]
    share, count = binomial.detectable(40, 0.9, 0.05), int(binomial.critical(40, 0.9, 0.05))
    assert chance(40, share, range(count, 41)) == pytest.approx(0.8)
    assert chance(40, 0.9, range(count, 41)) <= 0.05 < chance(40, 0.9, range(count - 1, 41))
    assert 0.9 ** binomial.needed(0.9, 0.05) <= 0.05 < 0.9 ** (binomial.needed(0.9, 0.05) - 1)


def test_holm_rejects_what_closed_testing_rejects():
    """The corrected p is the largest of Bonferroni's over all sets of hypotheses with it."""
    p = np.random.default_rng(0).random(5) * [0.01, 0.05, 0.2, 1, 0.03]
    sets = [set(some) for size in range(1, 6) for some in combinations(range(5), size)]
    closed = [max(min(1, len(some) * min(p[list(some)])) for some in sets if each in some) for each in range(5)]
    assert holm(list(p)) == pytest.approx(closed)


def test_dependence_is_the_trace_of_its_definition():
    """HSIC is tr(KHLH), with kernels one value at a time; p is near that of all orders."""
    rng = np.random.default_rng(1)
    first = rng.standard_normal(6)
    second = first + rng.standard_normal(6)

    def kernel(values: np.ndarray) -> np.ndarray:
        width = np.median([abs(a - b) for a, b in combinations(values, 2)])
        return np.array([[np.exp(-(((a - b) / width) ** 2) / 2) for a in values] for b in values])

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        centre = np.eye(6) - 1 / 6
        return float(np.trace(kernel(a) @ centre @ kernel(b) @ centre))

    scale = np.sqrt(hsic(first, first) * hsic(second, second))
    assert dependence(first, second) == pytest.approx(hsic(first, second) / scale)
    found = hsic(first, second)
    exact = np.mean([hsic(first, second[list(order)]) >= found - 1e-12 for order in permutations(range(6))])
    assert permutation_p(first, second, 4000, 0) == pytest.approx(exact, abs=0.02)
    assert dependence(first, np.zeros(6)) != dependence(first, np.zeros(6))  # not defined


# ---- on a model whose circuit is known


def test_the_true_circuit_passes(planted: Planted, experiment: cs.Experiment):
    """Equivalent, sufficient, necessary, and all of its edges are needed; p of the family are Holm's."""
    tests = HypothesisTests(
        edge_minimality=EdgeMinimality(**FEW),
        sufficiency=Sufficiency(count=40, prompts=4),
        partial_necessity=PartialNecessity(**FEW),
    )
    found = tests.measure(trial_of(experiment, planted.edges))
    rows = {str(row["test"]): row for row in found.table}
    assert tuple(rows) == NAMES
    for name in ("equivalence", "edge_minimality", "sufficiency", "partial_necessity"):
        assert rows[name]["p_holm"] <= 0.05 and not str(rows[name]["decision"]).startswith("not"), name  # pyright: ignore
    p = [row["p"] for row in found.table]
    assert [row["p_holm"] for row in found.table] == pytest.approx(holm(p))  # pyright: ignore[reportArgumentType]
    assert "Holm" in found.lines[-1][1]
    again = Report.from_dict(made_up_report().adding(found).to_dict())
    assert again["hypothesis_tests"] == found


def test_a_circuit_without_an_edge_fails(planted: Planted, experiment: cs.Experiment):
    """It is neither equivalent nor nearer to the model than random circuits."""
    trial = trial_of(experiment, planted.edges[1:])
    for check in (Equivalence(), Sufficiency(count=29, prompts=4)):
        (row,) = check.measure(trial).table
        assert str(row["decision"]).startswith("not shown") and row["effect"] < 0.3  # pyright: ignore[reportOperatorIssue]
    (row,) = Equivalence().measure(trial).table
    assert row["difference_p"] < 1e-6 and row["losses"] == 128  # pyright: ignore[reportOperatorIssue]


def test_a_useless_edge_is_named(planted: Planted, experiment: cs.Experiment):
    """Each of the other edges is needed, and the change by each is that of a run without it."""
    trial = trial_of(experiment, [*planted.edges, ("embed", "logits")])
    found = EdgeMinimality(**FEW).measure(trial)
    first, *edges = found.table
    assert first["unneeded"] == ("embed->logits",) and str(first["decision"]).startswith("not shown")
    assert found.value == 0.75 and "embed->logits" in found.lines[0][1]
    run, mask = experiment.on(experiment.task.subset(range(8))).evaluator.metric_of, trial.circuit.mask
    for row in edges:
        writer, reader = str(row["edge"]).split("->")
        fewer = mask.clone()
        fewer[experiment.graph.find_edge((writer, reader))] = False
        assert row["change"] == pytest.approx(float((run(fewer) - run(mask)).abs().mean()), rel=1e-6, abs=1e-9)
    needed = {row["edge"]: row["p_holm"] <= 0.05 for row in edges}  # pyright: ignore[reportOperatorIssue]
    assert needed == {f"{writer}->{reader}": True for writer, reader in planted.edges} | {"embed->logits": False}


def test_edges_of_a_sample_have_an_interval(planted: Planted, experiment: cs.Experiment):
    """Only then: all edges of a circuit are no sample."""
    trial = trial_of(experiment, planted.edges)
    some, every = (EdgeMinimality(edges=edges, **FEW).measure(trial) for edges in (2, 3))
    assert some.table[0]["edges"] == 2 and some.interval == pytest.approx((0.158, 1), abs=1e-3)
    assert every.interval == (1, 1)


def test_what_is_left_of_the_model_depends_on_it(experiment: cs.Experiment):
    """Without an edge that does nothing the metric is the model's."""
    found = Independence().measure(trial_of(experiment, [("embed", "logits")]))
    (row,) = found.table
    assert row["p"] < 0.01 and row["effect"] > 0.9 and 0.2 < row["alternative"] < 0.5  # pyright: ignore[reportOperatorIssue]


# ---- completeness and certificates


def test_completeness_sees_a_missing_branch():
    """Of an OR: with one branch alone the circuit is faithful, and ablating that branch does nothing to the model."""
    either = plant("or", 3, n=16, design=Design(noise=0.002))
    experiment = cs.Experiment(either.model, either.task)
    whole = Completeness(prompts=8).measure(trial_of(experiment, either.edges))
    branch = trial_of(experiment, sorted(either.sufficient[0]))
    found = Completeness(prompts=16).measure(branch)
    assert whole.value < 0.01 and found.value > 0.95  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
    assert {row["kind"] for row in found.table} == {"random", "node", "port", "greedy"}
    row = next(row for row in found.table if row["set"] == "logits")
    removed = branch.circuit.mask.clone()
    removed[:, :-1] = False
    ((clean, ablated),) = experiment.evaluator.ends()
    for name, base in (("model", experiment.graph.mask), ("circuit", branch.circuit.mask)):
        plain = (experiment.evaluator.metric_of(base & ~removed) - ablated).mean() / (clean - ablated).mean()
        assert row[name] == pytest.approx(float(plain), abs=1e-6)


def test_greedy_sets_are_the_largest_of_each_step():
    """With all edges to choose from, the first step has the largest difference of single edges, each run alone."""
    either = plant("backup", 3, n=8)
    experiment = cs.Experiment(either.model, either.task)
    trial = trial_of(experiment, sorted(either.sufficient[0]))
    rows = [row for row in Completeness().measure(trial).table if row["kind"] == "greedy"]
    faithfulness, circuit = trial.faithfulness, trial.circuit.mask
    alone = []
    for row, column in circuit.nonzero().tolist():
        removed = torch.zeros_like(circuit)
        removed[row, column] = True
        pair = [faithfulness.measured_alone(base & ~removed).value for base in (experiment.graph.mask, circuit)]
        alone.append(abs(pair[0] - pair[1]))
    assert rows[0]["incompleteness"] == pytest.approx(max(alone), abs=1e-6)
    assert [row["n_edges"] for row in rows] == [1, 2]


def test_a_certified_vote_survives_every_deletion_within_its_radius():
    """By all subsets of 6 prompts and random decisions: deleting any few never turns the vote."""
    rng, deletion, n = np.random.default_rng(2), 0.8, 6
    sets = [frozenset(some) for size in range(n + 1) for some in combinations(range(n), size)]
    certified = 0
    for _ in range(200):
        decided = dict(zip(sets, rng.random(len(sets)) < 0.97, strict=True))

        def vote(present: frozenset[int], decided: dict[frozenset[int], bool] = decided) -> float:
            weight = {some: (1 - deletion) ** len(some) * deletion ** (len(present) - len(some)) for some in sets}
            return sum(weight[some] for some in sets if some <= present and decided[some])

        within = radius(vote(frozenset(range(n))), deletion) or 0
        certified += within > 0
        for gone in combinations(range(n), within):
            assert vote(frozenset(range(n)) - set(gone)) > 0.5
    assert certified > 100


def test_edges_are_certified_or_left_open(planted: Planted, experiment: cs.Experiment):
    """Needed, not needed, and open where the vote is near one half."""
    found = CertifiedEdges().measure(trial_of(experiment, [*planted.edges, ("embed", "logits")]))
    decisions = {row["edge"]: row["decision"] for row in found.table}
    assert decisions.pop("embed->logits") == "not needed" and set(decisions.values()) == {"needed"}
    assert found.value == 0.75 and found.table[0]["radius"] == 3
    (row,) = CertifiedEdges(subsets=100).found(["e"], [55]).table
    assert row["decision"] == "abstains" and row["radius"] is None


# ---- random paths, bad input, names


@pytest.mark.parametrize(
    "graph",
    [
        cs.Graph(3, 4, 4),
        cs.Graph(3, 4, 2),
        cs.Graph(2, 4, 4, granularity=cs.Granularity(merged_heads=True)),
        cs.Graph(2, 2, 2, granularity=cs.Granularity(spans=("IO", "END"))),
    ],
    ids=["heads", "groups", "merged", "spans"],
)
def test_random_paths_lead_from_the_embedding_to_the_logits(graph: cs.Graph):
    """Pruning removes none of their edges."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        path = random_path(graph, rng)
        mask = torch.zeros_like(graph.mask)
        mask[path[:, 0], path[:, 1]] = True
        assert (mask <= graph.mask).all() and torch.equal(prune(graph, mask), mask)


def test_too_few_observations_are_named(planted: Planted, experiment: cs.Experiment):
    """The test is left out, with the number that it takes, and the correction is over the others."""
    few = Trial(experiment.on(planted.task.subset(range(3))), trial_of(experiment, planted.edges).circuit)
    for check, sentence in (
        (Equivalence(), "3 prompts cannot show equivalence within 0.1 of 1/2: it takes 76 or more"),
        (Independence(), "3 prompts cannot be ordered in enough ways for the level 0.05: it takes 4 or more"),
        (Sufficiency(count=28), "28 random circuits cannot show a share above 0.9: it takes 29 or more"),
        (EdgeMinimality(count=10), "10 random edges cannot show it for 3 edges: it takes 39 or more"),
    ):
        found = check.measure(few)
        assert found.value is None and found.lines[0][1] == f"left out: {sentence}"
    tests = HypothesisTests(edge_minimality=EdgeMinimality(count=10), sufficiency=Sufficiency(count=28), partial_necessity=PartialNecessity(count=40))  # fmt: skip
    table = tests.measure(few).table
    assert [row["p_holm"] is None for row in table] == [True, True, True, True, False]
    assert table[-1]["p_holm"] == table[-1]["p"]


def test_a_circuit_larger_than_its_complement_has_no_random_ones(experiment: cs.Experiment):
    """Nor has one without edges; the whole model has no inflated circuits."""
    whole = Trial(experiment, cs.Circuit(experiment.graph, experiment.graph.mask))
    empty = trial_of(experiment, [])
    for trial, check in ((whole, PartialNecessity()), (empty, Sufficiency()), (whole, EdgeMinimality(count=100, edges=5, prompts=4)), (empty, EdgeMinimality())):  # fmt: skip
        assert check.measure(trial).value is None
    assert Completeness().measure(empty).value is None and CertifiedEdges().measure(empty).value is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Equivalence(margin=0.5), "margin must be between 0 and .5, not 0.5"),
        (lambda: Equivalence(level=0.0), "Equivalence's level must be between 0 and 1, not 0.0"),
        (lambda: Equivalence(tie=-0.1), "tie must be 0 or more"),
        (lambda: Independence(permutations=10), "permutations must be 20 or more for the level 0.05, not 10"),
        (lambda: Sufficiency(quantile=1.0), "Sufficiency's quantile must be between 0 and 1"),
        (lambda: EdgeMinimality(count=0), "number of random edges must be 1 or more, not 0"),
        (lambda: Completeness(steps=0), "number of steps must be 1 or more"),
        (lambda: CertifiedEdges(deletion=1.0), "deletion must be between 0 and 1"),
        (lambda: CertifiedEdges(target=2.0), "must be a number in"),
    ],
)
def test_wrong_knobs_are_refused(make: Any, sentence: str):
    """In a sentence."""
    with pytest.raises(InputError, match=sentence):
        make()


def test_all_have_names():
    """On the command line too, with knobs."""
    for name in ("hypothesis-tests", *NAMES, "completeness", "certified-edges"):
        made = CHECKS.read(name)
        assert CHECKS.read(repr(made)) == made
    asked = Question(task="ioi", checks=("HypothesisTests(equivalence=Equivalence(margin=0.2))",)).checks_asked
    assert asked[0].equivalence.margin == 0.2
