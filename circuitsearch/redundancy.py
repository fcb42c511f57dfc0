"""Redundancy: what can take the place of a circuit's edges, kept with the circuit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from circuitsearch.errors import counted
from circuitsearch.files import STRICT, Number

NEEDED, ALTERNATIVE, BACKUP, INTERACTS, OPPOSES = "needed", "alternative", "backup", "interacts", "opposes"

REPLACEABLE = (ALTERNATIVE, BACKUP)
"""Roles of edges whose place others can take."""
SAID = {
    NEEDED: "in every one",
    ALTERNATIVE: "in some of them",
    BACKUP: "in a backup",
    INTERACTS: "in none but change what others do",
    OPPOSES: "against the behaviour",
}


@dataclass(frozen=True)
class Alternative:
    """A circuit that reaches the target without some edges.

    Attributes
    ----------
    forbidden : tuple of str
        The edges that it was searched for without, ``"a0.h1->a2.h3<q>"`` each.
    edges : tuple of str
        Its edges; none if no circuit without those was found.
    faithfulness : float
        Its faithfulness; NaN if none was found.
    """

    __pydantic_config__ = STRICT

    forbidden: tuple[str, ...]
    edges: tuple[str, ...]
    faithfulness: Number


@dataclass(frozen=True)
class Gate:
    """How the edges into one reader work together.

    Attributes
    ----------
    kind : str
        ``"AND"``: the effect of all is lost without any one of them. ``"OR"``: any one of them has it. ``"SUM"``: their effects add
        up. ``"2 of 3"``: any two of three have it.
    reader : str
        Where they meet.
    edges : tuple of str
        The edges.
    """

    __pydantic_config__ = STRICT

    kind: str
    reader: str
    edges: tuple[str, ...]


@dataclass(frozen=True)
class Redundancy:
    """The minimal circuits whose union a complete circuit is, and what its edges do in it.

    Attributes
    ----------
    target : float
        The faithfulness that each minimal circuit reaches.
    faithfulness : float
        Of the complete circuit, on the prompts on which it was made.
    minimal : tuple of str
        The circuit that was found first.
    alternatives : tuple of Alternative
        The circuits found without some of its edges, in the order in which they were searched for.
    without, without_in_model : dict
        The faithfulness of the complete circuit without each of its edges, and that of the model without it.
    left_out : dict
        Edges that change the model's faithfulness by 1 - target or more when they are ablated in it, but with which the complete circuit would
        miss the target, or in which they change little: the model's faithfulness without each.
    gates : tuple of Gate
        Readers at which edges work together in a way that has a name.
    untried : int
        Edges of the first circuit that no circuit was searched for without, because the circuit loses little without them, the model loses as much, or
        they were too many.
    """

    __pydantic_config__ = STRICT

    target: float
    faithfulness: Number
    minimal: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    without: Mapping[str, Number]
    without_in_model: Mapping[str, Number]
    left_out: Mapping[str, Number] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    untried: int = 0

    @property
    def in_words(self) -> str:
        """How the circuit was completed, for captions."""
        return f"the union of {counted(len(self.circuits), 'minimal circuit')}, with what interacts with them"

    @cached_property
    def circuits(self) -> tuple[frozenset[str], ...]:
        """The edges of every different minimal circuit, of the first one first."""
        found = (frozenset(self.minimal), *(frozenset(each.edges) for each in self.alternatives if each.edges))
        return tuple(dict.fromkeys(found))

    @cached_property
    def roles(self) -> dict[str, str]:
        """What each edge of the complete circuit does.

        ``"opposes"``: without it the faithfulness is higher, by more than the target allows for. ``"needed"``: it is in every minimal
        circuit. ``"backup"``: it is in some, and an edge of another one silences its component. ``"alternative"``: in some. ``"interacts"``:
        in none, but it changes what others do.
        """
        return {edge: self._role(edge) for edge in self.without}

    def replacements(self, edge: str) -> tuple[str, ...]:
        """The edges of the circuits found without this edge that the first circuit does not have."""
        found = (each.edges for each in self.alternatives if edge in each.forbidden)
        return tuple(dict.fromkeys(other for edges in found for other in edges if other not in self.minimal))

    def describe(self) -> str:
        """In one sentence: how many minimal circuits there are, and how many edges have each role.

        Examples
        --------
        >>> other = Alternative(("a->b",), ("c->b",), 0.97)
        >>> Redundancy(0.9, 1.0, ("a->b",), (other,), {"a->b": 1.0, "c->b": 1.0}, {"a->b": 1.0, "c->b": 1.0}).describe()
        '2 minimal circuits reach 0.9; 2 edges are in some of them'
        """
        counts = {role: list(self.roles.values()).count(role) for role in SAID}
        parts = [
            f"{count} {'edges are' if count > 1 else 'edge is'} {SAID[role]}" for role, count in counts.items() if count
        ]
        n = len(self.circuits)
        return f"{n} minimal circuit{'s reach' if n > 1 else ' reaches'} {self.target:g}; {', '.join(parts)}"

    def _role(self, edge: str) -> str:
        having = [edge in circuit for circuit in self.circuits]
        if self._opposes(edge):
            return OPPOSES
        if all(having):
            return NEEDED
        if not any(having):
            return INTERACTS
        return BACKUP if edge in self._backups else ALTERNATIVE

    @cached_property
    def _backups(self) -> frozenset[str]:
        """Edges of later circuits through a component that an opposing edge from the first circuit enters."""
        writers = {edge.partition("->")[0] for edge in self.minimal} - {"embed"}
        silenced = {
            _node(edge.partition("->")[2])
            for edge in self.without
            if self._opposes(edge) and edge.partition("->")[0] in writers
        }
        others = {edge for circuit in self.circuits[1:] for edge in circuit} - set(self.minimal)
        return frozenset(edge for edge in others if silenced & set(map(_node, edge.split("->"))))

    def _opposes(self, edge: str) -> bool:
        return self.without[edge] - self.faithfulness > 1 - self.target


def _node(name: str) -> str:
    """The component of a writer or a reader."""
    return name.partition("<")[0]
