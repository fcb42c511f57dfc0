"""A published circuit: its heads by class, its edges, its citation, and the model that it was found in."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any

from pydantic import BaseModel, ConfigDict

from circuitsearch.errors import InputError, unknown
from circuitsearch.files import parse_json
from circuitsearch.graph import Graph
from circuitsearch.names import EMBED, LOGITS, canonical_name, ends_of

INPUT, OUTPUT, MLPS = "input", "output", "mlps"  # classes that every reference has
_FOLDER = "data"


class Model(BaseModel):
    """The shape of the model that a circuit was found in."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    model_type: str = ""  # of its configuration; empty for models that Hugging Face's classes do not have
    n_layers: int
    n_heads: int
    d_model: int
    d_vocab: int
    mlps: bool

    def __str__(self) -> str:
        beside = "" if self.mlps else ", without MLPs"
        return f"{self.name} ({self.n_layers} layers of {self.n_heads} heads, width {self.d_model}, {self.d_vocab} tokens{beside})"

    @property
    def graph(self) -> Graph:
        """Its graph."""
        blocks = () if self.mlps else ("heads",) * self.n_layers
        return Graph(self.n_layers, self.n_heads, self.n_heads, blocks=blocks)


class Connection(BaseModel):
    """Edges from every node of a class to ports of every node of another, where the one comes later in the stream."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str
    target: str
    ports: str = ""  # of heads: "qkv", "kv" ...


class Reference(BaseModel):
    """A published circuit.

    Attributes
    ----------
    name, behaviour : str
        Its name here, and what it does.
    source, edges_source : str
        Where the heads were published, and where the edges were; empty if no edges were.
    model : Model
        The model that it was found in.
    classes : dict
        Heads by class, as ``"9.9"``.
    mlps : tuple of int
        Layers whose MLPs belong to it.
    connections : tuple of Connection
        Its edges, by class; ``input``, ``output`` and ``mlps`` are classes too.
    edges : tuple of str
        Further edges, by name.
    notes : str
        What a reader must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    behaviour: str
    source: str
    edges_source: str = ""
    model: Model
    classes: dict[str, tuple[str, ...]]
    mlps: tuple[int, ...] = ()
    connections: tuple[Connection, ...] = ()
    edges: tuple[str, ...] = ()
    notes: str = ""

    @property
    def heads(self) -> tuple[str, ...]:
        """All heads by their names here, ``"a9.h9"``, in the stream's order."""
        found = {canonical_name(head) for head in chain.from_iterable(self.classes.values())}
        return tuple(name for name in self.model.graph.writers if name in found)

    @property
    def edge_list(self) -> tuple[tuple[str, str], ...]:
        """All edges as (writer, reader) names, in the stream's order; empty if none were published."""
        graph = self.model.graph
        named = [ends_of(edge) for edge in self.edges]
        pairs = {pair for connection in self.connections for pair in self._connected(connection)} | set(named)
        possible = [pair for pair in pairs if pair[1] in graph.reader_index and _is_edge(graph, *pair)]
        return tuple(graph.edges(graph.edge_mask(possible)))

    def _connected(self, connection: Connection) -> set[tuple[str, str]]:
        return {
            (writer, reader)
            for writer in self._writers(connection.source)
            for reader in self._readers(connection.target, connection.ports)
        }

    def _writers(self, name: str) -> list[str]:
        if name == INPUT:
            return [EMBED]
        return (
            [f"m{layer}" for layer in self.mlps]
            if name == MLPS
            else [canonical_name(head) for head in self._class(name)]
        )

    def _readers(self, name: str, ports: str) -> list[str]:
        if name == OUTPUT:
            return [LOGITS]
        if name == MLPS:
            return [f"m{layer}<in>" for layer in self.mlps]
        return [f"{canonical_name(head)}<{port}>" for head in self._class(name) for port in ports]

    def _class(self, name: str) -> tuple[str, ...]:
        return tuple(chain.from_iterable(self.classes.values())) if name == "heads" else self.classes[name]

    def check_model(self, model: Any) -> None:
        """Refuse a model whose configuration is not that of the model in which the circuit was found.

        Raises
        ------
        InputError
            If the shape differs; weights are not compared.
        """
        config = model.config
        found = Model(
            name=config.model_type,
            model_type=config.model_type if self.model.model_type else "",
            n_layers=config.num_hidden_layers,
            n_heads=config.num_attention_heads,
            d_model=config.hidden_size,
            d_vocab=config.vocab_size,
            mlps=self.model.mlps,
        )
        if found.model_copy(update={"name": self.model.name}) != self.model:
            raise InputError(
                f"the circuit {self.name!r} was found in {self.model}, and this model is {found}: compare it in that one"
            )


def _is_edge(graph: Graph, writer: str, reader: str) -> bool:
    return bool(graph.mask[graph.writer_index[writer], graph.reader_index[reader]])


def names() -> list[str]:
    """Names of all references."""
    return sorted(
        file.name.removesuffix(".json")
        for file in files("circuitsearch.references").joinpath(_FOLDER).iterdir()
        if file.name.endswith(".json")
    )


@cache
def reference(name: str) -> Reference:
    """A published circuit by its name.

    Raises
    ------
    InputError
        If there is none of this name.

    Examples
    --------
    >>> found = reference("ioi")
    >>> len(found.heads), found.classes["name mover"], found.source
    (26, ('9.9', '10.0', '9.6'), 'Wang et al. 2211.00593')
    """
    if name not in names():
        raise unknown("reference", name, names())
    return parse_json(
        files("circuitsearch.references").joinpath(_FOLDER, f"{name}.json").read_text(encoding="utf-8"), Reference
    )
