"""What nodes do, as somebody says it: a mapping or a small JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.files import read_json
from circuitsearch.names import LOGITS, canonical_name

_WHAT = 'a file of roles, {"a0.h0": "previous token"}'
Roles = Mapping[str, str] | Mapping[str, tuple[str, ...]] | str | Path


def roles_of(circuit: Circuit, roles: Roles | None) -> dict[str, str]:
    """Roles by node, ``{"a0.h0": "previous token"}``; names may be in any tool's spelling, with a span or without.

    Of a node with several, as the detectors of heads give them, the first counts; one with none is passed over.
    Nodes of the graph that the circuit lacks are passed over, so that one file serves many circuits.

    Raises
    ------
    InputError
        If the file cannot be read, a role is no text, or the graph has no such node.
    """
    if roles is None:
        return {}
    given = read_json(roles, _WHAT, dict[str, str | list[str]]) if isinstance(roles, str | Path) else roles
    known = {name for writer in circuit.graph.writers for name in (writer, writer.partition("@")[0])} | {LOGITS}
    found = {}
    for name, each in given.items():
        if isinstance(each, list | tuple) and not each:
            continue
        role = each[0] if isinstance(each, list | tuple) else each
        node = canonical_name(name)
        if node not in known:
            circuit.graph.find_writer(name)  # says which names come near
        if not isinstance(role, str) or not plain_text(role):
            raise InputError(f"the role of {name} must be a text, not {role!r}")
        found[node] = plain_text(role)
    return found
