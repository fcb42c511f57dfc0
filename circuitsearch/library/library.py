"""Library: circuits kept in one file, to be searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, counted, shortened, unknown
from circuitsearch.files import write_bytes
from circuitsearch.finding import Finding
from circuitsearch.formats import Sign
from circuitsearch.library.answers import Node, edges_of, feeds_of, match, nodes_of, with_words
from circuitsearch.library.entry import Added, Edge, Entry, Match, entry_of
from circuitsearch.library.export import export
from circuitsearch.library.kept import circuit_in, files_of
from circuitsearch.library.overlap import Comparison, comparison
from circuitsearch.library.page import page
from circuitsearch.library.query import Asked, Condition, Conditions
from circuitsearch.library.rows import name_model, remove, write
from circuitsearch.library.source import Source, from_file, from_finding, from_folder, with_roles
from circuitsearch.library.store import check_place, reading, writing
from circuitsearch.roles import Roles

if TYPE_CHECKING:
    from sqlite_utils import Database

_ENTRIES = "SELECT c.*, coalesce(m.name, '') AS model_name FROM circuits c LEFT JOIN models m ON m.key = c.model"


class Library:
    """Circuits kept in one file, with their reports, roles and runs; several processes may use it at a time.

    Parameters
    ----------
    path : path
        The file; it is made when the first circuit is added.

    Examples
    --------
    >>> import tempfile
    >>> from circuitsearch.graph import Graph
    >>> folder = Path(tempfile.mkdtemp())
    >>> Circuit.from_edges(Graph(2, 4, 4), [("embed", "a1.h3<v>"), ("a1.h3", "logits")]).save(folder / "circuit.json")
    >>> library = Library(folder / "library.db")
    >>> print(library.add(folder / "circuit.json", model="mine", task="copy").entry)
    1: copy in mine, 2 edges
    >>> print(*library.search(head="1.3"))
    1: copy in mine, 2 edges
      a1.h3: in embed->a1.h3<v>; out a1.h3->logits
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r})"

    def __len__(self) -> int:
        with reading(self.path) as db:
            return db.table("circuits").count

    def check(self) -> None:
        """Raise an InputError if circuits cannot be added: the file is no library, is damaged or newer, or cannot be there."""
        check_place(self.path)
        if self.path.exists():
            with reading(self.path):
                pass

    # ---- adding

    def add(
        self,
        source: str | Path | Finding,
        *,
        model: str = "",
        task: str = "",
        roles: Roles | None = None,
        of: Any = None,
        sign: Sign | str | None = None,
    ) -> Added:
        """Add a run or a circuit. The same circuit added again is one entry, to which a new report, roles or folder are added.

        Parameters
        ----------
        source : path or Finding
            A run's folder; what :func:`circuitsearch.find` returned; or a circuit's file, of this program or of another one.
        model, task : str, optional
            Names, where the run or file has none, or in their place.
        roles : mapping or path, optional
            Roles of nodes; by default those of the run.
        of, sign
            As the parameters ``model`` and ``sign`` of :func:`circuitsearch.read_circuit`, for files of other programs.

        Returns
        -------
        Added
            The entry, and whether it is new.

        Raises
        ------
        InputError
            If the source cannot be read, or the library cannot be written.
        """
        found = self._read(source, of, sign).named(model, task)
        full = found if roles is None else with_roles(found, roles)
        with writing(self.path) as db:
            name_model(db, full.model_key, full.model, given=bool(model))
            identity, new = write(db, full)
            return Added(self._one(db, identity), new)

    def _read(self, source: str | Path | Finding, of: Any, sign: Sign | str | None) -> Source:
        if isinstance(source, Finding):
            return from_finding(source)
        path = Path(source)
        return from_folder(path) if path.is_dir() else from_file(path, of, sign)

    def remove(self, *identities: int) -> tuple[Entry, ...]:
        """Remove entries with their edges, roles and files; if one is unknown, none is removed.

        The run folders that were added stay where they are. A later circuit may get a number that is free again.

        Parameters
        ----------
        *identities : int
            Numbers of entries: ``Entry.id``.

        Returns
        -------
        tuple of Entry
            What was removed.

        Raises
        ------
        InputError
            If there is no such library or entry, or the library cannot be written.
        """
        with reading(self.path):  # writing would make a library that is not there
            pass
        with writing(self.path) as db:
            entries = tuple(self._one(db, identity) for identity in dict.fromkeys(identities))
            for entry in entries:
                remove(db, entry.id)
            return entries

    # ---- reading

    def entries(self, **conditions: Unpack[Conditions]) -> tuple[Entry, ...]:
        """The entries that fit all conditions, in the order in which they were added: see :meth:`search`."""
        asked = Asked.of(conditions)
        with reading(self.path) as db:
            return tuple(self._entries(db, asked.where()))

    def search(self, words: str = "", **conditions: Unpack[Conditions]) -> tuple[Match, ...]:
        """Find circuits, and how they use what was asked for.

        Parameters
        ----------
        words : str
            Words that must all occur in the report, the roles, or the name and description of the task; results are then in the
            order of relevance.
        **conditions
            ``model``, ``task``, ``head``, ``edge``, ``role``, ``size``, ``faithfulness``, ``low``, ``ids``:
            see :class:`Conditions`.

        Returns
        -------
        tuple of Match
            Entries, with the role and the edges of each node that was asked for.

        Raises
        ------
        InputError
            If a condition is wrong, there is no such library, or it is damaged.
        """
        asked = Asked.of(conditions)
        with reading(self.path) as db:
            found = list(self._entries(db, asked.where()))
            if words.strip():
                ranks = {identity: rank for rank, identity in enumerate(with_words(db, words))}
                found = sorted((each for each in found if each.id in ranks), key=lambda entry: ranks[entry.id])
            return tuple(match(db, entry, asked) for entry in found)

    def circuit(self, identity: int) -> Circuit:
        """The circuit of an entry, as it was added."""
        return circuit_in(self.files(identity), self.path)

    def files(self, identity: int) -> dict[str, bytes]:
        """The files of an entry, by name: those of its run except figures and page."""
        with reading(self.path) as db:
            self._one(db, identity)
            return files_of(db, identity, self.path)

    def nodes(self, identities: Sequence[int]) -> list[Node]:
        """The nodes of some entries: the entry's id, the node, its role, and how many edges go in and out of it."""
        with reading(self.path) as db:
            return nodes_of(db, identities, self.path)

    def edges(self, identities: Sequence[int]) -> dict[int, tuple[Edge, ...]]:
        """The edges of some entries, the strongest first."""
        with reading(self.path) as db:
            return {each: edges_of(db, ("FROM edges e WHERE e.circuit = ?", []), [each]) for each in identities}

    def feeds(self, identities: Sequence[int]) -> dict[int, dict[str, list[str]]]:
        """The readers of some entries that have edges, each with the nodes of the circuit that it feeds."""
        with reading(self.path) as db:
            return {each: feeds_of(db, each) for each in identities}

    # ---- what is made of several

    def compare(self, **conditions: Unpack[Conditions]) -> Comparison:
        """Compare the circuits that fit, which must be of one model.

        Returns
        -------
        Comparison
            Overlap of each two, a tree, and what each head does in each of them.

        Raises
        ------
        InputError
            If no circuit fits, or they are of different models or kinds of nodes.
        """
        entries = self._some(conditions)
        ids = [each.id for each in entries]
        edges = [[edge.name for edge in each] for each in self.edges(ids).values()]
        return comparison(entries, edges, self.nodes(ids))

    def export(self, out: str | Path, **conditions: Unpack[Conditions]) -> tuple[Entry, ...]:
        """Write the circuits that fit to a file, by its suffix .json, .csv or .parquet, or as run folders in a new folder.

        A run folder's circuit.json, report.json and other files are byte for byte those that were added.

        Returns
        -------
        tuple of Entry
            What was written.

        Raises
        ------
        InputError
            If no circuit fits, the suffix is unknown or the place is taken, or Parquet is asked for without pyarrow.
        """
        entries = self._some(conditions)
        export(self, entries, Path(out))
        return entries

    def write_page(self, out: str | Path, **conditions: Unpack[Conditions]) -> tuple[Entry, ...]:
        """Write the circuits that fit as one HTML file with filters, a search and the overlap of the circuits of each model.

        A run's own page is linked if its folder still has one.

        Returns
        -------
        tuple of Entry
            What the page shows.

        Raises
        ------
        InputError
            If no circuit fits, or the name does not end in .html.
        """
        if Path(out).suffix.lower() not in (".html", ".htm"):
            raise InputError(f"{shortened(out)} is no name of a page: write one that ends in .html")
        entries = self._some(conditions)
        write_bytes(out, page(self, entries, Path(out)).encode())
        return entries

    def _some(self, conditions: Conditions) -> tuple[Entry, ...]:
        entries = self.entries(**conditions)
        if not entries:
            raise InputError(f"none of the {counted(len(self), 'circuit')} in {self.path} fits: leave out a condition")
        return entries

    def _entries(self, db: Database, where: Condition) -> Iterator[Entry]:
        sql, values = where
        for row in db.query(f"{_ENTRIES} WHERE {sql} ORDER BY c.id", values):
            yield entry_of(row, self.path)

    def _one(self, db: Database, identity: int) -> Entry:
        found = next(self._entries(db, ("c.id = ?", [identity])), None)
        if found is None:
            known = [str(row[0]) for row in db.execute("SELECT id FROM circuits").fetchall()]
            raise unknown("circuit of the library", str(identity), known)
        return found
