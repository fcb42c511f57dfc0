"""The circuit of the strongest edges that are connected, by an integer linear program."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import block_array, csr_array, eye_array
from torch import Tensor

from circuitsearch.certificate import Bound
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.reachability import prune
from circuitsearch.scores import Scores
from circuitsearch.search.ranked import greedy, top

GAP = 1e-6  # of the sum, by which a solver may call an answer optimal
TINY = 1e-9  # a fraction of an edge that is none


def optimal(scores: Scores, n: int, seconds: float = 60.0) -> Circuit:
    """Find the circuit of at most ``n`` edges with the largest sum of strengths, each edge on a path from ``embed`` to ``logits``.

    :func:`top` takes the strongest edges and loses those that are on no path; :func:`greedy` takes the best edge at every step. Here all
    are chosen at once, by an integer linear program, as Nikankin et al. (2510.25786) do: an edge is only chosen with an edge into a port
    of its writer, and with one from a node that its reader feeds. It is the best answer to what the scores say; no model is run,
    and whether the circuit is faithful is another question.

    Parameters
    ----------
    scores : Scores
        The strength of an edge is the magnitude of its score, in the metric's unit.
    n : int
        How many edges at most; fewer are taken if others would add nothing.
    seconds : float
        How long the solver may run. If its time is over before it has proven its answer, the best circuit that is known is returned,
        which may be that of ``top`` or ``greedy``.

    Returns
    -------
    Circuit
        Its ``bound`` says how large the sum of any circuit can be, and whether this one is proven to be the best.

    Raises
    ------
    InputError
        If ``n`` is below 1, ``seconds`` is not above 0, or no path from ``embed`` to ``logits`` is scored.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> scores = cs.score(model, cs.tasks.induction(tokenizer, n=8), cs.EAP())
    >>> cs.optimal(scores, 10).bound.solved
    True
    """
    if not seconds > 0:
        raise InputError(f"the solver needs more than 0 seconds, not {seconds}")
    simple = max(top(scores, n), greedy(scores, n), key=lambda circuit: _total(scores, circuit.mask))
    paths = prune(scores.graph, scores.scored)
    if not paths.any():
        raise InputError("no path from embed to the logits has a score on every edge: score more edges")
    mask, bound = _best(scores, _Program(scores.graph, scores.values.abs(), paths, n), simple.mask, seconds)
    return replace(simple, mask=mask, bound=bound)


def _best(scores: Scores, program: _Program, mask: Tensor, seconds: float) -> tuple[Tensor, Bound]:
    """The best circuit (U, V) that is found, beginning with a known one.

    With fractions of edges allowed, the linear program is solved in little time even on graphs of many edges, and mostly has a solution
    without fractions. Of the edges that it uses a circuit is chosen; then only those edges can be in a better one whose use costs the relaxed sum
    no more than the difference.
    """
    end = time.monotonic() + seconds
    relaxed = program.relaxed(seconds)
    if relaxed is None:
        return mask, Bound(program.n, _total(scores, mask), program.strongest, False)

    def better(allowed: Tensor, mask: Tensor) -> tuple[Tensor, bool]:
        found, solved = replace(program, allowed=allowed).solved(max(end - time.monotonic(), 0.0))
        return max((mask, found), key=lambda each: _total(scores, each)), solved

    mask, _ = better(relaxed.used | mask, mask)
    missing = relaxed.most - _total(scores, mask)
    solved = missing <= GAP * relaxed.most
    if not solved:
        mask, solved = better(program.allowed & (relaxed.cost <= missing + GAP * relaxed.most), mask)
    total = _total(scores, mask)
    return mask, Bound(program.n, total, total if solved else relaxed.most, solved)


def _total(scores: Scores, mask: Tensor) -> float:
    """The sum of the strengths of a circuit (U, V)."""
    return float(scores.values[mask].abs().sum())


@dataclass(frozen=True)
class _Relaxed:
    """The solution with fractions of edges.

    Attributes
    ----------
    most : float
        Its sum, which no circuit exceeds.
    used, cost : Tensor
        (U, V) the edges that it uses, and by how much the largest sum falls, at least, if an edge is used.
    """

    most: float
    used: Tensor
    cost: Tensor


@dataclass(frozen=True)
class _Program:
    """The integer linear program: E edges that may be chosen, and U nodes.

    Its variables are whether an edge is chosen (E,) and whether a node is on a path of the circuit (U,). As the graph has no circles, it is
    enough to ask for the next edge on either side.
    """

    graph: Graph
    strength: Tensor
    allowed: Tensor
    n: int

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of the edges: (E,) each."""
        rows, columns = self.allowed.nonzero().unbind(1)
        return rows, columns

    @property
    def strongest(self) -> float:
        """The sum of the strongest edges, which no circuit exceeds."""
        return float(self.strength[self.allowed].sort(descending=True).values[: self.n].sum())

    def relaxed(self, seconds: float) -> _Relaxed | None:
        """The solution with fractions of edges; None if the time was over before."""
        matrix, most = self._constraints
        options = {"time_limit": seconds}
        result = linprog(-self._gain, matrix, most, bounds=(0, 1), method="highs-ds", options=options)
        if result.status != 0:
            return None
        cost = self._spread(result.lower.marginals) * self._unit
        return _Relaxed(-result.fun * self._unit, self._spread(result.x) > TINY, cost)

    def solved(self, seconds: float) -> tuple[Tensor, bool]:
        """The best circuit (U, V) that is found, without edges if none is, and whether it is proven to be the best."""
        matrix, most = self._constraints
        result = milp(
            -self._gain,
            constraints=LinearConstraint(matrix, ub=most),  # pyright: ignore[reportArgumentType]
            integrality=np.ones_like(self._gain),
            bounds=Bounds(0, 1),
            options={"time_limit": seconds, "mip_rel_gap": GAP},
        )
        chosen = np.zeros_like(self._gain) if result.x is None else result.x
        return prune(self.graph, self._spread(chosen) > 0.5), result.status == 0

    @cached_property
    def _unit(self) -> float:
        """The strongest edge: the solver takes numbers below 1e-7 for 0, and metrics have units of any size."""
        return float(self.strength[self.places].max()) or 1.0

    @cached_property
    def _gain(self) -> np.ndarray:
        """Of each variable: the strength of an edge in that unit, nothing for a node."""
        return np.concatenate([self.strength[self.places].numpy() / self._unit, np.zeros(len(self.allowed))])

    def _spread(self, values: np.ndarray) -> Tensor:
        """Values of the edges, the first of all variables, as (U, V); 0 elsewhere."""
        spread = torch.zeros(self.allowed.shape, dtype=torch.float64)
        spread[self.places] = torch.from_numpy(values[: len(self.places[0])])
        return spread

    @cached_property
    def _constraints(self) -> tuple[csr_array, np.ndarray]:
        """A matrix whose products with the variables are at most these numbers.

        The writer of a chosen edge is on a path, and so is a node that its reader feeds; such a node has edges on either side.
        """
        rows, columns = (each.numpy() for each in self.places)
        first, logits = self.graph.per_node, self.allowed.shape[1] - 1  # nodes before the first are embed
        source = _one_of_each(rows, self.allowed.shape[0])  # (E, U): each edge's writer
        fed = csr_array(
            _one_of_each(columns, self.allowed.shape[1]) @ self._feeds()
        )  # (E, U): the nodes that its reader feeds
        edges, nodes = csr_array(eye_array(len(rows))), csr_array(eye_array(len(self.allowed)))
        matrix = [
            [edges, -source],
            [edges[columns != logits], -fed[columns != logits]],
            [-csr_array(fed.T)[first:], nodes[first:]],
            [-csr_array(source.T)[first:], nodes[first:]],
            [csr_array(np.ones((1, len(rows)))), None],
        ]
        most = np.zeros(len(rows) + int((columns != logits).sum()) + 2 * (len(self.allowed) - first) + 1)
        most[-1] = self.n
        return csr_array(block_array(matrix)), most

    def _feeds(self) -> csr_array:
        """Which readers feed which writers: (V, U)."""
        places = []
        for part in self.graph.parts:
            port, node = self.graph.feeds(part).nonzero().numpy().T
            places.append((port + part.columns.start, node + part.rows.start))
        rows, columns = np.concatenate(places, 1)
        return csr_array((np.ones(len(rows)), (rows, columns)), shape=self.allowed.shape[::-1])


def _one_of_each(places: np.ndarray, size: int) -> csr_array:
    """A row for each edge (E, size), with a 1 at its place."""
    return csr_array((np.ones(len(places)), (np.arange(len(places)), places)), shape=(len(places), size))
