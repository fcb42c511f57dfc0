"""``read_circuit``: a circuit or scores from a file of any program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import read_json
from circuitsearch.formats.attribution_read import read_attribution_graph
from circuitsearch.formats.eap_graph import FORM, EAPContent
from circuitsearch.formats.eap_json import MOST_BYTES, read_eap_json
from circuitsearch.formats.eap_pt import read_eap_pt
from circuitsearch.formats.edge_lists import read_edge_list
from circuitsearch.formats.foreign import Foreign, Sign, scores_of
from circuitsearch.formats.query_heads import query_head_graph
from circuitsearch.graph import Graph
from circuitsearch.models.describe import describe
from circuitsearch.scores import Scores

WHAT = "a circuit of a program that is known here"
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin")


def read_circuit(path: str | Path, model: Any = None, *, sign: Sign | str | None = None) -> Foreign:
    """Read a circuit or scores that another program wrote, or this one.

    Read are graphs of EAP-IG and MIB (.json in all their layouts, .pt), Edge Pruning's ``edges.json``, lists of edges by auto-circuit's,
    ACDC's or any other tool's names, attribution graphs that this package wrote, and its own files. The content says which it is.

    Parameters
    ----------
    path : path
        The file.
    model : Graph, Experiment or model, optional
        What the circuit is of: a Hugging Face model, or a graph. Without it the graph of the file is used, in which heads share no
        keys and values. A list of edges needs it.
    sign : Sign or str, optional
        What positive scores of the file mean: ``"supports"`` or ``"opposes"`` the behaviour. Needed where the file has scores and does not
        say it.

    Returns
    -------
    Foreign
        The circuit, the scores, and notes on what was assumed.

    Raises
    ------
    InputError
        If the file is none of these, is damaged, would run code or is of another model, or the sign is not given.

    Examples
    --------
    >>> import json, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "edges.json"
    >>> _ = file.write_text(json.dumps([["tok_embeds", "a0.h1.q"], ["a0.h1", "m0"], ["m0", "resid_post"]]))
    >>> found = read_circuit(file, Graph(1, 2, 2))
    >>> found.circuit.edges
    [('embed', 'a0.h1<q>'), ('a0.h1', 'm0<in>'), ('m0', 'logits')]
    >>> found.notes
    ('tokens and positions are one node here: its edge is kept where either was',)
    """
    file, graph = Path(path), _graph_of(model)
    if file.suffix.lower() in PICKLES:
        return _eap(read_eap_pt(path, _expected(graph)), graph, sign)
    if file.suffix.lower() == ".safetensors":
        scores = Scores.load(path)
        return Foreign("file of scores", _same(scores.graph, graph, path), None, scores)
    content = read_json(path, WHAT, dict[str, Any] | list[Any], MOST_BYTES, nan=True)  # pyright: ignore[reportArgumentType]
    return _json(file, content, graph, sign)


def _json(path: Path, content: Any, graph: Graph | None, sign: Sign | str | None) -> Foreign:
    """The circuit of a JSON file, whose format its keys tell."""
    keys = set(content) if isinstance(content, dict) else set()
    if "cfg" in keys:
        return _eap(read_eap_json(path, _expected(graph)), graph, sign)
    if "metadata" in keys or "links" in keys:
        return read_attribution_graph(path, graph)
    if "graph" in keys:
        return _own(path, graph)
    if isinstance(content, list) or all("->" in key for key in keys):
        return read_edge_list(path, graph, sign)
    listed = shortened(", ".join(sorted(keys))) or "none"
    raise InputError(f"{shortened(path, 100)} is not {WHAT} (its keys are {listed}): give another file")


def _eap(content: EAPContent, graph: Graph | None, sign: Sign | str | None) -> Foreign:
    return content.foreign(FORM, graph, sign)


def _own(path: Path, graph: Graph | None) -> Foreign:
    circuit = Circuit.load(path)
    graph = _same(circuit.graph, graph, path)
    return Foreign("circuit", graph, circuit.mask, scores_of(circuit), effects=circuit.effects)


def _same(found: Graph, expected: Graph | None, path: str | Path) -> Graph:
    if expected not in (None, found):
        raise InputError(f"{shortened(path, 100)} is of another model, with {shortened(found, 90)}: give that model")
    return found


def _expected(graph: Graph | None) -> Graph | None:
    return None if graph is None else query_head_graph(graph, FORM)


def _graph_of(model: Any) -> Graph | None:
    """The graph of a model, or of what has one; a graph is returned as it is."""
    if model is None or isinstance(model, Graph):
        return model
    own = getattr(model, "graph", None)
    return own if isinstance(own, Graph) else describe(model).graph
