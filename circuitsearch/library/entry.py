"""What a library says of a circuit: its entry, and how it uses a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch.files import STRICT, Malformed, Number, parse_json, to_json
from circuitsearch.library.store import damaged
from circuitsearch.validation import Interval

UNNAMED = 12  # digits of the weights' digest that stand for a model without a name


@dataclass(frozen=True)
class Entry:
    """A circuit of a library.

    Attributes
    ----------
    id : int
        Its number in the library.
    digest : str
        SHA-256 of the circuit and its setup.
    added : str
        When it was added, in UTC.
    form : str
        ``"run"``, ``"circuit"``, or the format of another program.
    folder : str
        The folder of the run when it was added; empty for a file.
    model, model_name : str
        The digest of the model's weights (without one, its name), and its name.
    task, metric, ablation, method : str
        As in the setup; empty if there is none.
    seed : int, optional
        Of the setup.
    graph : str
        The graph as JSON.
    n_edges, n_edges_total : int
        Of the circuit, and of the graph.
    faithfulness, low, high : float
        Faithfulness and its interval; NaN without a report.
    n_prompts, n_seen : int, optional
        Prompts of the report, and how many of them the search used.
    notes : str
        What was assumed in reading it, and what is left out.
    """

    __pydantic_config__ = STRICT

    id: int
    digest: str
    added: str
    form: str
    folder: str
    model: str
    model_name: str
    task: str
    metric: str
    ablation: str
    method: str
    seed: int | None
    graph: str
    n_edges: int
    n_edges_total: int
    faithfulness: Number
    low: Number
    high: Number
    n_prompts: int | None
    n_seen: int | None
    notes: str

    @property
    def interval(self) -> Interval:
        """Faithfulness with its interval."""
        return Interval(self.faithfulness, self.low, self.high)

    @property
    def of_model(self) -> str:
        """The model's name, or the first digits of its weights' digest."""
        return self.model_name or self.model[:UNNAMED] or "unknown"

    @property
    def label(self) -> str:
        """A short name: task, seed if it has one, and number, in which two entries always differ."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.task or self.form}{seed} #{self.id}"

    def __str__(self) -> str:
        faithful = "" if self.faithfulness != self.faithfulness else f", faithfulness {self.interval}"
        return f"{self.id}: {self.task or self.form} in {self.of_model}, {self.n_edges:,} edges{faithful}"


def entry_of(row: Mapping[str, Any], path: Path) -> Entry:
    """An entry from a row of the library's file; an InputError if the row is not one."""
    try:
        return parse_json(to_json(dict(row)), Entry)
    except (Malformed, TypeError) as error:  # TypeError: a column of bytes
        raise damaged(path, error) from None


@dataclass(frozen=True)
class Added:
    """What came of an addition: the entry, and whether it is new."""

    entry: Entry
    new: bool


@dataclass(frozen=True)
class Edge:
    """An edge of a circuit by name, ``"a0.h1->a2.h3<q>"``, with its effect in the circuit or else its score, if it has one."""

    name: str
    strength: float | None

    def __str__(self) -> str:
        return self.name if self.strength is None else f"{self.name} {self.strength:+.3g}"


@dataclass(frozen=True)
class Use:
    """How a circuit uses a node: its role, and the edges into it and out of it, the strongest first."""

    node: str
    role: str
    incoming: tuple[Edge, ...]
    outgoing: tuple[Edge, ...]

    def __str__(self) -> str:
        role = f" ({self.role})" if self.role else ""
        into, out = (", ".join(map(str, edges)) or "none" for edges in (self.incoming, self.outgoing))
        return f"{self.node}{role}: in {into}; out {out}"


@dataclass(frozen=True)
class Match:
    """A circuit that fits a search, with its use of the nodes that were asked for, and the edges that were."""

    entry: Entry
    uses: tuple[Use, ...] = ()
    edges: tuple[Edge, ...] = ()

    def __str__(self) -> str:
        return "\n".join([str(self.entry), *(f"  {each}" for each in (*self.edges, *self.uses))])
