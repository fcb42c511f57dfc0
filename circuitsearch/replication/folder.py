"""The circuits found so far, kept in a folder, so that a stability analysis that was interrupted goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import read_json, sha256_of, write_json
from circuitsearch.replication.configuration import Configuration, Discover
from circuitsearch.run_log import LOG
from circuitsearch.setup import Setup, Spec

SEARCHES = "searches.json"
CIRCUITS = "circuits"


class Search(BaseModel):
    """All that one of the circuits depends on, and the checksum of its file once it is found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setup: Setup
    faithfulness: float
    discover: str
    sha256: str = ""

    @classmethod
    def of(cls, configuration: Configuration, discover: Discover) -> Search:
        """The search of a configuration by a function or a value that is called."""
        method = Spec.of(configuration.method)
        setup = configuration.experiment.setup.model_copy(update={"method": method})
        name = repr(discover) if is_dataclass(discover) else getattr(discover, "__qualname__", type(discover).__name__)
        return cls(setup=setup, faithfulness=configuration.faithfulness, discover=name)

    def differences(self, other: Search) -> list[str]:
        """The settings in which two searches differ, each in a few words."""
        both = [(name, getattr(self, name), getattr(other, name)) for name in ("faithfulness", "discover")]
        return self.setup.differences(other.setup) + [
            f"{name} {theirs}, not {mine}" for name, mine, theirs in both if mine != theirs
        ]


@dataclass
class Folder:
    """A folder of circuits, each with what it depends on; without a path nothing is kept.

    Raises
    ------
    InputError
        If the path is not a folder of a stability analysis.
    """

    path: Path | None
    known: dict[str, Search] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(f"{shortened(self.path, 100)} is a file: choose a folder for the circuits")
        if (self.path / SEARCHES).exists():
            self.known = read_json(self.path / SEARCHES, "a list of searches", dict[str, Search])
        elif any(file.name != LOG for file in self.path.iterdir()):
            raise InputError(
                f"{shortened(self.path, 100)} is not empty and has no circuits of a stability analysis: choose another folder"
            )

    def check(self, name: str, search: Search) -> None:
        """Raise an InputError if the folder has a circuit of that name from another search."""
        different = self.known[name].differences(search) if name in self.known else []
        if different:
            raise InputError(
                f"{shortened(self.path, 80)} has circuits of other searches ({shortened('; '.join(different), 110)}): choose"
                " another folder"
            )

    def circuit(self, name: str, configuration: Configuration, search: Search, discover: Discover) -> Circuit:
        """The circuit of that name, read from the folder or found."""
        if self.path is None:
            return discover(configuration)
        file = self.path / CIRCUITS / f"{name}.json"
        if name in self.known and file.exists():
            if self.known[name].sha256 not in ("", sha256_of(file)):
                raise InputError(f"{shortened(file, 100)} was changed since it was found: remove it to search again")
            return Circuit.load(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._know(name, search)
        circuit = discover(self._resumable(name, configuration))
        circuit.save(file)
        self._know(name, search.model_copy(update={"sha256": sha256_of(file)}))
        return circuit

    def _know(self, name: str, search: Search) -> None:
        assert self.path is not None
        self.known[name] = search
        write_json(self.path / SEARCHES, {each: known.model_dump(mode="json") for each, known in self.known.items()})

    def _resumable(self, name: str, configuration: Configuration) -> Configuration:
        assert self.path is not None
        return replace(configuration, checkpoint=self.path / CIRCUITS / f"{name}.checkpoint")
