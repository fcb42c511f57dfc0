"""The searches of all variations, run one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.progress import Progress
from circuitsearch.replication.configuration import Configuration, Discover
from circuitsearch.replication.folder import Folder, Search
from circuitsearch.replication.variation import Variation, check_count, name_of


@dataclass(frozen=True)
class Found:
    """A circuit with the name of its search and of its variation."""

    name: str
    variation: str
    circuit: Circuit


@dataclass(frozen=True)
class Searches:
    """The searches of some variations; circuits that the folder has are read."""

    variations: Sequence[Variation]
    discover: Discover
    folder: Folder
    progress: Progress

    def circuits(self, base: Configuration) -> list[Found]:
        """One circuit for each search; all searches are made and checked before the first one runs."""
        searches = [
            (f"{name_of(variation)}-{number}", variation, each, Search.of(each, self.discover))
            for variation in self.variations
            for number, each in enumerate(_configurations(variation, base), 1)
        ]
        for name, _, _, search in searches:
            self.folder.check(name, search)
        found = []
        for done, (name, variation, each, search) in enumerate(searches, 1):
            circuit = self.folder.circuit(name, each, search, self.discover)
            each.experiment.evaluator.release()
            if circuit.graph != base.experiment.graph:
                raise InputError(f"the search of {name} gave a circuit of another graph: search on its own experiment")
            found.append(Found(name, name_of(variation), circuit))
            self.progress(done, len(searches))
        return found


def _configurations(variation: Variation, base: Configuration) -> list[Configuration]:
    configurations = variation.configurations(base)
    check_count(variation, len(configurations))
    return configurations
