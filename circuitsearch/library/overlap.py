"""How much the circuits of one model have in common, and what each head does in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitsearch.errors import InputError, shortened
from circuitsearch.figures import draw_overlap, draw_tree
from circuitsearch.library.entry import Entry

SUFFIXES = (".svg", ".pdf", ".png", ".tex")


@dataclass(frozen=True)
class HeadUse:
    """A head in one circuit: its role, empty if unknown, and the number of edges in and out of it."""

    role: str
    n_edges: int


@dataclass(frozen=True)
class Comparison:
    """Circuits of one model side by side.

    Attributes
    ----------
    entries : tuple of Entry
        The N circuits.
    shared : array
        (N, N) how many edges each two have in common; on the diagonal the number of each one's edges.
    heads : dict
        For each node that several circuits use, or one, what it does in each: ``heads["a1.h3"][id]``; nodes of many circuits come
        first.
    """

    entries: tuple[Entry, ...]
    shared: NDArray[np.int64]
    heads: dict[str, dict[int, HeadUse]]

    @property
    def labels(self) -> list[str]:
        """A short name of each circuit."""
        return [each.label for each in self.entries]

    @cached_property
    def jaccard(self) -> NDArray[np.float64]:
        """(N, N) edges that two circuits share, over the edges of either; 1 for two without edges."""
        sizes = np.diag(self.shared)
        return _share(self.shared, sizes[:, None] + sizes[None, :] - self.shared)

    @cached_property
    def of_smaller(self) -> NDArray[np.float64]:
        """(N, N) edges that two circuits share, over the edges of the smaller one; 1 if that has none."""
        sizes = np.diag(self.shared)
        return _share(self.shared, np.minimum(sizes[:, None], sizes[None, :]))

    @cached_property
    def tree(self) -> NDArray[np.float64]:
        """(N - 1, 4) the circuits joined pair by pair by average linkage of 1 - Jaccard, as SciPy's ``linkage`` gives it.

        Raises
        ------
        InputError
            If there is only one circuit.
        """
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import squareform

        if len(self.entries) < 2:
            raise InputError("a tree needs two circuits or more: leave out a condition, or add circuits of this model")
        return linkage(squareform(1 - self.jaccard, checks=False), "average")

    @cached_property
    def order(self) -> list[int]:
        """The circuits in an order in which similar ones are neighbours: that of the tree's leaves."""
        from scipy.cluster.hierarchy import leaves_list

        return leaves_list(self.tree).tolist() if len(self.entries) > 1 else [0]

    def draw_heatmap(self, path: str | Path, *, smaller: bool = False, theme: str = "light") -> None:
        """Draw the Jaccard index of each two circuits, or with ``smaller`` the share of the smaller one, similar ones together.

        The suffix of the path says the format: .svg, .pdf, .png or .tex.
        """
        values = (self.of_smaller if smaller else self.jaccard)[np.ix_(self.order, self.order)]
        unit = "shared edges / edges of the smaller circuit" if smaller else "shared edges / edges of either (Jaccard)"
        draw_overlap(
            values, [self.labels[place] for place in self.order], path, title=self.title, unit=unit, theme=theme
        )

    def draw_tree(self, path: str | Path, *, theme: str = "light") -> None:
        """Draw the tree, in the formats of :meth:`draw_heatmap`."""
        draw_tree(self.tree, self.labels, path, title=self.title, unit="1 \u2212 Jaccard index of edges", theme=theme)

    @property
    def title(self) -> str:
        """What is compared, in words."""
        return f"{len(self.entries)} circuits of {self.entries[0].of_model}"

    def table(self, least: int = 2) -> list[list[str]]:
        """Rows of nodes that at least so many circuits use: node, then for each circuit its edges and its role."""
        rows = [
            [node, *(_cell(uses.get(each.id)) for each in self.entries)]
            for node, uses in self.heads.items()
            if len(uses) >= least
        ]
        return [["node", *self.labels], *rows]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types; nodes with an object of each circuit's id."""
        heads = {node: {str(key): vars(use) for key, use in uses.items()} for node, uses in self.heads.items()}
        matrices = {name: getattr(self, name).tolist() for name in ("shared", "jaccard", "of_smaller")}
        return {"ids": [each.id for each in self.entries], "labels": self.labels, **matrices, "heads": heads}


def _cell(use: HeadUse | None) -> str:
    return "" if use is None else f"{use.n_edges} {use.role}".strip()


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def comparison(
    entries: Sequence[Entry], edges: Sequence[Sequence[str]], nodes: Sequence[tuple[int, str, str, int]]
) -> Comparison:
    """Compare circuits by the names of their edges; nodes are (id of the entry, node, role, number of edges).

    Raises
    ------
    InputError
        If the circuits are of different models, or of different kinds of nodes.
    """
    _check_same_model(entries)
    heads: dict[str, dict[int, HeadUse]] = {}
    for identity, node, role, count in nodes:
        heads.setdefault(node, {})[identity] = HeadUse(role, count)
    common = dict(sorted(heads.items(), key=lambda item: -len(item[1])))
    return Comparison(tuple(entries), _shared(edges), common)


def _shared(edges: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """(N, N) how many edges each two circuits have in common: a product of their incidence matrices."""
    from scipy.sparse import csr_array

    columns: dict[str, int] = {}
    places = [(row, columns.setdefault(name, len(columns))) for row, names in enumerate(edges) for name in names]
    rows, cells = zip(*places, strict=True) if places else ((), ())
    incidence = csr_array((np.ones(len(rows), dtype=np.int64), (rows, cells)), shape=(len(edges), max(1, len(columns))))
    return (incidence @ incidence.T).toarray()


def _check_same_model(entries: Sequence[Entry]) -> None:
    models = dict.fromkeys(each.of_model for each in entries)
    if len({each.model for each in entries}) > 1:
        raise InputError(
            f"circuits of different models share no edges ({shortened(', '.join(models))}): choose one with --model"
        )
    if len({each.graph for each in entries}) > 1:
        raise InputError(
            "these circuits are of one model, but of different kinds of nodes or edges: choose those of one kind with --ids"
        )
