"""The formats that circuits are written in beside those of graph programs, each with its knobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import write_whole
from circuitsearch.formats.attribution_graph import write_attribution_graph
from circuitsearch.formats.eap_graph import content_of
from circuitsearch.formats.eap_json import write_eap_json
from circuitsearch.formats.eap_pt import write_eap_pt
from circuitsearch.formats.edge_lists import edge_pruning_edges, write_edges
from circuitsearch.formats.mib_cells import MODELS, TASKS, folder_of
from circuitsearch.knobs import Knobs


class Format(Protocol):
    """A format that a circuit can be written in."""

    def write(self, circuit: Circuit, path: Path) -> tuple[str, ...]:
        """Write it; what is said differently there, or left out, a sentence each."""
        ...


@dataclass(frozen=True)
class CircuitFile(Knobs):
    """This package's own ``circuit.json``."""

    def write(self, circuit: Circuit, path: Path) -> tuple[str, ...]:
        """Write it."""
        _check_suffix(path, ".json")
        write_whole(path, circuit.save)
        return ()


@dataclass(frozen=True)
class EAPGraph(Knobs):
    """A graph of EAP-IG (2403.17806), which MIB (2504.13151) uses too: .json, or .pt with tensors.

    Positive scores support the behaviour, as EAP-IG's own do today.

    Attributes
    ----------
    d_model : int, optional
        The width of the model's stream, which the files name.
    """

    d_model: int | None = None

    def write(self, circuit: Circuit, path: Path) -> tuple[str, ...]:
        """Write it; an InputError if the width is not given or the graph has other nodes than whole heads and MLPs."""
        _check_suffix(path, ".json", ".pt")
        if self.d_model is None:
            raise InputError(
                "an EAP-IG graph names the width of the model's stream: give EAPGraph(d_model=768), or --model"
            )
        content, notes = content_of(circuit, self.d_model)
        (write_eap_pt if path.suffix == ".pt" else write_eap_json)(path, content)
        return notes


@dataclass(frozen=True)
class EdgePruningEdges(Knobs):
    """The ``edges.json`` of Edge Pruning (2406.16778): pairs of names, without scores.

    Attributes
    ----------
    learned_positions : bool
        Whether the model adds embeddings of positions to those of tokens, as GPT-2 does: then the embedding is two nodes.
    """

    learned_positions: bool = True

    def write(self, circuit: Circuit, path: Path) -> tuple[str, ...]:
        """Write it."""
        _check_suffix(path, ".json")
        write_edges(path, edge_pruning_edges(circuit, self.learned_positions))
        return ("scores are left out",) if circuit.scores is not None else ()


@dataclass(frozen=True)
class AttributionGraph(Knobs):
    """An attribution graph, for Neuronpedia's page and for circuit-tracer's; weights above 0 support the behaviour.

    Attributes
    ----------
    scan : str
        Neuronpedia's name of the model: ``"gpt2-small"``, ``"gemma-2-2b"``.
    tokens : tuple of str
        A prompt's tokens; nodes that work at all positions stand at the last one.
    slug : str
        The graph's name.
    answer : str
        The token that the logits stand for.
    probability : float, optional
        The model's probability of the answer, without which the page shows no answer.
    """

    scan: str = ""
    tokens: tuple[str, ...] = ()
    slug: str = "circuit"
    answer: str = ""
    probability: float | None = None

    def write(self, circuit: Circuit, path: Path) -> tuple[str, ...]:
        """Write it; an InputError if scan or tokens are missing, or the circuit has nodes for named spans."""
        _check_suffix(path, ".json")
        if not self.scan:
            raise InputError("an attribution graph names the model as Neuronpedia does: give scan='gpt2-small'")
        return write_attribution_graph(path, circuit, self.scan, self.slug, self.tokens, self.answer, self.probability)


@dataclass(frozen=True)
class MIBFolder(Knobs):
    """A cell of a submission to MIB's circuit track: a folder in the given one, with the scores of all edges.

    Attributes
    ----------
    task, model : str
        MIB's names: ``"ioi"``, ``"arc_easy"``; ``"gpt2"``, ``"qwen2.5"``, ``"gemma2"``, ``"llama3"``.
    d_model : int, optional
        The width of the stream of a model that is none of MIB's.
    """

    task: str = ""
    model: str = ""
    d_model: int | None = None

    def write(self, circuit: Circuit, path: Path) -> tuple[str, ...]:
        """Write it; an InputError if the circuit is of another model, or some edges have no score."""
        self._check_names()
        if circuit.scores is None or bool((circuit.scores.isnan() & circuit.graph.mask).any()):
            raise InputError(
                "a submission to MIB needs a score of every edge: give a run's folder, which has scores.safetensors"
            )
        known = MODELS.get(self.model)
        width = self.d_model if known is None else known.d_model
        if width is None:
            raise InputError(
                f"{shortened(self.model)} is none of MIB's models ({', '.join(MODELS)}): give d_model=..., or --model"
            )
        content, notes = content_of(circuit, width)
        if known is not None and content.config != known:
            raise InputError(
                f"MIB's {self.model} has {known.shape}, and the circuit is of a model with {content.config.shape}"
            )
        place = path / folder_of(self.task, self.model)
        place.mkdir(parents=True, exist_ok=True)
        write_eap_pt(place / "importances.pt", content)
        return notes

    def _check_names(self) -> None:
        if self.task.replace("_", "-") not in TASKS:
            raise InputError(f"MIB has no task {shortened(repr(self.task))}: give one of {', '.join(TASKS)}")
        if not self.model or "/" in self.model:
            raise InputError(f"MIB names models {', '.join(MODELS)}: give one with model=...")


def _check_suffix(path: Path, *suffixes: str) -> None:
    if path.suffix not in suffixes:
        raise InputError(
            f"this format is written to {' or '.join(suffixes)}, not {shortened(path.name)}: give such a file"
        )
