"""``export``: a circuit in another program's format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.files import write_bytes
from circuitsearch.formats.cytoscape import cytoscape
from circuitsearch.formats.elements import Elements, Roles, elements
from circuitsearch.formats.gexf import gexf
from circuitsearch.formats.graphml import graphml
from circuitsearch.formats.mermaid import mermaid
from circuitsearch.formats.targets import Format
from circuitsearch.registry import FORMATS

WRITERS: dict[str, Callable[[Elements], str]] = {
    "graphml": graphml,
    "gexf": gexf,
    "cyjs": cytoscape,
    "mmd": mermaid,
}
DRAWN = ("svg", "pdf", "png", "tex", "dot")


def export(
    circuit: Circuit,
    path: str | Path,
    *,
    to: Format | str | None = None,
    title: str = "",
    roles: Roles | None = None,
) -> tuple[str, ...]:
    """Write a circuit for another program: as a graph, in the format that the path's suffix chooses, or in a given format.

    ============  ============================================================
    ``.graphml``  yEd, Gephi, Cytoscape, igraph, NetworkX
    ``.gexf``     Gephi
    ``.cyjs``     Cytoscape and cytoscape.js
    ``.mmd``      Mermaid, for Markdown: up to 500 edges
    ============  ============================================================

    Nodes carry their kind, layer, head and role; edges their port, score, sign and ``edge``, their name in this package. Where
    heads share keys and values, an edge into the shared port is written once for each head of the group that the circuit
    uses. The same circuit gives the same bytes. Characters that a format does not allow are replaced by U+FFFD. Figures, and
    also .tex and .dot, are written by :func:`circuitsearch.draw`.

    Parameters
    ----------
    circuit : Circuit
        The circuit; it may be empty.
    path : path
        Where to.
    to : Format or str, optional
        ``"eap-ig(d_model=768)"``, ``"edge-pruning"``, ``"neuronpedia(scan='gpt2-small', tokens=(...))"``, ``"mib(task='ioi',
        model='gpt2')"``, ``"circuitsearch"``: see :mod:`circuitsearch.formats`. These have no title and no roles.
    title : str
        The circuit's title in the file.
    roles : mapping or path, optional
        What nodes do, in any tool's spelling: ``{"a1.h3": "induction"}``, or a JSON file of it.

    Returns
    -------
    tuple of str
        What the format says differently, or leaves out, a sentence each.

    Raises
    ------
    InputError
        If the suffix, the format or a node is unknown, the circuit is too large for the format, or has what it cannot say.
    OSError
        If the file cannot be written.
    """
    if to is not None:
        if roles is not None:
            raise InputError("roles are written to .graphml, .gexf, .cyjs and .mmd only: leave them out")
        return FORMATS.read(to).write(circuit, Path(path))
    suffix = export_suffix(path)
    write_bytes(path, WRITERS[suffix](elements(circuit, title, roles)).encode())
    return ()


def export_suffix(path: str | Path) -> str:
    """Format that a path asks for; an InputError lists the known ones, and says what writes other files.

    Examples
    --------
    >>> export_suffix("x.graphml")
    'graphml'
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in WRITERS:
        known = ", ".join(f".{name}" for name in WRITERS)
        named = f"choose one of {', '.join(FORMATS.names())} with to=... (--to)"
        hint = f"its suffix must be one of {known}"
        if suffix in ("json", "pt", ""):
            raise InputError(f"{str(path)!r} may be of several formats: {named}; of others {hint}")
        drawn = " (draw writes figures)" if suffix in DRAWN else ""
        raise InputError(f"cannot export to {str(path)!r}{drawn}: {hint}, or {named}")
    return suffix
