"""The file: made when it is first needed, refused if it is no library, damaged or newer, and written by several at a time."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.library import Library, store
from tests.forks import forked
from tests.library.conftest import COPY, GRAPH, MakeRun

forks = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")


def test_there_is_no_library_before_the_first_circuit(library: Library, make_run: MakeRun, tmp_path: Path):
    """Reading makes none; adding makes one, but no folder."""
    for read in (library.entries, library.search, library.compare, lambda: len(library)):
        with pytest.raises(InputError, match="there is no library"):
            read()
    assert not library.path.exists()
    with pytest.raises(InputError, match="does not exist: make it"):
        Library(tmp_path / "nowhere" / "library.db").add(make_run())


@pytest.mark.parametrize("content", [b"hello", b"SQLite format 2\\0", b"SQLite format 3\0" + b"\0" * 200])
def test_a_file_that_is_no_library_is_refused(library: Library, make_run: MakeRun, content: bytes):
    """And stays as it is."""
    library.path.write_bytes(content)
    run = make_run()
    for use in (library.entries, lambda: library.add(run)):
        with pytest.raises(InputError, match=r"is not a library of circuits|is damaged"):
            use()
    assert library.path.read_bytes() == content


def test_a_database_of_another_program_is_refused(library: Library, make_run: MakeRun):
    """Even one that has a table of the same name; nothing is added to it."""
    with closing(sqlite3.connect(library.path)) as other:
        other.execute("CREATE TABLE circuits (id INTEGER)")
    before = library.path.read_bytes()
    for use in (library.entries, lambda: library.add(make_run())):
        with pytest.raises(InputError, match="is not a library of circuits"):
            use()
    assert library.path.read_bytes() == before


def test_a_folder_is_refused(tmp_path: Path):
    """As a library."""
    with pytest.raises(InputError, match="is not a file"):
        Library(tmp_path).entries()


def test_a_library_of_a_newer_version_is_refused(library: Library, make_run: MakeRun):
    """By a migration that this version does not know; the sentence names it."""
    library.add(make_run())
    with closing(sqlite3.connect(library.path)) as newer:
        newer.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('circuitsearch-library', 'notes', 'now')"
        )
        newer.commit()
    for use in (library.entries, lambda: library.add(library.path.parent / "run")):
        with pytest.raises(InputError, match=r"newer version of circuitsearch \(notes\)"):
            use()


def test_an_older_library_is_brought_up_to_date(library: Library, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch):
    """A migration that was added since is applied once, and all circuits stay."""
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    from circuitsearch.library import schema

    entry, newer = library.add(make_run()).entry, Migrations("circuitsearch-library")
    newer(name="circuits")(lambda db: None)

    def stars(db: Database) -> None:
        db.table("stars").create({"circuit": int})

    newer()(stars)
    monkeypatch.setattr(schema, "migrations", newer)
    store._known.cache_clear()
    try:
        assert library.entries() == (entry,) == library.entries()
        with closing(sqlite3.connect(library.path)) as read:
            assert read.execute("SELECT count(*) FROM stars").fetchone() == (0,)
    finally:
        store._known.cache_clear()


def test_a_damaged_library_is_one_sentence(library: Library, make_run: MakeRun):
    """Whatever is wrong with it: a missing table, a column of another kind, a cut file."""
    run = make_run()
    library.add(run)
    whole = library.path.read_bytes()
    for damage in ("DROP TABLE edges", "UPDATE circuits SET n_edges = 'many'", "UPDATE circuits SET graph = x'ff'"):
        library.path.write_bytes(whole)
        with closing(sqlite3.connect(library.path)) as other:
            other.execute(damage)
            other.commit()
        with pytest.raises(InputError, match="is damaged"):
            library.search(head="1.2")
    library.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged"):
        library.search(head="1.2")


def test_a_kept_file_is_of_its_size(library: Library, make_run: MakeRun):
    """A file that would unpack to more than it says is refused before it is unpacked."""
    library.add(make_run())
    with closing(sqlite3.connect(library.path)) as other:
        other.execute("UPDATE files SET size = 3 WHERE name = 'circuit.json'")
        other.commit()
    with pytest.raises(InputError, match="another size"):
        library.circuit(1)


def _add(path: Path, sources: list[Path]) -> None:
    for source in sources:
        Library(path).add(source)


@forks
def test_two_processes_lose_nothing(library: Library, tmp_path: Path):
    """Both make the library and add at the same time, some circuits both of them: every one is there once, with all its edges."""
    sources = [tmp_path / f"{row}.json" for row in range(18)]
    edges = list(GRAPH.edges(GRAPH.mask))
    for row, source in enumerate(sources):
        Circuit.from_edges(GRAPH, edges[row : row + 5]).save(source)
    workers = [forked(_add, library.path, part) for part in (sources[:12], sources[6:])]
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(library) == 18 and len({entry.digest for entry in library.entries()}) == 18
    assert sum(map(len, library.edges(range(1, 19)).values())) == 18 * 5


def _die(path: Path, source: Path) -> None:
    """Add a circuit, and end before the transaction is over."""
    with store.writing(path) as db:
        Library(path)  # as another use of the same file
        db.table("circuits").delete_where("1")
        os._exit(1)


@forks
def test_a_writer_that_is_killed_leaves_the_library_as_it_was(library: Library, make_run: MakeRun):
    """What it wrote is gone, and the next one can write."""
    run = make_run()
    library.add(run)
    worker = forked(_die, library.path, run)
    worker.join(60)
    assert worker.exitcode == 1 and len(library) == 1
    assert library.add(make_run("other", COPY[:2], seed=1)).new


def test_waiting_ends(library: Library, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch):
    """In a sentence, if another process does not stop writing."""
    library.add(make_run())
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    with closing(sqlite3.connect(library.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match="another process has been writing"):
            library.add(make_run("other", seed=1))
        assert len(library) == 1
