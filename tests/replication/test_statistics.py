"""The numbers of a stability analysis, against closed forms and brute force."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy import stats

import circuitsearch as cs
from circuitsearch.models.planted import plant
from circuitsearch.replication import Classes
from circuitsearch.replication.agreement import Agreement, Rephrasing, jaccard
from circuitsearch.replication.classes import inclusion
from circuitsearch.replication.effects import adjusted, effect, effects_of


@pytest.mark.parametrize(("found", "searches"), [(0, 7), (7, 7), (3, 7), (1, 40)])
def test_inclusion_is_the_binomials_exact_interval(found: int, searches: int):
    """Its ends are where as few, or as many, would be found with a probability of half of 1 - confidence."""
    share = inclusion(found, searches, 0.9)
    assert share.value == found / searches
    if found:
        assert stats.binom.sf(found - 1, searches, share.low) == pytest.approx(0.05)
    if found < searches:
        assert stats.binom.cdf(found, searches, share.high) == pytest.approx(0.05)
    assert (share.low == 0) == (found == 0) and (share.high == 1) == (found == searches)


def test_every_variation_must_find_a_core_edge():
    """Nine of ten are core only if no variation finds it less often than asked for."""
    assert Classes(core=0.9).named((1.0, 0.9), 0.95) == "core"
    assert Classes(core=0.9).named((1.0, 0.8), 0.98) == "optional"
    assert Classes(optional=0.5).named((0.0, 0.6), 0.4) == "unstable"


def masks(n: int, seed: int, edges: int = 12) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(3, edges // 3, generator=generator) < 0.6 for _ in range(n)]


def of_sets(one: torch.Tensor, other: torch.Tensor) -> float:
    first, second = (set(map(tuple, mask.nonzero().tolist())) for mask in (one, other))
    return len(first & second) / len(first | second) if first | second else 1.0


def test_jaccard_is_that_of_sets():
    """Edges in both over edges in either, with two empty circuits alike; mean and least over pairs."""
    some = [*masks(4, 0), torch.zeros(3, 4, dtype=torch.bool), torch.zeros(3, 4, dtype=torch.bool)]
    expected = [[of_sets(one, other) for other in some] for one in some]
    assert np.allclose(jaccard(some), expected)
    pairs = [expected[i][j] for i, j in combinations(range(4), 2)]
    found = Agreement.among(some[:4], "parts")
    assert found.mean == pytest.approx(np.mean(pairs)) and found.least == pytest.approx(min(pairs))
    assert (found.count, found.smallest) == (4, min(int(mask.sum()) for mask in some[:4]))


def test_the_badge_is_at_point_eight():
    """A mean index of .8 is stable, one below is not."""
    first, second = torch.ones(1, 5, dtype=torch.bool), torch.tensor([[True] * 4 + [False]])
    assert Agreement.among([first, second], "parts").stable
    assert not Agreement.among([first[:, :4], second[:, 1:]], "parts").stable


def test_rephrasing_is_compared_by_every_exchange():
    """The difference of mean indices, and the share of exchanges of circuits with as large a one."""
    samples, rephrasings = masks(3, 1), masks(4, 2)
    both = [*samples, *rephrasings]

    def within(rows: tuple[int, ...]) -> float:
        return float(np.mean([of_sets(both[i], both[j]) for i, j in combinations(rows, 2)]))

    def difference(rows: tuple[int, ...]) -> float:
        return within(rows) - within(tuple(row for row in range(7) if row not in rows))

    seen, exchanged = difference((0, 1, 2)), [difference(rows) for rows in combinations(range(7), 3)]
    found = Rephrasing.between("parts", samples, "templates", rephrasings)
    assert found.difference == pytest.approx(seen)
    assert found.p == pytest.approx(np.mean([each >= seen - 1e-9 for each in exchanged]))


def test_p_values_are_adjusted_by_their_rank():
    """The least over larger ones of p times their number over the rank; what was not measured does not count."""
    ps = [0.01, 0.04, float("nan"), 0.03, 0.5]
    known = sorted(p for p in ps if p == p)
    by_hand = [min(min(4 * q / (known.index(q) + 1) for q in known if q >= p), 1) if p == p else p for p in ps]
    assert np.allclose(adjusted(ps), by_hand, equal_nan=True)
    assert np.isnan(adjusted([float("nan")])).all()


def test_p_of_no_effect_is_uniform():
    """Falls of mean 0 give p-values below each level as often as it says, and intervals that hold 0 in 95 of 100 cases."""
    drops = np.random.default_rng(0).normal(size=(2000, 12))
    found = [effect(row, 0.95) for row in drops]
    assert stats.kstest([each.p for each in found], "uniform").pvalue > 0.01
    assert np.mean([each.value.low <= 0 <= each.value.high for each in found]) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("drops", "p"), [([0.0] * 5, 1.0), ([2.0] * 5, 0.0)])
def test_equal_falls_leave_nothing_to_test(drops: list[float], p: float):
    """Without any spread p says only whether there is an effect."""
    found = effect(np.array(drops), 0.95)
    assert (found.value.low, found.value.high, found.p) == (drops[0], drops[0], p)


def test_one_prompt_has_no_interval():
    """Its ends and its p-value are not defined."""
    found = effect(np.array([1.0]), 0.95)
    assert found.value.value == 1 and np.isnan([found.value.low, found.p]).all()


def test_effects_are_exact_and_of_the_smallest_circuit_that_has_the_edge():
    """Against a run of the smaller circuit without the edge, one at a time; in the union of an OR no branch has an effect."""
    planted = plant("or", 3, n=6)
    experiment = cs.Experiment(planted.model, planted.task)
    graph = experiment.graph
    branches = [graph.edge_mask(edges) for edges in planted.sufficient]
    both = branches[0] | branches[1]
    edges = both.nonzero()
    found = effects_of(experiment, [both, *branches], edges, 0.95)
    for (row, column), each in zip(edges.tolist(), found, strict=True):
        own = next(mask for mask in branches if mask[row, column])
        without = own.clone()
        without[row, column] = False
        fall = experiment.evaluator.metric_of(own) - experiment.evaluator.metric_of(without)
        assert each.value.value == pytest.approx(float(fall.mean()), abs=1e-6) and each.value.value > 1
    alone = effects_of(experiment, [both], edges, 0.95)
    assert [abs(each.value.value) < 0.1 for each, (_, column) in zip(alone, edges.tolist(), strict=True)] == [
        graph.readers[column] != "logits" for _, column in edges.tolist()
    ]


def test_nothing_depends_on_the_order_of_circuits():
    """Agreement and effects are those of sets of circuits."""
    some = masks(3, 5)
    for order in product(range(3), repeat=3):
        if sorted(order) == [0, 1, 2]:
            assert Agreement.among([some[i] for i in order], "parts") == Agreement.among(some, "parts")
