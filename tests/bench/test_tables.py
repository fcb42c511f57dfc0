"""The tables and the page: every row, every text escaped, sorted in a browser."""

from __future__ import annotations

import csv
import io
import sqlite3
from pathlib import Path

import pytest

from circuitsearch.bench import Benchmark, BenchmarkResults, benchmark
from circuitsearch.bench.leaderboard import best, columns_of
from circuitsearch.bench.store import COLUMNS, Store
from circuitsearch.bench.submission import folder_of, problems
from circuitsearch.cli import main
from circuitsearch.errors import InputError
from tests.bench.conftest import SIZES, asked
from tests.figures.browser import browser, browser_path


def test_the_exported_table_is_whole(results: BenchmarkResults):
    """CSV has each measure of each cell with all digits, and neither time nor memory unless asked for."""
    rows = list(csv.DictReader(io.StringIO(results.to_csv())))
    assert list(rows[0]) == list(COLUMNS) and len(rows) == len(results.rows())
    for read, row in zip(rows, results.rows(), strict=True):
        assert read["value"] == "" if row["value"] is None else float(read["value"]) == row["value"]
    assert {row["measure"] for row in results.rows(machine=True)} - {row["measure"] for row in rows} >= {"seconds"}
    rankings = [row for row in rows if row["method"] == "eap" and row["measure"] == "faithfulness"]
    assert sorted({float(row["share"]) for row in rankings}) == SIZES


def test_parquet_holds_the_same(results: BenchmarkResults, tmp_path: Path):
    """Where pyarrow is installed."""
    parquet = pytest.importorskip("pyarrow.parquet")
    results.write(tmp_path / "cells.parquet")
    assert parquet.read_table(tmp_path / "cells.parquet").to_pylist() == list(map(dict, results.rows()))


def test_the_setup_of_each_cell_is_in_the_file(results: BenchmarkResults):
    """With versions, digests, seeds, metric and ablation, for other programs to read."""
    with sqlite3.connect(results.folder / "benchmark.sqlite") as table:
        contents = [content for (content,) in table.execute("select content from cells")]
        assert table.execute("select count(*) from results where measure = 'CPR'").fetchone() == (8,)
    assert len(contents) == 12 and all(
        '"torch"' in each and '"logit_diff"' in each and '"Resample"' in each for each in contents
    )


def test_markdown_and_tex(results: BenchmarkResults):
    """A line for each model, task and method, names escaped; TeX says which is best."""
    lines = results.to_markdown().splitlines()
    assert lines[0] == "# Planted <b>&" and sum(line.startswith("| planted") for line in lines) == 6
    assert sum(line.startswith("| all") for line in lines) == 3
    tex = results.to_tex()
    assert tex.count(r"\\") == 7 and r"\textbf{" in tex and "planted:induction:1" in tex and "find(passes=1)" in tex


def test_the_page_needs_nothing_and_escapes_all(results: BenchmarkResults):
    """No address, and the title's markup is text."""
    page = results.to_html()
    assert "Planted &lt;b&gt;&amp;" in page and "<b>&" not in page
    assert "http:" not in page and "https:" not in page


@pytest.mark.slow
@pytest.mark.skipif(browser_path() is None, reason="no Chromium")
def test_the_page_sorts_and_filters(results: BenchmarkResults, tmp_path: Path):
    """By the column whose head is pressed, in both directions; rows without a value come last; the network is not used."""
    results.write(tmp_path / "page.html")
    path = browser_path()
    assert path is not None
    with browser(path) as tab:
        tab.size(390, 800)
        tab.open(tmp_path / "page.html")
        heads = tab.run("[...document.querySelectorAll('#rows thead th')].map((each) => each.textContent)")
        place = heads.index("forwards") + 1
        order = f"[...document.querySelectorAll('#rows tbody tr:not([hidden]) td:nth-child({place})')].map((each) => Number(each.dataset.value))"
        press = f"document.querySelector('#rows thead th:nth-child({place}) button').click()"
        tab.run(press)
        assert tab.run(order) == sorted(tab.run(order))
        tab.run(press)
        assert tab.run(order) == sorted(tab.run(order), reverse=True)
        tab.run(
            "(() => { const e = document.querySelector('[name=method]'); e.value = 'relp'; e.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        assert len(tab.run(order)) == 2 and tab.run("document.querySelector('output').textContent") == "2 of 6 rows"
        assert tab.run("document.documentElement.scrollWidth <= innerWidth")
        assert tab.console == [] and len(tab.requests) == 1


def test_the_best_is_marked_once(results: BenchmarkResults):
    """For each model and task: the largest bounded measure, the fewest forwards; model accuracy is no contest."""
    by_title = {each.title: each for each in columns_of(results.benchmark, results.leaderboard)}
    fewest = best(results.leaderboard, by_title["forwards"])
    assert {place[:2] for place in fewest} == {(each.model, each.task) for each in results.leaderboard}
    assert not best(results.leaderboard, by_title["model accuracy"])


def test_published_figures_stand_beside_ours(tmp_path: Path):
    """With their source, below our rows of the same model and task, and never marked as best."""
    figure = {
        "model": "planted:induction:1",
        "task": "own",
        "method": "EAP (CF)",
        "source": "2504.13151",
        "values": {"CPR": 9.5},
    }
    found = benchmark(asked(published=[figure]), tmp_path)
    assert [each.method for each in found.leaderboard] == ["eap", "relp", "EAP (CF)"]
    assert "| EAP (CF) (2504.13151) |" in found.to_markdown() and r"\textbf{9.500}" not in found.to_tex()


def test_a_submission_to_mib_is_written_and_checked(tmp_path: Path):
    """The scores of every edge, in the folder of MIB's name for the cell; what MIB would miss is said."""
    grid = [{"models": ["pico"], "tasks": {"ioi": "ioi(counterfactual=s2_flip)"}}]
    wanted = asked(grid=grid, methods=["eap"], mib=True)
    benchmark(wanted, tmp_path)
    assert (folder_of(tmp_path, "eap") / "ioi_pico" / "importances.pt").is_file()
    (said,) = problems(tmp_path, wanted).values()
    assert any("its name must have a task" in str(each) for each in said)  # pico is none of MIB's models
    assert not any("importances.pt" in str(each.path) for each in said)


def test_a_newer_table_is_refused(tmp_path: Path):
    """One that a later version wrote, and a database of another program."""
    store = Store(tmp_path)
    store.db.table("_sqlite_migrations").insert(
        {"migration_set": "circuitsearch.bench", "name": "m999", "applied_at": "x"}
    )
    store.close()
    with pytest.raises(InputError, match="written by a newer version"):
        Store(tmp_path)
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("create table books (title text)")
    (tmp_path / "other.sqlite").rename(tmp_path / "benchmark.sqlite")
    with pytest.raises(InputError, match="a database of something else"):
        Store(tmp_path)


def test_the_command_line(
    results: BenchmarkResults, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Models and methods as options, tables of a folder, presets; a failed cell is code 1 and a wrong option one sentence and code 2."""
    monkeypatch.chdir(tmp_path)
    options = ["--method", "eap", "--n", "16", "--measured", "8", "--size", "0.1", "--size", "1"]
    assert main(["bench", "--model", "planted:induction:1", *options]) == 0
    assert {file.name for file in Path("runs/bench").iterdir()} >= {
        "benchmark.sqlite",
        "leaderboard.html",
        "leaderboard.tex",
        "cells.csv",
    }
    assert "bounded" in capsys.readouterr().out
    assert main(["bench", "--model", "./nowhere", "--task", "ioi", *options, "--out", "failed"]) == 1
    assert "there is no model folder ./nowhere" in capsys.readouterr().out
    assert main(["bench", "table", str(results.folder), "--tex"]) == 0
    assert capsys.readouterr().out == results.to_tex()
    assert (
        main(["bench", "table", str(results.folder), "-o", "cells.csv"]) == 0
        and Path("cells.csv").read_text() == results.to_csv()
    )
    assert main(["bench", "presets"]) == 0 and "quick" in capsys.readouterr().out
    for wrong, problem in (
        (["bench", "quik"], "unknown preset or file 'quik': did you mean 'quick'"),
        (["bench", "--method", "eap"], "give a preset"),
        (["bench", "quick", "--task", "ioi"], "leave out --model and --task"),
        (["bench", "table", "."], "has no benchmark.sqlite"),
        (["bench", "table", str(results.folder), "-o", "x.gif"], "must end in"),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err
        assert problem in error and error.count("\n") == 1


def test_what_was_asked_is_read_back(results: BenchmarkResults):
    """The benchmark of a folder is the one that was run."""
    again = BenchmarkResults.open(results.folder)
    assert (
        again.benchmark == results.benchmark and isinstance(again.benchmark, Benchmark) and again.table == results.table
    )
