"""Path patching: how much the metric falls when a change of the sender propagates along chosen paths only.

Papers define differently what propagates and what is frozen meanwhile, and the numbers differ:

- :func:`path_effect`: one named path (Goldowsky-Dill et al. 2304.05969).
- :func:`direct_effect`, :func:`direct_sweep`: all paths whose first edge goes from sender to receiver (the same paper).
- :func:`sender_effect`, :func:`sender_sweep`: all paths from sender to receiver through no other head (Wang et al.
  2211.00593).

Legend of shapes: C sets of senders, B prompts, U writers, V readers, L layers, H heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor

from circuitsearch import show
from circuitsearch.engine.interventions import Interventions, State
from circuitsearch.engine.path_patching import patch_paths
from circuitsearch.engine.reference import ReferenceRun
from circuitsearch.engine.replay import measure
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.granularity import WHOLE
from circuitsearch.graph import Graph
from circuitsearch.methods.path_names import Names, Path, path_edges, readers_named, writers_named
from circuitsearch.progress import Progress, silent
from circuitsearch.setup import MadeWith, Setup
from circuitsearch.task import Task

SENDERS_AT_ONCE = 32  # sets of senders between two calls of ``progress``

Patch = Callable[[ReferenceRun, Tensor, Tensor], Tensor]  # (reference, senders (C, U), receivers (V,)) to metric (C, B)


@dataclass(frozen=True, eq=False)
class PathEffects(MadeWith):
    """How much the metric falls when the paths from one writer at a time to the receivers are patched.

    Attributes
    ----------
    graph : Graph
        Names and order of writers and readers.
    values : Tensor
        (U,), float64, on the CPU, in the metric's own unit, averaged over prompts: positive where the paths support the
        behaviour, zero where there is none.
    receivers : tuple of str
        Where the paths lead.
    paths : str
        Which paths were patched.
    setup : Setup, optional
        What the effects were measured with.
    """

    graph: Graph
    values: Tensor
    receivers: tuple[str, ...]
    paths: str
    setup: Setup | None = None

    def __getitem__(self, sender: str) -> float:
        """One sender's effect, in any tool's spelling: ``effects["a0.h1"]``."""
        return float(self.values[self.graph.find_writer(sender)])

    @property
    def heads(self) -> Tensor:
        """Effects of the heads: (L, H); NaN where a block has none."""
        return self._by_layer("heads")

    @property
    def mlps(self) -> Tensor:
        """Effects of the MLPs: (L,); NaN where a block has none that is one node."""
        return self._by_layer("mlp")[:, 0]

    @property
    def connected(self) -> Tensor:
        """Which writers come before a receiver: boolean (U,)."""
        return (self.graph.mask & readers_named(self.graph, self.receivers)).any(1)

    def _by_layer(self, kind: str) -> Tensor:
        """Effects of the writers of one kind of part, block by block: (L, writers)."""
        parts = [part for part in self.graph.parts if part.kind == kind]
        width = max((part.rows.stop - part.rows.start for part in parts), default=1)
        out = self.values.new_full((self.graph.n_layers, width), torch.nan)
        for part in parts:
            out[part.layer] = self.values[part.rows]
        return out

    def top(self, n: int = 20) -> list[tuple[str, float]]:
        """Return the n strongest senders by magnitude: (writer, effect) each; ties are in the order of the stream."""
        order = torch.sort(self.values.abs(), descending=True, stable=True).indices.tolist()
        connected = self.connected
        return [(self.graph.writers[row], float(self.values[row])) for row in order if connected[row]][:n]

    def to_dict(self) -> dict[str, float]:
        """Effects of all writers that come before a receiver, as ``{"a0.h1": 0.12, ...}``."""
        return {self.graph.writers[row]: float(self.values[row]) for row in self.connected.nonzero().flatten().tolist()}

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def __repr__(self) -> str:
        about = f"{self.paths}, {self.metric}, n={self.n}"
        return f"PathEffects({self.task!r}, into {', '.join(self.receivers)}, {about})"


def path_effect(
    model: Any,
    task: Task,
    path: Path,
    *,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> float:
    """Patch one path alone (Goldowsky-Dill et al. 2304.05969, a path of the treeified graph).

    The first edge carries the sender's ablated value; each component on the path is recomputed with that one change
    in that one port, and its new output is carried by the path's next edge only. All other edges carry what they carry
    in the clean run.

    A path to the logits is patched alone in this sense. A path that ends at an earlier port means all paths that begin
    with it: everything above its last port is recomputed.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts, and the metric that is explained.
    path : str or iterable of (writer, reader)
        ``"a0.h0->a5.h5<k>->a9.h9<q>->logits"``, or its edges. Where heads share keys and values, ``a5.h5<k>`` is the
        group's port, and the path continues through head ``a5.h5`` alone; as the last port it feeds the whole group.
    progress : callable
        Called with (prompts done, prompts in all).
    **settings
        ``ablation``, what the first edge carries, and ``memory``: see :class:`circuitsearch.Experiment`.

    Returns
    -------
    float
        How much the metric falls, averaged over prompts: positive if the path supports the behaviour.

    Raises
    ------
    InputError
        If a name is unknown, the path is not valid (a reader that does not come after its writer, a port that does not
        feed the next writer, an end that is no reader), or model and task do not fit.
    """
    meter = _Meter(_experiment(model, task, settings), progress)
    alone = _alone(meter.graph, path_edges(meter.graph, path))
    return float(meter.falls(1, lambda reference, _: measure(reference, alone)[0]))


def direct_effect(
    model: Any,
    task: Task,
    senders: Names,
    receivers: Names,
    *,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> float:
    """Patch the edges from senders to receivers (Goldowsky-Dill et al. 2304.05969; edge patching).

    These edges carry the senders' ablated values, and everything above them is recomputed: later receivers read the
    changed output of earlier ones. In the paper's terms these are all paths that contain an edge from a sender to a
    receiver, in one run. For one sender and one receiver it is what ``Exact`` measures. MLPs between sender and
    receiver transmit nothing, unlike in :func:`sender_effect`.

    Parameters
    ----------
    model, task, progress, **settings
        As in :func:`path_effect`.
    senders : str or iterable of str
        Writers, patched together.
    receivers : str or iterable of str
        Readers.

    Returns
    -------
    float
        How much the metric falls, averaged over prompts: positive if the paths support the behaviour.

    Raises
    ------
    InputError
        If a name is unknown, there is no sender or no receiver, a sender comes before no receiver, or model and task do
        not fit.
    """
    meter = _Meter(_experiment(model, task, settings), progress)
    return meter.effect(senders, receivers, _ablated_edges)


def direct_sweep(
    model: Any,
    task: Task,
    receivers: Names,
    *,
    senders: Names | None = None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> PathEffects:
    """:func:`direct_effect` of every writer, one at a time, on the receivers.

    Parameters
    ----------
    model, task, **settings
        As in :func:`path_effect`.
    receivers : str or iterable of str
        Readers.
    senders : str or iterable of str, optional
        Only these writers; the values of the others are zero.
    progress : callable
        Called with (runs of one prompt done, such runs in all).

    Returns
    -------
    PathEffects
        ``values`` (U,), and by layer ``heads`` (L, H) and ``mlps`` (L,).

    Raises
    ------
    InputError
        If a name is unknown, there is no receiver, or model and task do not fit.
    """
    meter = _Meter(_experiment(model, task, settings), progress)
    return meter.sweep(receivers, _ablated_edges, "direct edges", senders)


def sender_effect(
    model: Any,
    task: Task,
    senders: Names,
    receivers: Names,
    *,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> float:
    """Patch all paths from senders to receivers through no other head (Wang et al. 2211.00593, appendix B).

    There are two runs, as in the paper. In the first the senders write ablated values, every other head writes what it
    writes in the clean run, and MLPs are recomputed; the inputs of the receivers are kept. In the second, otherwise clean
    run the receivers read these inputs, and everything above them is recomputed, heads too. So the change reaches the
    receivers directly and through MLPs. No receiver reads the changed output of another: each reads its own stream of the
    first run, unlike in :func:`direct_effect`. With ``"logits"`` as receiver it is the paper's direct effect on the logits.

    It is exact for any set of receivers, also in several layers. A receiver with no sender before it is as in the clean run.

    Parameters
    ----------
    model, task, progress, **settings
        As in :func:`path_effect`.
    senders : str or iterable of str
        Writers, patched together: heads as in the paper, or MLPs, or ``embed``.
    receivers : str or iterable of str
        Readers.

    Returns
    -------
    float
        How much the metric falls, averaged over prompts: positive if the paths support the behaviour. (The paper gives
        the relative change of the logit difference, of the other sign.)

    Raises
    ------
    InputError
        If a name is unknown, there is no sender or no receiver, a sender comes before no receiver, or model and task do
        not fit.
    """
    meter = _Meter(_experiment(model, task, settings), progress)
    return meter.effect(senders, receivers, patch_paths)


def sender_sweep(
    model: Any,
    task: Task,
    receivers: Names,
    *,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> PathEffects:
    """:func:`sender_effect` of every writer, one at a time, on the receivers: the heatmaps of Wang et al.

    Parameters
    ----------
    model, task, **settings
        As in :func:`path_effect`.
    receivers : str or iterable of str
        Readers.
    progress : callable
        Called with (runs of one prompt done, such runs in all).

    Returns
    -------
    PathEffects
        ``values`` (U,), and by layer ``heads`` (L, H) and ``mlps`` (L,).

    Raises
    ------
    InputError
        If a name is unknown, there is no receiver, or model and task do not fit.

    Notes
    -----
    Cost per sender: the MLPs between it and the last receiver, and everything above the first receiver, at the positions
    that differ. On the shape of GPT-2 small, with prompts of 16 tokens that differ at position 10, that is 0.1 to 0.3
    forwards.
    """
    meter = _Meter(_experiment(model, task, settings), progress)
    return meter.sweep(receivers, patch_paths, "paths without another head")


# ---- the runs


def _alone(graph: Graph, edges: list[tuple[int, int]]) -> Interventions:
    """One path patched: its first edge is ablated, and all edges but its others are frozen.

    The new outputs of writers below the path's last port are carried by the path's edges only; above it nothing is frozen.
    """
    frozen = graph.mask.clone()
    frozen[tuple(zip(*edges, strict=True))] = False
    frozen[graph.visible_writers(edges[-1][1]) :] = False
    changed = torch.cat([torch.tensor(edges[:1]), frozen.nonzero()])
    states = torch.full((len(changed),), int(State.FROZEN), dtype=torch.int8)
    states[0] = State.ABLATED
    return Interventions(1, torch.zeros(len(changed), dtype=torch.long), changed, states)


def _ablated_edges(reference: ReferenceRun, senders: Tensor, receivers: Tensor) -> Tensor:
    """The metric (C, B) with the edges from each set of senders (C, U) to the receivers (V,) ablated."""
    edges = (reference.context.graph.mask & receivers).nonzero()
    return measure(reference, Interventions.ablating([edges[chosen[edges[:, 0]]] for chosen in senders]))[0]


def _experiment(model: Any, task: Task, settings: Settings) -> Experiment:
    """Paths lead through every head and MLP, over all positions."""
    experiment = Experiment.of(model, task, **settings)
    if experiment.granularity != WHOLE:
        raise InputError(f"paths are patched between heads and MLPs: leave out {experiment.granularity}")
    return experiment


@dataclass(frozen=True)
class _Meter:
    """Measures patched runs on an experiment's prompts."""

    experiment: Experiment
    progress: Progress

    @property
    def graph(self) -> Graph:
        return self.experiment.graph

    def falls(self, count: int, patched: Callable[[ReferenceRun, slice], Tensor]) -> Tensor:
        """How much the metric falls from the clean run to each of ``count`` patched ones: (count,), a mean over prompts.

        ``patched`` gives the metric of some of them, (C', B).
        """
        total = torch.zeros(count, dtype=torch.float64)
        evaluator, done, n = self.experiment.evaluator, 0, len(self.experiment.task)
        for reference in evaluator.references(self.graph.mask):
            pair = reference.context.pair
            clean = pair.metric(reference.logits, pair.known).cpu().double()  # (B,)
            for first in range(0, count, SENDERS_AT_ONCE):
                some = slice(first, min(first + SENDERS_AT_ONCE, count))
                total[some] += (clean - patched(reference, some)).sum(1)
                done += len(clean) * (some.stop - first)
                self.progress(done, count * n)
        return evaluator.sharing_prompts.total(total) / n

    def effect(self, senders: Names, receivers: Names, patch: Patch) -> float:
        """Effect of one set of senders."""
        chosen, read = writers_named(self.graph, senders), readers_named(self.graph, receivers)
        late = chosen & ~(self.graph.mask & read).any(1)
        if late.any():
            name = self.graph.writers[int(late.nonzero()[0])]
            raise InputError(f"{name} comes before none of the receivers, so there is no path from it to them")
        return float(self.falls(1, lambda reference, _: patch(reference, chosen[None], read)))

    def sweep(self, receivers: Names, patch: Patch, paths: str, only: Names | None = None) -> PathEffects:
        """Effect of every writer that comes before a receiver, or only of some of them."""
        graph, setup = self.graph, self.experiment.setup
        read = readers_named(graph, receivers)
        before = (graph.mask & read).any(1)
        rows = (before if only is None else before & writers_named(graph, only)).nonzero().flatten()
        senders = torch.eye(len(graph.writers), dtype=torch.bool)[rows]  # (C, U)
        values = torch.zeros(len(graph.writers), dtype=torch.float64)
        values[rows] = self.falls(len(rows), lambda reference, some: patch(reference, senders[some], read))
        names = tuple(graph.readers[column] for column in read.nonzero().flatten().tolist())
        return PathEffects(graph, values, names, paths, setup)
