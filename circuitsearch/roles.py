"""Roles of nodes, given by the user as a mapping or a JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.files import read_json
from circuitsearch.names import LOGITS, canonical_name

_WHAT = 'a file of roles, {"a0.h0": "previous token"}'
Roles = Mapping[str, str] | Mapping[str, Sequence[str]] | str | Path


def roles_of(circuit: Circuit, roles: Roles | None) -> dict[str, str]:
    """Roles by node, ``{"a0.h0": "previous token"}``; names may be in any tool's spelling, with a span or without.

    If a node has several roles, as from the detectors of heads, the first is used; a node without a role is skipped.
    Nodes of the graph that are not in the circuit are skipped, so that one file can be used for many circuits.

    Raises
    ------
    InputError
        If the file cannot be read, a role is not text, or the graph has no such node.
    """
    if roles is None:
        return {}
    given = read_json(roles, _WHAT, dict[str, str | list[str]]) if isinstance(roles, str | Path) else roles
    nodes = {name for writer in circuit.graph.writers for name in (writer, writer.partition("@")[0])} | {LOGITS}
    found = {}
    for name, each in given.items():
        if isinstance(each, list | tuple) and not each:
            continue
        role = each[0] if isinstance(each, list | tuple) else each
        node = canonical_name(name)
        if node not in nodes:
            circuit.graph.find_writer(name)  # raises, with the nearest names
        if not isinstance(role, str) or not plain_text(role):
            raise InputError(f"the role of {name} must be text, not {role!r}")
        found[node] = plain_text(role)
    return found
