"""The graphs of EAP-IG (2403.17806) and of MIB (2504.13151): what their files hold, and how it is one of our circuits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.formats.foreign import Foreign, Sign, signed
from circuitsearch.formats.query_heads import columns_of, fold, query_head_graph, share
from circuitsearch.graph import Graph
from circuitsearch.names import EMBED
from circuitsearch.scores import Scores

FORM = "EAP-IG graph"
INPUT = "input"  # their name of the embedding
_MOST_PLACES = 1 << 24  # writers times readers of a graph whose only source is the file; Llama-8B has 3.3 million
_SHOWN = 3


class Config(BaseModel):
    """The ``cfg`` of a graph; other settings of the model, which some files have, are not read."""

    model_config = ConfigDict(strict=True, frozen=True)

    n_layers: int = Field(ge=1, le=10_000)
    n_heads: int = Field(ge=1, le=10_000)
    parallel_attn_mlp: bool = False
    d_model: int | None = Field(default=None, ge=1, le=1 << 20)  # older files have none

    @classmethod
    def of(cls, graph: Graph, d_model: int) -> Config:
        """The configuration of a query-head graph."""
        return cls(n_layers=graph.n_layers, n_heads=graph.n_heads, parallel_attn_mlp=graph.parallel, d_model=d_model)

    @property
    def shape(self) -> str:
        """In words."""
        beside = ", attention and MLP in parallel" if self.parallel_attn_mlp else ""
        return f"{self.n_layers} layers of {self.n_heads} heads{beside}"

    def graph(self, expected: Graph | None) -> Graph:
        """The query-head graph, of a bounded size; ``expected``, the query-head graph of the model, if it has this shape."""
        if expected is not None:
            same = (expected.n_layers, expected.n_heads, expected.parallel)
            return expected if same == (self.n_layers, self.n_heads, self.parallel_attn_mlp) else self._small()
        return self._small()

    def _small(self) -> Graph:
        writers, readers = 1 + self.n_layers * (self.n_heads + 1), self.n_layers * (3 * self.n_heads + 1) + 1
        if writers * readers > _MOST_PLACES:
            raise InputError(
                f"its graph of {self.n_layers:,} layers of {self.n_heads:,} heads is too large to be read without its model: give"
                " the model"
            )
        return Graph(self.n_layers, self.n_heads, self.n_heads, parallel=self.parallel_attn_mlp)


@dataclass(frozen=True, eq=False)
class EAPContent:
    """What a file holds, on the query-head graph (U, V').

    Attributes
    ----------
    config : Config
        The model's shape.
    graph : Graph
        The query-head graph of that shape.
    scores : Tensor
        (U, V') float64; NaN for an edge without a score.
    mask : Tensor
        (U, V') boolean: the edges that are marked as in the circuit.
    notes : tuple of str
        What the file holds beside these.
    """

    config: Config
    graph: Graph
    scores: Tensor
    mask: Tensor
    notes: tuple[str, ...] = ()

    def foreign(self, form: str, model: Graph | None, sign: Sign | str | None) -> Foreign:
        """As a circuit of the model's graph."""
        graph = self.graph if model is None else model
        columns = columns_of(self.graph, graph)
        mask, notes = self._circuit(columns, graph)
        values, said = self._scores(columns, graph, sign, form)
        scores = None if values is None else Scores(graph, values)
        return Foreign(form, graph, mask, scores, (*self.notes, *notes, *said))

    def _circuit(self, columns: Tensor, graph: Graph) -> tuple[Tensor | None, list[str]]:
        if not self.mask.any():
            return None, []
        count = fold(self.mask.double(), columns)
        mask = count > 0
        divided = int((mask & (count < columns.bincount())).sum())
        note = (
            f"{divided} edges into keys and values are in the circuit because some heads of their group are, not all:"
            " the group shares them"
        )
        return mask, [note] if divided else []

    def _scores(
        self, columns: Tensor, graph: Graph, sign: Sign | str | None, form: str
    ) -> tuple[Tensor | None, tuple[str, ...]]:
        if not self.scores[self.graph.mask].nan_to_num().any():
            return None, ("it has no scores, or all are 0",)
        values, said = signed(fold(self.scores, columns), sign, form)
        if graph.key_heads == graph.n_heads:
            return values, (said,)
        grouped = "the score of an edge into shared keys or values is the sum over the heads of the group"
        return values, (said, grouped)


def check_same_model(config: Config, named: Iterable[tuple[str, str]], expected: Graph | None) -> None:
    """Refuse a graph of another model, with its shape and the first edges that the model lacks.

    ``named`` are the file's edges by their names, ``expected`` is the query-head graph of the model.
    """
    if expected is None or config.graph(expected) is expected:
        return
    model = Config.of(expected, 1)
    lacking = lacked(named, expected)
    listed = f"; the model lacks {', '.join(lacking)}" if lacking else ""
    raise InputError(f"it is of another model, {config.shape}, and yours has {model.shape}{listed}")


def lacked(edges: Iterable[tuple[str, str]], graph: Graph) -> list[str]:
    """The first three of some named edges that a graph does not have."""
    missing = (f"{writer}->{reader}" for writer, reader in edges if not _has(graph, writer, reader))
    return [shortened(name, 40) for name in islice(missing, _SHOWN)]


def _has(graph: Graph, writer: str, reader: str) -> bool:
    row, column = graph.writer_index.get(writer), graph.reader_index.get(reader)
    if row is not None and column is not None:
        return bool(graph.mask[row, column])
    try:
        graph.find_edge((writer, reader))  # in another spelling
    except InputError:
        return False
    return True


def between_nodes(graph: Graph, nodes: Sequence[str]) -> Tensor:
    """The edges between some components, the embedding and the logits: (U, V') boolean.

    Raises
    ------
    InputError
        If the graph has no such component.
    """
    kept = torch.zeros(len(graph.writers), dtype=torch.bool)
    for name in nodes:
        kept[graph.find_writer(name)] = True
    entered = torch.zeros(len(graph.readers), dtype=torch.bool)
    entered[-1] = True
    for part in graph.parts:
        entered[part.columns] = (graph.feeds(part) & kept[part.rows]).any(1)
    return graph.mask & kept[:, None] & entered[None, :]


def content_of(circuit: Circuit, d_model: int) -> tuple[EAPContent, tuple[str, ...]]:
    """A circuit as a file holds it, and what is said differently there."""
    graph = query_head_graph(circuit.graph, FORM)
    columns = columns_of(graph, circuit.graph)
    scores = torch.full(circuit.mask.shape, torch.nan) if circuit.scores is None else circuit.scores.cpu()
    shares = share(scores.double(), columns).masked_fill(~graph.mask, 0.0)
    content = EAPContent(Config.of(graph, d_model), graph, shares, circuit.mask[:, columns] & graph.mask)
    return content, tuple(_losses(circuit, content))


def _losses(circuit: Circuit, content: EAPContent) -> Iterable[str]:
    if circuit.graph.key_heads < circuit.graph.n_heads:
        yield "the score of an edge into shared keys or values was divided equally among the heads of the group, so that the sum stays"
    unscored = int((content.scores.isnan() & content.mask).sum())
    if unscored:
        yield f"{unscored} of its edges have no score, and 0 stands in its place"
    if circuit.effects is not None:
        yield "its scores are those by which edges were chosen; effects in the circuit, certificates and the setup are left out"


def unscored(graph: Graph) -> Tensor:
    """Scores (U, V) of which no edge has one: NaN, and 0 where there is no edge."""
    return torch.zeros(graph.mask.shape, dtype=torch.float64).masked_fill(graph.mask, torch.nan)


def their_names(graph: Graph) -> tuple[list[str], list[str]]:
    """Their names of the writers and of the readers of a query-head graph."""
    writers = [INPUT if name == EMBED else name for name in graph.writers]
    return writers, [name.removesuffix("<in>") for name in graph.readers]
