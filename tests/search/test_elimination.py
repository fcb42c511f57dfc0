"""How the smallest circuit is reached: which prefix, which edge goes first, ties, batches; against one edge at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, LlamaConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.search import smallest_prefix
from circuitsearch.search.minimal import Elimination
from tests.conftest import LLAMA_LIKE, VOCABULARY, random_task
from tests.search.test_search import doable_task, made_up
from tests.validation.by_hand import Plain, corrupt_writes, logit_diff, pruned, ratio, strongest

Edges = frozenset[tuple[int, int]]
Worth = Callable[[Edges], float]  # of a circuit: its faithfulness


def edges_of(mask: Tensor) -> Edges:
    """Rows and columns of a mask."""
    return frozenset((row, column) for row, column in mask.nonzero().tolist())


def fewer(graph: Graph, edges: Edges, edge: tuple[int, int]) -> Edges:
    """Without one edge and what is then on no path."""
    return edges_of(pruned(graph, edges - {edge}))


def near_one(value: float, target: float) -> bool:
    """Within 1 - target of 1, on either side."""
    return target - 1e-6 <= value <= 2 - target + 1e-6


def one_by_one(graph: Graph, edges: Edges, worth: Worth, target: float) -> Edges:
    """In rounds: of the edges without which the target is reached, remove each that can still go, the least changing first."""
    while True:
        without = {edge: worth(fewer(graph, edges, edge)) for edge in sorted(edges)}
        removable = [edge for edge, value in without.items() if near_one(value, target)]
        if not removable:
            return edges
        current = worth(edges)
        # a stable sort: ties go by row, then by column
        for edge in sorted(removable, key=lambda edge, without=without, current=current: abs(without[edge] - current)):
            if edge in edges and near_one(worth(rest := fewer(graph, edges, edge)), target):
                edges = rest


def first_prefix(graph: Graph, values: Tensor, worth: Worth, target: float) -> Edges:
    """The first size of 1, 2, 3 ... growing by a quarter that reaches the target, or one between it and the size before."""

    def prefix(size: int) -> Edges:
        return edges_of(strongest(graph, values, size))

    def reaches(size: int) -> bool:
        return bool(prefix(size)) and near_one(worth(prefix(size)), target)

    before, size = 0, 1
    while not reaches(size):
        assert size < graph.n_edges
        before, size = size, min(max(size + 1, size * 5 // 4), graph.n_edges)
    return prefix(next(smaller for smaller in range(before + 1, size + 1) if reaches(smaller)))


class MadeUp:
    """Stands in for measuring faithfulness: the sum of whole weights of the edges that are kept, over that of all."""

    def __init__(self, graph: Graph, seed: int, largest: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.graph, self.calls = graph, []
        self.weights = torch.randint(1, largest + 1, graph.mask.shape, generator=generator) * graph.mask

    def __call__(self, masks: Tensor, near: Tensor | None = None) -> Tensor:
        self.calls.append(masks)
        return (masks * self.weights).sum((1, 2)).double() / int(self.weights.sum())

    def worth(self, edges: Edges) -> float:
        return sum(int(self.weights[edge]) for edge in edges) / int(self.weights.sum())


@pytest.mark.parametrize("largest", [1, 3, 1000], ids=["all-tied", "some-tied", "none-tied"])
@pytest.mark.parametrize("seed", range(3))
def test_batches_remove_the_edges_that_one_by_one_removes(seed, largest):
    """On worths that grow with every edge, with ties, for targets that leave few, some and most of the edges."""
    graph = Graph(2, 2, 2)
    measure = MadeUp(graph, seed, largest)
    for target in (0.1, 0.5, 0.8, 1.0):
        gone: list[tuple[int, int]] = []
        mask, without = Elimination(measure, target).shrunk(graph.mask, lambda *step, gone=gone: gone.append(step))  # pyright: ignore[reportArgumentType]
        expected = one_by_one(graph, edges_of(graph.mask), measure.worth, target)
        assert edges_of(mask) == expected
        assert without == {edge: measure.worth(fewer(graph, expected, edge)) for edge in expected}
        assert gone[-1] == (graph.n_edges, graph.n_edges)
        assert max([0, *(done for done, _ in gone[:-1])]) == graph.n_edges - len(expected)


def test_sizes_grow_by_a_quarter():
    """Where only all edges reach the target, these prefixes are measured, and then those between the last two."""
    graph = Graph(2, 2, 2)
    measure, scores = MadeUp(graph, 0, 1), made_up(graph, 0)
    Elimination(measure, 1.0).smallest_prefix(scores.ranking())  # pyright: ignore[reportArgumentType]
    sizes = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 33, 41, 46, 42, 43, 44, 45]
    expected = [mask for mask in (strongest(graph, scores.values, size) for size in sizes) if mask.any()]
    assert [edges_of(mask) for masks in measure.calls for mask in masks] == list(map(edges_of, expected))


def test_many_edges_are_removed_in_few_batches():
    """Batches grow while removing succeeds: thousands of edges that do nothing take some dozens of them."""
    graph = Graph(6, 8, 8)
    measure = MadeUp(graph, 0, 1)
    measure.weights = torch.zeros_like(measure.weights)
    measure.weights[0, -1] = 1
    mask, _ = Elimination(measure, 1.0).shrunk(graph.mask, lambda done, total: None)  # pyright: ignore[reportArgumentType]
    assert graph.n_edges > 3000 and edges_of(mask) == {(0, len(graph.readers) - 1)}
    assert len(measure.calls) < 60 and max(len(masks) for masks in measure.calls[2:]) <= 256


@pytest.mark.parametrize("seed", range(4))
def test_the_prefix_is_the_first_to_reach_the_target(seed):
    """Among sizes that grow by a quarter, then among all sizes down to the one before."""
    graph = Graph(2, 2, 2)
    measure, values = MadeUp(graph, seed, 9), made_up(graph, seed).values
    ranking = replace(made_up(graph, seed), values=values).ranking()
    for target in (0.05, 0.3, 0.6, 0.9, 1.0):
        found = Elimination(measure, target).smallest_prefix(ranking)  # pyright: ignore[reportArgumentType]
        assert edges_of(found) == first_prefix(graph, values, measure.worth, target)


class PlainWorth:
    """Faithfulness of circuits of a model by plain runs, each measured once."""

    def __init__(self, model: Any, task: cs.Task, graph: Graph) -> None:
        self.plain, self.nothing = Plain(model, task, corrupt_writes(model, task)), torch.zeros_like(graph.mask)
        self.known: dict[Edges, float] = {}
        self.clean = self.plain.each(logit_diff, self.plain.clean())
        self.ablated = self._metric(frozenset())

    def _metric(self, edges: Edges) -> list[float]:
        mask = self.nothing.clone()
        for edge in edges:
            mask[edge] = True
        return self.plain.each(logit_diff, self.plain.circuit(mask))

    def __call__(self, edges: Edges) -> float:
        if edges not in self.known:
            self.known[edges] = ratio(self._metric(edges), self.clean, self.ablated)
        return self.known[edges]


SMALLER: dict[str, Any] = dict(hidden_size=8, intermediate_size=16, num_attention_heads=2)
SMALL = {
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_positions=16, n_embd=8, n_layer=2, n_head=2, bos_token_id=None, eos_token_id=None
    ),
    "llama-grouped": LlamaConfig(**{**LLAMA_LIKE, **SMALLER}, num_key_value_heads=1),
}


@pytest.fixture(scope="module", params=SMALL)
def small(request):
    """A model of few edges, prompts that it does, and plain measurements."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(SMALL[request.param]).eval().requires_grad_(False).double()
    for parameter in model.parameters():
        parameter.add_(0.4 * torch.randn(parameter.shape, dtype=torch.float64))
    task = doable_task(model, random_task(n=2, length=5, differs_at=2))
    scores = cs.score(model, task, cs.EAP())
    return model, task, scores, PlainWorth(model, task, scores.graph)


@pytest.mark.parametrize("target", [0.5, 0.85])
def test_minimal_is_the_prefix_without_what_can_go(small, target):
    """On real models, from a ranking that means nothing, so that much must go, and with the certificate by plain runs."""
    model, task, scores, worth = small
    graph = scores.graph
    ranked = replace(scores, values=made_up(graph, 7).values)
    start = first_prefix(graph, ranked.values, worth, target)
    assert edges_of(smallest_prefix(model, task, ranked, target).mask) == start
    circuit = cs.minimal(model, task, ranked, target)
    expected = one_by_one(graph, start, worth, target)
    assert edges_of(circuit.mask) == expected and len(expected) < len(start)
    certificate = circuit.certificate
    assert certificate is not None and certificate.target == target
    assert certificate.faithfulness == pytest.approx(worth(expected), abs=1e-9)
    by_hand = {
        f"{graph.writers[row]}->{graph.readers[column]}": worth(fewer(graph, expected, (row, column)))
        for row, column in expected
    }
    assert certificate.without == pytest.approx(by_hand, abs=1e-9)


def test_minimal_takes_the_smaller_of_two_rankings(small):
    """Where edges were rechecked, the circuit comes from the ranking that gives fewer edges, whichever it is."""
    model, task, scores, worth = small
    graph = scores.graph
    first, second = (made_up(graph, seed).values for seed in (0, 1))
    found = [one_by_one(graph, first_prefix(graph, values, worth, 0.4), worth, 0.4) for values in (first, second)]
    assert len(found[0]) > len(found[1])
    for values, estimate in ((first, second), (second, first)):
        circuit = cs.minimal(model, task, replace(scores, values=values, estimate=estimate), 0.4)
        assert edges_of(circuit.mask) == found[1]
        assert circuit.scores is values


def test_a_target_that_no_scored_edges_reach_is_refused(small):
    """With only edges into one port scored; the sentence says how many were."""
    model, task, scores, _ = small
    values = torch.full_like(scores.values, torch.nan)
    values[0, 0] = 1.0
    with pytest.raises(InputError, match=r"no set of the 1 scored edges reaches a faithfulness of 0\.9"):
        cs.minimal(model, task, replace(scores, values=values))
