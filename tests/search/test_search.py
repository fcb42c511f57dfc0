"""From scores to circuits."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace

import networkx as nx
import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, score
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.methods import EAPIG, Exact
from circuitsearch.reachability import components, prune
from circuitsearch.scores import Scores
from circuitsearch.search import greedy, minimal, threshold, top
from circuitsearch.search.minimal import Elimination
from circuitsearch.target import reaches
from circuitsearch.task import Task
from tests.conftest import random_task
from tests.validation.by_hand import pruned


def made_up(graph: Graph, seed: int = 0) -> Scores:
    """Random scores on a graph."""
    values = torch.randn(graph.mask.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Scores(graph, values * graph.mask)


@pytest.fixture
def scores() -> Scores:
    """Random scores on a graph of three blocks."""
    return made_up(Graph(3, 4, 2))


def one_by_one(scores: Scores) -> Iterator[tuple[int, int]]:
    """Edges as greedy takes them, from one heap of all that are on offer: its oracle."""
    graph, strength = scores.graph, scores.values.abs()
    heap: list[tuple[float, int, int]] = []
    opened: set[str] = set()

    def open_reader(reader: str) -> None:
        if reader not in opened:
            opened.add(reader)
            column = graph.reader_index[reader]
            for row in scores.scored[:, column].nonzero().flatten().tolist():
                heapq.heappush(heap, (-float(strength[row, column]), row, column))

    open_reader("logits")
    while heap:
        _, row, column = heapq.heappop(heap)
        yield row, column
        for reader in graph.readers:
            if graph.writers[row] in components(graph, reader):
                open_reader(reader)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_takes_edges_as_one_heap_of_all_would(seed):
    """In whatever sizes, with ties, with edges that were not scored, and where experts share a router."""
    graph = Graph(2, 4, 2) if seed % 2 else Graph(3, 2, 2, blocks=("mixer>mlp", "heads+mlp", "heads>experts:3"))
    scores = made_up(graph, seed)
    values = (2 * scores.values).round() if seed > 1 else scores.values.clone()
    values[::3, ::2] = torch.nan
    scores = replace(scores, values=values)
    order = list(one_by_one(scores))
    for n in (1, 2, 5, 17, 60, len(order) - 1, len(order), len(order) + 9):
        mask = torch.zeros_like(graph.mask)
        rows, columns = torch.tensor(order[:n]).T
        mask[rows, columns] = True
        assert torch.equal(greedy(scores, n).mask, prune(graph, mask))


def test_greedy_takes_equal_edges_by_their_place(scores):
    """Where all edges are equally strong there is no level that leaves fewer than all."""
    scores = replace(scores, values=torch.ones_like(scores.values))
    order = list(one_by_one(scores))
    for n in (1, 3, 50):
        assert torch.equal(greedy(scores, n).mask, pruned(scores.graph, order[:n]))


def doable_task(model, task: Task | None = None) -> Task:
    """Prompts, random ones by default, whose right answers are those that the clean prompts favour, and are likelier."""
    task = task or random_task(n=6)
    pairs = []
    for clean, corrupt in zip(task.clean, task.corrupt, strict=True):
        logits, other = (model(ids[None]).logits[0, -1] for ids in (clean, corrupt))
        right = int((logits - other).argmax())
        wrong = torch.where(logits < logits[right], logits - other, torch.inf)
        pairs.append((right, int(wrong.argmin())))
    return Task.from_ids(task.clean, task.corrupt, *zip(*pairs, strict=True), name="doable")


@pytest.mark.parametrize("search", [lambda s: top(s, 40), lambda s: greedy(s, 40), lambda s: threshold(s, 1.2)])
def test_every_edge_lies_on_a_path_from_embed_to_logits(search, scores):
    """What is left after pruning reaches the logits and is reached from the embedding, by NetworkX's own paths."""
    circuit = search(scores)
    digraph = circuit.networkx()
    assert len(circuit) > 0
    for writer, reader in circuit.edges:
        assert nx.has_path(digraph, "embed", writer) and nx.has_path(digraph, reader, "logits")


def test_top_takes_the_strongest_by_magnitude(scores):
    """Before pruning the n strongest are taken, whatever their sign."""
    circuit = top(scores, 40)
    weakest = min(abs(scores[edge]) for edge in circuit.edges)
    strength = scores.values[scores.graph.mask].abs().sort(descending=True).values
    assert weakest >= strength[39]


def test_threshold_and_top_agree(scores):
    """A threshold between the n-th and the next strength gives the top n."""
    strength = scores.values[scores.graph.mask].abs().sort(descending=True).values
    assert torch.equal(threshold(scores, float(strength[29:31].mean())).mask, top(scores, 30).mask)


def test_greedy_spends_no_edge_beside_the_logits(scores):
    """Every edge that greedy adds leads to the logits, so that before pruning from embed nothing is lost on that side."""
    first = greedy(scores, 1)
    strongest = max((abs(s), w) for w, r, s in scores.top(10_000) if r == "logits")
    assert len(first) in (0, 1) and (len(first) == 0 or first.edges[0] == (strongest[1], "logits"))


def test_all_edges_make_the_whole_graph(scores):
    """Asking for more edges than there are gives them all."""
    assert len(top(scores, 10**6)) == len(greedy(scores, 10**6)) == scores.graph.n_edges


GRAPHS = [
    Graph(3, 4, 2),
    Graph(2, 2, 2, parallel=True),
    Graph(3, 2, 2, blocks=("mixer>mlp", "heads+mlp", "heads>experts:3")),
]


@pytest.mark.parametrize("graph", GRAPHS, ids=["sequential", "parallel", "experts"])
@pytest.mark.parametrize("seed", range(3))
def test_top_and_threshold_by_hand(graph, seed):
    """In any size, with ties and edges that were not scored, pruned by NetworkX; a score equal to the threshold is kept."""
    values = (3 * made_up(graph, seed).values).round()
    values[1::3, ::2] = torch.nan
    scores = replace(made_up(graph, seed), values=values)
    scored = [edge for edge in map(tuple, graph.mask.nonzero().tolist()) if not values[edge].isnan()]
    order = sorted(scored, key=lambda edge: -abs(float(values[edge])))  # stable: ties go by row, then by column
    for n in (1, 2, 7, 20, len(order) - 1, len(order)):
        assert torch.equal(top(scores, n).mask, pruned(graph, order[:n]))
    for level in (0, 1, 2.5, 3, 6, 100):
        kept = [edge for edge in scored if abs(float(values[edge])) >= level]
        assert torch.equal(threshold(scores, level).mask, pruned(graph, kept))
    assert top(scores, 5).scores is values


@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_a_threshold_below_zero_is_refused(value, scores):
    """It is compared with magnitudes."""
    with pytest.raises(InputError, match="0 or more"):
        threshold(scores, value)


@pytest.mark.parametrize("n", [0, -3])
def test_a_count_below_one_is_refused(n, scores):
    """Zero or negative sizes are errors."""
    for search in (top, greedy):
        with pytest.raises(InputError, match="at least 1"):
            search(scores, n)


def test_a_certificate_is_of_edges_that_are_needed(gpt2):
    """An edge without which the target is reached has no place in it, though it was tried."""
    task = doable_task(gpt2)
    elimination = Elimination(Faithfulness(Experiment(gpt2, task)), 0.8)
    everything = elimination.graph.mask
    without = elimination.without_each(everything)
    needed = elimination.certificate(everything, without).without
    assert len(without) - len(needed) > 0 and all(not reaches(value, 0.8) for value in needed.values())


def test_minimal_reaches_its_target_and_certifies_every_edge(gpt2):
    """Cutting any one edge of the minimal circuit misses the target, as measured anew."""
    task = doable_task(gpt2)
    scores = score(gpt2, task, EAPIG())
    circuit = minimal(gpt2, task, scores, 0.8)
    assert circuit.certificate is not None
    measure = Faithfulness(Experiment(gpt2, task))
    assert float(measure(circuit.mask[None])) == pytest.approx(circuit.certificate.faithfulness, abs=1e-9)
    assert 0.8 <= circuit.certificate.faithfulness <= 1.2
    assert set(circuit.certificate.without) == {f"{w}->{r}" for w, r in circuit.edges}
    for (writer, reader), value in zip(
        circuit.edges, [circuit.certificate.without[f"{w}->{r}"] for w, r in circuit.edges], strict=True
    ):
        fewer = circuit.mask & ~circuit.graph.edge_mask([(writer, reader)])
        again = float(measure(prune(circuit.graph, fewer)[None]))
        assert again == pytest.approx(value, abs=1e-9) and not 0.8 <= again <= 1.2


def test_minimal_takes_no_more_than_the_smallest_prefix(gpt2):
    """The circuit found is no larger than the best prefix of the ranking."""
    task = doable_task(gpt2)
    scores = score(gpt2, task, Exact())
    measure = Faithfulness(Experiment(gpt2, task))
    sizes = range(1, scores.graph.n_edges + 1)
    masks = {n: top(scores, n).mask for n in sizes}
    reached = next(n for n, mask in masks.items() if mask.any() and 0.7 <= float(measure(mask[None])) <= 1.3)
    assert len(minimal(gpt2, task, scores, 0.7)) <= len(top(scores, reached))


def test_minimal_reports_progress_that_never_goes_back(gpt2):
    """Progress grows to the total."""
    task = doable_task(gpt2)
    seen: list[tuple[int, int]] = []
    minimal(gpt2, task, score(gpt2, task, EAPIG()), 0.8, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_a_model_that_does_not_do_the_task_is_said_so(gpt2):
    """With right and wrong answers swapped there is no behaviour, and no circuit is pretended."""
    task = doable_task(gpt2)
    swapped = Task.from_ids(task.clean, task.corrupt, task.wrong, task.answers, name="swapped")
    with pytest.raises(InputError, match=r"does not do the task 'swapped'.*logit_diff is -"):
        minimal(gpt2, swapped, score(gpt2, swapped, EAPIG()))


@pytest.mark.parametrize("target", [0, -1, 1.01, float("nan")])
def test_a_target_outside_its_range_is_refused(target, gpt2, scores):
    """Faithfulness must lie in (0, 1]."""
    with pytest.raises(InputError, match=r"\(0, 1\]"):
        minimal(gpt2, random_task(), scores, target)
