"""Everything in a report, worked out from plain runs one prompt at a time, in Python's own arithmetic.

It shares no code with metrics, faithfulness, curve or bootstrap: metrics are written out anew, a circuit is pruned by
NetworkX, and the BCa interval is Efron's formula (1987) with t quantiles on the resamples that the report's seed draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import NormalDist
from typing import Any

import networkx as nx
import numpy as np
import torch
from scipy import stats
from torch import Tensor

from circuitsearch.graph import Graph
from circuitsearch.reachability import components
from tests.engine.plain import PlainRun, plain_writes

Rows = list[list[float]]  # logits (N, vocabulary)
Statistic = Callable[..., float]  # of columns of one number a prompt


class Plain:
    """A model on a task, run in the plain way; ``ablated_of(row)`` is what cut edges of that prompt carry (U, T, D)."""

    def __init__(self, model: Any, task: Any, ablated_of: Callable[[int], Tensor]) -> None:
        self.model, self.task = model, task
        self.ablated = [ablated_of(row) for row in range(len(task))]

    def clean(self) -> Rows:
        """Logits of the model itself."""
        return [
            self.model(ids[None]).logits[0, at].tolist()
            for ids, at in zip(self.task.clean, self.task.position, strict=True)
        ]

    def circuit(self, mask: Tensor) -> Rows:
        """Logits of a circuit (U, V)."""
        runs = (
            PlainRun(self.model, ids, mask, ablated) for ids, ablated in zip(self.task.clean, self.ablated, strict=True)
        )
        return [run.logits[at].tolist() for run, at in zip(runs, self.task.position, strict=True)]

    def each(self, measure: Callable[..., float], *logits: Rows) -> list[float]:
        """A measure of each prompt's logits, its right and its wrong answers."""
        answers = [ids.tolist() for ids in self.task.answers]
        wrong = [ids.tolist() for ids in self.task.wrong]
        return [measure(*row, a, w) for *row, a, w in zip(*logits, answers, wrong, strict=True)]


def corrupt_writes(model: Any, task: Any) -> Callable[[int], Tensor]:
    """Resample: the writers on the prompt's own corrupt counterpart."""
    return lambda row: plain_writes(model, task.corrupt[row])


def mean_writes(model: Any, task: Any) -> Callable[[int], Tensor]:
    """Mean: over the corrupt prompts of the same length, position by position."""
    writes = [plain_writes(model, ids) for ids in task.corrupt]

    def mean(row: int) -> Tensor:
        alike = [each for each in writes if each.shape == writes[row].shape]
        return torch.stack(alike).mean(0)

    return mean


def logit_diff(logits: Sequence[float], answers: Sequence[int], wrong: Sequence[int]) -> float:
    """Mean of the right logits minus mean of the wrong ones."""
    return sum(logits[a] for a in answers) / len(answers) - sum(logits[w] for w in wrong) / len(wrong)


def prob_diff(logits: Sequence[float], answers: Sequence[int], wrong: Sequence[int]) -> float:
    """Probability of all right answers minus that of all wrong ones."""
    p = probabilities(logits)
    return sum(p[a] for a in answers) - sum(p[w] for w in wrong)


def right(logits: Sequence[float], answers: Sequence[int], wrong: Sequence[int]) -> float:
    """1 if some right answer lies above every wrong one."""
    return float(any(all(logits[a] > logits[w] for w in wrong) for a in answers))


def best_is_right(logits: Sequence[float], answers: Sequence[int], wrong: Sequence[int]) -> float:
    """1 if no token lies above some right answer."""
    return float(any(all(logits[a] >= other for other in logits) for a in answers))


def kl(model: Sequence[float], circuit: Sequence[float], answers: object = None, wrong: object = None) -> float:
    """Sum of p (log p - log q), p the model's distribution and q the circuit's."""
    p, q = probabilities(model), probabilities(circuit)
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))


def probabilities(logits: Sequence[float]) -> list[float]:
    """The softmax."""
    powers = [math.exp(each) for each in logits]
    return [each / sum(powers) for each in powers]


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)


def ratio(circuit: Sequence[float], clean: Sequence[float], ablated: Sequence[float]) -> float:
    """What the circuit keeps of the metric's fall, over all prompts together."""
    return (mean(circuit) - mean(ablated)) / (mean(clean) - mean(ablated))


def kept(circuit: Sequence[float], model: Sequence[float]) -> float:
    """One accuracy over the other."""
    return mean(circuit) / mean(model)


def bounded(circuit: float, clean: float, ablated: float) -> float:
    """One prompt's share, an error beyond the whole way counting as the whole way."""
    return 1 - min(abs(clean - circuit) / abs(clean - ablated), 1)


def bca(statistic: Statistic, *columns: Sequence[float], confidence: float, n_resamples: int, seed: int):
    """The value and its bias-corrected and accelerated bootstrap interval (Efron 1987): (value, low, high).

    Its normal quantiles are replaced by Student's t with the degrees of freedom of a variance of values with so much kurtosis,
    times sqrt(n / (n - 1)) (Hesterberg 2015).
    """
    n, normal = len(columns[0]), NormalDist()
    value = statistic(*columns)

    def of_rows(rows: Iterable[int]) -> float:
        chosen = list(rows)
        return statistic(*([column[row] for row in chosen] for column in columns))

    draws = np.random.default_rng(seed).integers(0, n, (n_resamples, n)).tolist()
    found = sorted(map(of_rows, draws))
    if found[-1] - found[0] < 1e-12:  # every resample says the same
        return value, value, value
    below = sum(each < value for each in found) + sum(each == value for each in found) / 2
    bias = normal.inv_cdf(below / n_resamples)
    without = [of_rows(row for row in range(n) if row != left) for left in range(n)]
    from_mean = [mean(without) - each for each in without]
    spread = sum(u**2 for u in from_mean) / n
    kurtosis = max(5, (1 + 4 / math.sqrt(n)) * sum(u**4 for u in from_mean) / n / spread**2)
    freedom = max(1, 2 * (n - 1) / (kurtosis - 1))
    acceleration = sum(u**3 for u in from_mean) / (6 * sum(u**2 for u in from_mean) ** 1.5)

    def end(share: float) -> float:
        shifted = bias + math.sqrt(n / (n - 1)) * float(stats.t.ppf(share, freedom))
        place = normal.cdf(bias + shifted / (1 - acceleration * shifted)) * (n_resamples - 1)
        low = math.floor(place)
        high = min(low + 1, n_resamples - 1)
        return found[low] + (place - low) * (found[high] - found[low])

    return value, end((1 - confidence) / 2), end((1 + confidence) / 2)


def strongest(graph: Graph, values: Tensor, n: int) -> Tensor:
    """Mask (U, V) of the n edges of largest magnitude, pruned; ties go by writer, then by reader."""
    edges = [(u, v) for u in range(len(graph.writers)) for v in range(len(graph.readers)) if graph.mask[u, v]]
    edges.sort(key=lambda edge: (-abs(float(values[edge])), edge))
    return pruned(graph, edges[:n])


def pruned(graph: Graph, edges: Iterable[tuple[int, int]]) -> Tensor:
    """Mask (U, V) of those edges that are on a path from embed to the logits."""
    named = [(graph.writers[u], f"into {graph.readers[v]}") for u, v in edges]
    paths = nx.DiGraph(named)
    paths.add_nodes_from(["embed", "into logits"])
    paths.add_edges_from((f"into {reader}", writer) for reader in graph.readers for writer in components(graph, reader))
    used = ({"embed"} | nx.descendants(paths, "embed")) & ({"into logits"} | nx.ancestors(paths, "into logits"))
    mask = torch.zeros_like(graph.mask)
    for writer, reader in named:
        if writer in used and reader in used:
            mask[graph.writer_index[writer], graph.reader_index[reader.removeprefix("into ")]] = True
    return mask
