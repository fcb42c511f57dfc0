"""Cells are run once, kept whole, and reported where they fail."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from circuitsearch.bench import Benchmark, BenchmarkResults, Cell, benchmark, merge
from circuitsearch.bench.comparison import Comparison
from circuitsearch.bench.definition import presets
from circuitsearch.errors import InputError
from circuitsearch.files import locked
from circuitsearch.models.planted import plant, reset
from circuitsearch.setup import versions
from tests.bench.conftest import asked
from tests.forks import forked

ONE = asked(methods=["eap"])

PLANTED = """
methods = ["exact"]
seeds = [0, 1]
n = 8
[[grid]]
models = ["planted:induction:1"]
"""


def test_killed_twice_it_ends_in_the_same_table(tmp_path: Path):
    """SIGKILL within the first cell and within the second, then a run to the end: the bytes of the exported table are the same."""
    (tmp_path / "asked.toml").write_text(PLANTED)
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    run(tmp_path / "asked.toml", whole)
    for count in (0, 1):
        process = forked(run, tmp_path / "asked.toml", broken)
        while finished(broken) < count:
            assert process.is_alive()
            time.sleep(0.001)
        process.kill()
        process.join()
        assert finished(broken) == count and not (broken / "cells.csv").exists()
    run(tmp_path / "asked.toml", broken)
    assert (whole / "cells.csv").read_bytes() == (broken / "cells.csv").read_bytes()
    assert (whole / "cells.csv").read_bytes().count(b"\n") > 20


def run(asked: Path, folder: Path) -> None:
    benchmark(Benchmark.read(asked), folder).write(folder / "cells.csv")


def finished(folder: Path) -> int:
    """How many cells a folder holds; -1 if there is none yet."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'benchmark.sqlite'}?mode=ro", uri=True)) as db:
            return db.execute("select count(*) from cells").fetchone()[0]
    except sqlite3.Error:
        return -1


def test_finished_cells_are_not_run_again(tmp_path: Path, one_cell: Path, monkeypatch: pytest.MonkeyPatch):
    """A second call measures nothing, one with a further method only that, and the table of a smaller one has only its cells."""
    copytree(one_cell, tmp_path, dirs_exist_ok=True)
    first = BenchmarkResults.open(tmp_path)
    ran: list[str] = []
    measure = Comparison.measure

    def counted(self: Comparison, cell: Cell, checkpoint: Path):
        ran.append(cell.method)
        return measure(self, cell, checkpoint)

    monkeypatch.setattr(Comparison, "measure", counted)
    assert benchmark(asked(methods=["eap"]), tmp_path).table == first.table and ran == []
    assert {row["method"] for row in benchmark(asked(), tmp_path).table} == {"eap", "relp"} and ran == ["relp"]
    assert benchmark(asked(methods=["eap"]), tmp_path).table == first.table and ran == ["relp"]


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a benchmark of one cell, to be copied."""
    folder = tmp_path_factory.mktemp("cell")
    benchmark(ONE, folder)
    return folder


def again(folder: Path, one_cell: Path, **others: Any) -> tuple[BenchmarkResults, list[str]]:
    """The same benchmark in a copy of its folder, but for some settings; and what was told."""
    copytree(one_cell, folder, dirs_exist_ok=True)
    told: list[str] = []
    return benchmark(asked(methods=["eap"], **others), folder, told=lambda cell, what: told.append(what)), told


@pytest.mark.parametrize(
    "other", [{"n": 20}, {"ablation": "zero"}, {"sizes": [0.02, 1.0]}, {"measured": 4}, {"metric": "prob_diff"}]
)
def test_a_cell_of_another_setup_is_another_cell(other: dict[str, Any], tmp_path: Path, one_cell: Path):
    """It is measured again, which is said with the difference; the first one stays in the file as it was."""
    found, told = again(tmp_path, one_cell, **other)
    assert told[0].startswith("is measured again, since the finished one has another setup: ") and len(told) == 2
    first = BenchmarkResults.open(one_cell)
    assert {row["setup"] for row in found.table}.isdisjoint({row["setup"] for row in first.table})
    assert again_with_first(tmp_path).table == first.table


def again_with_first(folder: Path) -> BenchmarkResults:
    """The first benchmark again, of which nothing is run."""
    told: list[str] = []
    found = benchmark(ONE, folder, told=lambda cell, what: told.append(what))
    assert told == ["was finished before"]
    return found


def test_other_versions_are_another_setup(tmp_path: Path, one_cell: Path, monkeypatch: pytest.MonkeyPatch):
    """Numbers of another torch are not taken for those of this one."""
    other = versions() | {"torch": "1.0"}
    monkeypatch.setattr("circuitsearch.experiment.versions", lambda: other)
    found, told = again(tmp_path, one_cell)
    assert told[0].endswith(f"another setup: torch 1.0, not {versions()['torch']}")
    assert found.table[0]["setup"] != BenchmarkResults.open(one_cell).table[0]["setup"]


def test_a_failed_cell_is_reported_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The others are measured; a bug is reported without its repr, and the traceback is kept."""
    wanted = asked(grid=[{"models": ["./nowhere"]}, {"models": ["planted:induction:1"]}])
    measure = Comparison.measure

    def broken(self: Comparison, cell: Cell, checkpoint: Path):
        if cell.method == "relp":
            raise KeyError("secret repr")
        return measure(self, cell, checkpoint)

    with monkeypatch.context() as patched:
        patched.setattr(Comparison, "measure", broken)
        found = benchmark(wanted, tmp_path)
    failures = {(row["model"], row["method"]): row["failure"] for row in found.failures}
    assert set(failures) == {("./nowhere", "eap"), ("./nowhere", "relp"), ("planted:induction:1", "relp")}
    assert "there is no model folder ./nowhere" in failures["./nowhere", "eap"]
    bug = failures["planted:induction:1", "relp"]
    assert "an internal error (KeyError)" in bug and "secret" not in bug
    assert str(found) == "Benchmark: 1 of 4 cells measured, 3 failed"
    assert (
        "there is no model folder ./nowhere" in found.to_markdown()
        and "there is no model folder ./nowhere" in found.to_html()
    )
    assert len(benchmark(wanted, tmp_path).failures) == 2


def test_a_model_that_does_not_do_the_task_is_a_failed_cell(tmp_path: Path):
    """As in find: there is nothing to be faithful to. The weights of this one are in random order. It stays one if it is merged."""
    planted = plant("induction", 4, n=32)
    replace(planted, model=reset(planted.model, 0)).save(tmp_path / "reset")
    wanted = asked(methods=["eap"], grid=[{"models": [str(tmp_path / "reset")]}])
    (failure,) = benchmark(wanted, tmp_path / "out").failures
    assert "does not do the task" in failure["failure"]
    assert merge([tmp_path / "out"], tmp_path / "merged").failures == (failure,)


def test_one_process_at_a_time(tmp_path: Path):
    """A second one is refused."""
    with locked(tmp_path), pytest.raises(InputError, match="another process is running"):
        benchmark(asked(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database, and long enough to be read as one" * 30])
def test_a_file_that_is_none_of_ours(content: bytes, tmp_path: Path):
    """An empty file is a new table; anything else is refused with a sentence."""
    (tmp_path / "benchmark.sqlite").write_bytes(content)
    if not content:
        assert not benchmark(asked(methods=["eap"]), tmp_path).failures
        return
    with pytest.raises(InputError, match="cannot be used"):
        benchmark(asked(), tmp_path)


@pytest.mark.parametrize("name", presets())
def test_presets_are_right(name: str):
    """Every name in them is known, and their first line says what they measure."""
    assert Benchmark.read(name).cells()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("methods = [", "is not TOML"),
        ("methods = ['eap']", "the key 'grid' is missing"),
        ("methods = ['eap']\nsize = [1]\n[[grid]]\nmodels = ['pico']", "the key 'size' is unknown: did you mean 'sizes'"),
        ("methods = ['epa']\n[[grid]]\nmodels = ['planted:induction:1']", "unknown method 'epa': did you mean 'eap'"),
        ("methods = ['eap']\n[[grid]]\nmodels = ['planted:indction:1']", "unknown motif 'indction': did you mean 'induction'"),
        ("methods = ['eap']\n[[grid]]\nmodels = ['planted:induction:x']", "has no seed: write it as planted:induction:0"),
        ("methods = ['eap']\n[[grid]]\nmodels = ['planted:induction:1']\ntasks = ['ioi']", "comes with its own prompts"),
        ("methods = ['eap']\n[[grid]]\nmodels = ['pico']\ntasks = ['io']", "unknown task 'io': did you mean 'ioi'"),
        ("methods = ['find(passes=0)']\n[[grid]]\nmodels = ['planted:induction:1']", "passes must be at least 1"),
        ("methods = ['eap']\nsizes = [0.5, 0.1]\n[[grid]]\nmodels = ['planted:induction:1']", "sizes must be rising"),
        ("methods = ['eap']\nn = 2\n[[grid]]\nmodels = ['planted:induction:1']", "n must be 8 to"),
        ("methods = ['eap', 'eap']\n[[grid]]\nmodels = ['planted:induction:1']", "have one label"),
        ("methods = ['eap']\nmib = true\n[[grid]]\nmodels = ['planted:induction:1']", "a submission to MIB has no task 'own'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_sentence(content: str, problem: str, tmp_path: Path):
    """It says what is wrong before anything is run."""
    (tmp_path / "asked.toml").write_text(content)
    with pytest.raises(InputError, match=problem) as found:
        benchmark(tmp_path / "asked.toml", tmp_path / "out")
    assert "\n" not in str(found.value) and not list(tmp_path.glob("out/*.csv"))


def test_seeds_that_were_run_apart_are_put_together(tmp_path: Path):
    """The table is that of a run of all seeds, and other benchmarks are refused by what differs."""
    whole = benchmark(asked(seeds=[0, 1]), tmp_path / "whole")
    parts = [benchmark(asked(seeds=[seed]), tmp_path / str(seed)).folder for seed in (0, 1)]
    merged = merge(parts, tmp_path / "merged")
    assert merged.benchmark.seeds == [0, 1]
    again = merge([parts[1], merged.folder], tmp_path / "again")
    tables = [each.write(each.folder / "cells.csv") or (each.folder / "cells.csv") for each in (whole, merged, again)]
    assert len({table.read_bytes() for table in tables}) == 1
    other = benchmark(asked(seeds=[2], n=12), tmp_path / "other").folder
    with pytest.raises(InputError, match=r"is of another benchmark than .*: n differ"):
        merge([parts[0], other], tmp_path / "no")
    with pytest.raises(InputError, match=r"has no benchmark\.sqlite"):
        merge([tmp_path], tmp_path / "no")
    assert not (tmp_path / "no").exists()
