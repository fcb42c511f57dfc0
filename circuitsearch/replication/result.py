"""Stability: circuits of repeated searches, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.files import STRICT, Number, parse_json, read_json, to_json, write_json
from circuitsearch.graph import Graph
from circuitsearch.history import Measured
from circuitsearch.names import ends_of
from circuitsearch.replication.agreement import Agreement, Rephrasing
from circuitsearch.replication.classes import CORE, Classes
from circuitsearch.setup import MadeWith, Setup
from circuitsearch.validation import Interval

DRAWN = 300  # edges, where all are too many for a page


@dataclass(frozen=True)
class FoundCircuit:
    """The circuit of one search.

    Attributes
    ----------
    name, variation : str
        Of the search, ``"parts-2"``, and of its variation, ``"parts"``.
    edges : tuple of str
        ``"a0.h1->a2.h3<q>"``.
    faithfulness : Measured
        On the held-out prompts.
    forwards : float, optional
        Cost of the search in forwards of its selection prompts; None if it has no history.
    """

    __pydantic_config__ = STRICT

    name: str
    variation: str
    edges: tuple[str, ...]
    faithfulness: Measured
    forwards: float | None = None


@dataclass(frozen=True)
class EdgeStability:
    """How often an edge is found, and what it does.

    Attributes
    ----------
    edge : str
        ``"a0.h1->a2.h3<q>"``.
    status : str
        ``"core"``, ``"optional"`` or ``"unstable"``: see :class:`circuitsearch.replication.Classes`.
    inclusion : Interval
        The share of all searches that found it, with its binomial interval.
    by_variation : dict
        The same for the searches of each variation.
    effect : Interval
        How much the metric falls on held-out prompts when the edge is ablated in the smallest circuit that has it; positive where it
        supports the behaviour. NaN if it was not measured.
    p, adjusted : float
        P-value of no effect, and the same adjusted for the number of edges.
    """

    __pydantic_config__ = STRICT

    edge: str
    status: str
    inclusion: Interval
    by_variation: Mapping[str, Interval]
    effect: Interval
    p: Number
    adjusted: Number


@dataclass(frozen=True)
class Stability(MadeWith):
    """What :func:`circuitsearch.stability` found.

    Attributes
    ----------
    setup : Setup
        What all searches share, and the prompts that they vary.
    graph : Graph
        Of all circuits.
    target : float
        The faithfulness that the searches were to reach.
    circuits : tuple of FoundCircuit
        One for each search.
    agreement : tuple of Agreement
        Jaccard indices of the circuits of each variation, and last of all circuits.
    rephrasing : tuple of Rephrasing
        Each variation over rephrasings compared with each one over samples.
    edges : tuple of EdgeStability
        Every edge of some circuit, the most often found first.
    core_faithfulness : Interval
        Of the core edges alone, on the held-out prompts: a ratio of means with its bootstrap interval.
    classes : Classes
        From which inclusion on edges are core, and optional.
    confidence : float
        Of all intervals.
    n_tested : int
        Number of prompts on which faithfulness and effects are measured.
    held_out : bool
        Whether no search had these prompts.
    """

    __pydantic_config__ = STRICT

    setup: Setup
    graph: Graph
    target: float
    circuits: tuple[FoundCircuit, ...]
    agreement: tuple[Agreement, ...]
    rephrasing: tuple[Rephrasing, ...]
    edges: tuple[EdgeStability, ...]
    core_faithfulness: Interval
    classes: Classes
    confidence: float
    n_tested: int
    held_out: bool

    def named(self, status: str) -> list[EdgeStability]:
        """The edges of a class: ``"core"``, ``"optional"`` or ``"unstable"``."""
        return [each for each in self.edges if each.status == status]

    @property
    def core(self) -> Circuit:
        """The core edges, with their effects."""
        return self._circuit(self.named(CORE))

    @property
    def union(self) -> Circuit:
        """The edges of all circuits, with their effects, each in the smallest circuit that has it."""
        return self._circuit(self.edges)

    @property
    def inclusion(self) -> Tensor:
        """(U, V) share of the searches that found each edge; 0 for edges of no circuit."""
        return self._tensor({each.edge: each.inclusion.value for each in self.edges}, 0.0)

    @property
    def stable(self) -> bool:
        """Whether the mean Jaccard index of all circuits is .8 or more."""
        return self.agreement[-1].stable

    @property
    def forwards(self) -> float:
        """Cost of all searches in forwards of their selection prompts; NaN if one has no history."""
        return sum(nan if each.forwards is None else each.forwards for each in self.circuits)

    def _circuit(self, edges: Sequence[EdgeStability]) -> Circuit:
        mask = self.graph.edge_mask(ends_of(each.edge) for each in edges)
        effects = self._tensor({each.edge: each.effect.value for each in edges}, nan)
        return Circuit(self.graph, mask, setup=self.setup, effects=effects)

    def _tensor(self, values: Mapping[str, float], others: float) -> Tensor:
        places = self.graph.places(map(ends_of, values))
        tensor = torch.full(self.graph.mask.shape, others, dtype=torch.float64)
        tensor[places[:, 0], places[:, 1]] = torch.tensor(list(values.values()), dtype=torch.float64)
        return tensor

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        return asdict(self) | {"setup": self.setup.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Stability:
        """Rebuild from :meth:`to_dict`; raises an InputError if ``content`` is something else."""
        return parse_json(to_json(content), cls)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_dict` as JSON; a number that is not defined is null."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Stability:
        """Read what :meth:`save` wrote; raises an InputError if the file is something else."""
        return read_json(path, "a stability analysis", cls)

    @property
    def caption(self) -> str:
        """Of the figure, in words."""
        from circuitsearch.replication.text import caption

        part = "" if len(self.edges) == len(self._drawn) else f" The {DRAWN} most often found are drawn."
        return f"{caption(self)}{part}"

    def draw(self, path: str | Path, **look: Any) -> None:
        """Draw all edges, or if they are too many for a page, those most often found; see :func:`circuitsearch.draw`.

        A line is solid if every search found the edge, dashed if half or more did, else dotted; its width is the effect, if it was
        measured.

        Raises
        ------
        InputError
            As :func:`circuitsearch.draw`.
        """
        from circuitsearch.figures import draw

        drawn = self.edges if Path(path).suffix == ".dot" else self._drawn
        draw(self._circuit(drawn), path, inclusion=self.inclusion, **look)

    @property
    def _drawn(self) -> tuple[EdgeStability, ...]:
        from circuitsearch.figures.plan import fits

        return self.edges if fits(self.union, "svg") else self.edges[:DRAWN]

    def to_markdown(self) -> str:
        """One page: agreement, core, and the table of edges."""
        from circuitsearch.replication.text import markdown

        return markdown(self)

    def __str__(self) -> str:
        from circuitsearch.replication.text import summary

        return "\n".join(f"{name:<16} {value}".rstrip() for name, value in summary(self))
