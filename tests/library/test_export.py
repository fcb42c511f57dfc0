"""A library as files, and a run folder again."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.library import Library
from circuitsearch.models.planted import plant
from circuitsearch.pipeline import find
from circuitsearch.search import Refine
from tests.library.conftest import MakeRun


def test_run_folders_come_out_byte_for_byte(library: Library, make_run: MakeRun, tmp_path: Path):
    """circuit.json, report.json and roles; a name cannot lead out of the folder."""
    run = make_run(roles={"a1.h2": "copying"}, task="../../etc/passwd\x00")
    library.add(run)
    library.export(tmp_path / "again")
    (folder,) = (tmp_path / "again").iterdir()
    assert folder.name == "001-etc-passwd-w"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        file.name: file.read_bytes() for file in run.iterdir()
    }
    other = Library(tmp_path / "other.db")
    assert other.add(folder).entry.digest == library.entries()[0].digest


def test_json_and_tables(library: Library, make_run: MakeRun, tmp_path: Path):
    """JSON has edges and roles, tables a row a circuit; what is not known is null or empty."""
    run = make_run("one", roles={"a1.h2": "copying"})
    library.add(run)
    library.add(make_run("two", seed=1) / "circuit.json")
    library.export(tmp_path / "all.json")
    first, second = json.loads((tmp_path / "all.json").read_text())
    assert first["roles"] == {"a1.h2": "copying"} and "a1.h2->logits" in first["edges"] and first["low"] == 0.874
    assert second["faithfulness"] is None
    library.export(tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["n_edges"] for row in rows] == ["5", "5"] and [row["faithfulness"] for row in rows] == ["0.912", ""]


def test_parquet(library: Library, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same rows, with their types; without pyarrow a sentence says what to install."""
    parquet = pytest.importorskip("pyarrow.parquet")
    library.add(make_run())
    library.export(tmp_path / "all.parquet")
    (row,) = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert row["n_edges"] == 5 and row["faithfulness"] == 0.912 and row["task"] == "ioi"
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"circuitsearch\[parquet\]"):
        library.export(tmp_path / "more.parquet")


def test_places_that_cannot_be_written_are_refused(library: Library, make_run: MakeRun, tmp_path: Path):
    """Before anything is written."""
    library.add(make_run())
    for place, said in (
        ("run", "not an empty folder"),
        ("nowhere/all.json", "does not exist"),
        ("all.xlsx", "not written as .xlsx"),
    ):
        with pytest.raises(InputError, match=said):
            library.export(tmp_path / place)
    with pytest.raises(InputError, match=r"ends in \.html"):
        library.write_page(library.path)
    assert len(library) == 1


def test_find_keeps_its_run(library: Library, tmp_path: Path):
    """With a folder and without one; the folder comes out of the library as one that can be opened. A wrong library ends it at once."""
    planted = plant("induction", seed=1, n=16)
    asked: dict[str, Any] = {"refine": Refine(passes=1, prompts=4), "listeners": [], "method": "eap"}
    (tmp_path / "text.db").write_text("no library")
    with pytest.raises(InputError, match="is not a library"):
        find(planted.model, planted.task, library=tmp_path / "text.db", **asked)
    finding = find(planted.model, planted.task, library=library.path, out=tmp_path / "kept", **asked)
    assert library.entries()[0].folder == str(tmp_path / "kept") and library.entries()[0].task == "planted-induction"
    library.export(tmp_path / "again")
    (folder,) = (tmp_path / "again").iterdir()
    again = cs.open_run(folder)
    assert again.circuit.edges == finding.circuit.edges and str(again.report) == str(finding.report)
    assert (folder / "circuit.json").read_bytes() == (tmp_path / "kept" / "circuit.json").read_bytes()
    assert not library.add(finding).new
    other = Library(tmp_path / "other.db")
    find(planted.model, planted.task, library=other.path, **asked)
    (entry,) = other.entries()
    assert entry.folder == "" and entry.faithfulness == library.entries()[0].faithfulness
