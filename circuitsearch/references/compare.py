"""A found circuit, or scores, against a published circuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.names import canonical_name
from circuitsearch.reachability import touched
from circuitsearch.references.published import Reference, reference
from circuitsearch.scores import Scores


@dataclass(frozen=True)
class Overlap:
    """How a found set of heads, or of edges, and a published one overlap.

    Attributes
    ----------
    n_found, n_published, n_shared : int
        Sizes of the sets; there is no found one if only scores are given, and the first and last are 0.
    auroc : float
        Probability that a published one has a larger score than another one, ties counting half; NaN without scores of all.
    """

    n_found: int
    n_published: int
    n_shared: int
    auroc: float

    @property
    def precision(self) -> float:
        """Share of what was found that is published; NaN if nothing was."""
        return self.n_shared / self.n_found if self.n_found else math.nan

    @property
    def recall(self) -> float:
        """Share of what is published that was found; NaN if no circuit is given."""
        return self.n_shared / self.n_published if self.n_found and self.n_published else math.nan

    @property
    def jaccard(self) -> float:
        """Shared ones over all in either set; NaN if no circuit is given."""
        return self.n_shared / (self.n_found + self.n_published - self.n_shared) if self.n_found else math.nan

    def __str__(self) -> str:
        found = f"{self.n_shared} of {self.n_published} published among {self.n_found}, " if self.n_found else ""
        return f"{found}precision {self.precision:.2f}, recall {self.recall:.2f}, AUROC {self.auroc:.3f}"


@dataclass(frozen=True)
class ReferenceComparison:
    """A found circuit, or scores, against a published one.

    Attributes
    ----------
    reference : Reference
        The published circuit.
    heads : Overlap
        Over all attention heads of the model.
    edges : Overlap, optional
        Over all edges, if edges were published.
    classes : dict
        For each class of heads, how many were found, and how many there are.
    missing : tuple of str
        Published heads that were not found.
    """

    reference: Reference
    heads: Overlap
    edges: Overlap | None
    classes: Mapping[str, tuple[int, int]]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        rows = [f"{self.reference.name}: {self.reference.behaviour}, {self.reference.source}", f"heads: {self.heads}"]
        rows += [f"edges: {self.edges} ({self.reference.edges_source})"] if self.edges is not None else []
        rows += (
            [f"{name}: {found} of {count}" for name, (found, count) in self.classes.items()]
            if self.heads.n_found
            else []
        )
        return "\n".join(rows)


def compare_with_reference(found: Circuit | Scores, name: str | Reference, model: Any) -> ReferenceComparison:
    """Compare a found circuit, or scores, with a published circuit of the same model.

    A head is found if an edge of the circuit enters or leaves it; its score is the largest magnitude among its edges'.

    Parameters
    ----------
    found : Circuit or Scores
        A circuit, with the scores of all edges if there is to be an AUROC; or scores alone.
    name : str or Reference
        ``"ioi"``, ``"greater-than"``, ``"docstring"``, ``"copy-suppression"``, ``"acronyms"``; or one of your own.
    model
        The Hugging Face model of the circuit. It must have the shape of the model in which the published circuit was found; weights are not
        compared.

    Raises
    ------
    InputError
        If there is no such reference, the model is another one, or the circuit's nodes are not its heads and MLPs.
    """
    known = name if isinstance(name, Reference) else reference(name)
    known.check_model(model)
    graph = known.model.graph
    if (found.graph.n_layers, found.graph.n_heads, found.graph.base) != (graph.n_layers, graph.n_heads, found.graph):
        raise InputError(
            "a published circuit has whole heads over all positions as nodes: give a circuit, or scores, of such nodes"
        )
    mask = found.mask if isinstance(found, Circuit) else None
    values = found.scores if isinstance(found, Circuit) else found.values
    heads = _rows(found.graph, known)
    in_circuit = None if mask is None else touched(found.graph, mask)
    chosen = (
        set() if in_circuit is None else {name for name, row in found.graph.writer_index.items() if in_circuit[row]}
    )
    return ReferenceComparison(
        known,
        _heads(found.graph, heads, in_circuit, values),
        _edges(found.graph, known, mask, values),
        {name: _counted(heads, chosen) for name, heads in _classes(known).items()},
        tuple(name for name in known.heads if name not in chosen) if mask is not None else (),
    )


def _classes(known: Reference) -> dict[str, list[str]]:
    return {name: [canonical_name(head) for head in heads] for name, heads in known.classes.items()}


def _counted(heads: list[str], chosen: set[str]) -> tuple[int, int]:
    return sum(head in chosen for head in heads), len(heads)


def _rows(graph: Graph, known: Reference) -> Tensor:
    """Which writers are published heads: (U,) boolean."""
    published = torch.zeros(len(graph.writers), dtype=torch.bool)
    published[[graph.writer_index[name] for name in known.heads]] = True
    return published


def _heads(graph: Graph, published: Tensor, in_circuit: Tensor | None, values: Tensor | None) -> Overlap:
    are_heads = torch.tensor([".h" in name for name in graph.writers])
    strengths = None if values is None or bool((values.isnan() & graph.mask).any()) else _strengths(graph, values)
    chosen = None if in_circuit is None else in_circuit[are_heads]
    return _overlap(published[are_heads], chosen, None if strengths is None else strengths[are_heads])


def _strengths(graph: Graph, values: Tensor) -> Tensor:
    """The largest magnitude of the edges that enter or leave each component: (U,)."""
    magnitude = values.abs() * graph.mask
    strengths, entering = magnitude.amax(1), magnitude.amax(0)
    for part in graph.parts:
        into = (graph.feeds(part) * entering[part.columns, None]).amax(0)
        strengths[part.rows] = torch.maximum(strengths[part.rows], into)
    return strengths


def _edges(graph: Graph, known: Reference, mask: Tensor | None, values: Tensor | None) -> Overlap | None:
    if not known.edge_list:
        return None
    published = graph.edge_mask(known.edge_list)[graph.mask]
    all_scored = values is not None and not bool((values.isnan() & graph.mask).any())
    strengths = values[graph.mask].abs() if values is not None and all_scored else None
    return _overlap(published, None if mask is None else mask[graph.mask], strengths)


def _overlap(published: Tensor, chosen: Tensor | None, strengths: Tensor | None) -> Overlap:
    """Of sets given as boolean (n,), and strengths (n,)."""
    found = torch.zeros_like(published) if chosen is None else chosen
    area = math.nan if strengths is None else auroc(strengths, published)
    return Overlap(int(found.sum()), int(published.sum()), int((found & published).sum()), area)


def auroc(strengths: Tensor, true: Tensor) -> float:
    """Chance that a true one is above another one, ties counting half, both (n,); NaN if all or none are true."""
    from scipy.stats import mannwhitneyu

    inside, outside = strengths[true], strengths[~true]
    if not len(inside) or not len(outside):
        return math.nan
    return float(mannwhitneyu(inside.numpy(), outside.numpy()).statistic) / (len(inside) * len(outside))


def average_precision(strengths: Tensor, true: Tensor) -> float:
    """Mean of the precision at each true one, the strongest first; of equal ones the false come first. Both (n,); NaN if none is true.

    Examples
    --------
    >>> average_precision(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([True, False, True]))
    0.8333333333333333
    """
    if not bool(true.any()):
        return math.nan
    order = np.lexsort((true.numpy(), -strengths.double().numpy()))  # by strength, ties by truth
    hits = true.numpy()[order]
    return float((hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean())
