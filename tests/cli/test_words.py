"""What people read is words: no Python value is written as Python writes it, in printed text, reports, captions, pages or errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.cli import main
from circuitsearch.cli.terminal import Terminal
from circuitsearch.show import as_html

PYTHON = re.compile(
    r"\b[A-Z]\w*\((?:\w+=|\))"  # EAPIG(steps=5), Resample()
    r"|<[\w. ]+ (?:object )?at 0x"
    r"|\b\w*(?:Error|Exception)\("
    r"|\b(?:tensor|array|PosixPath|WindowsPath|float64|int64|dict_keys|mappingproxy)\("
    r"|\b(?:float|int)\d\d\("
)


def python_in(text: str) -> list[str]:
    """The lines with a value as Python writes it."""
    return [line[:200] for line in text.splitlines() if PYTHON.search(line)]


@pytest.mark.parametrize(
    "text",
    ["by EAPIG(steps=5)", "Resample() ablation", "KeyError('x')", "<Task object at 0x7f>", "np.float64(0.5)"],
)
def test_the_pattern_finds_them(text: str):
    """What the other tests look for."""
    assert python_in(text)


@pytest.fixture(scope="module")
def run(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run with knobs of every kind, and what was printed."""
    folder, printed = tmp_path_factory.mktemp("words") / "run", list[str]()
    knobs = ["--method", "EAPIG(steps=2)", "--recheck", "3", "--ablation", "mean(over_positions=True)", "--query-heads"]
    asked = ["find", str(place / "mine.jsonl"), "--model", str(place / "tiny"), "--passes", "1", *knobs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rich.console.Console.print", lambda self, *what, **how: printed.extend(map(str, what)))
        patch.setattr(Terminal, "table", lambda self, *table: printed.append(str(table)))
        code = main([*asked, "--check", "RandomCircuits(count=3)", "--out", str(folder)])
    assert code == 0, printed
    return folder, "\n".join(printed)


def test_what_find_prints(run: tuple[Path, str]):
    """Each stage, the report and the strongest edges."""
    assert "integrated gradients" in run[1] and python_in(run[1]) == []


@pytest.mark.parametrize(
    "name", ["report.md", "circuit-caption.txt", "circuit-caption.tex", "circuit.svg", "circuit.dot"]
)
def test_what_a_run_writes(run: tuple[Path, str], name: str):
    """Report, caption and figure."""
    assert python_in((run[0] / name).read_text(encoding="utf-8")) == []


def test_what_the_page_says(run: tuple[Path, str]):
    """All texts of its data."""
    text = (run[0] / "circuit.html").read_text(encoding="utf-8")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert "integrated gradients" in data["about"]["method"] and python_in("\n".join(texts_in(data))) == []


def texts_in(data: Any) -> list[str]:
    """All texts of JSON data."""
    if isinstance(data, str):
        return [data]
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [text for each in inner for text in texts_in(each)]


def test_other_ways_to_see_a_run(run: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Validated, drawn again with its caption, compared on a page, and kept in a library with a page."""
    folder, file = run[0], tmp_path / "library.db"
    for arguments in (
        ["validate", folder],
        ["draw", folder, "-o", tmp_path / "again.tex", "--caption"],
        ["view", folder, folder / "circuit.json", "--no-open", "-o", tmp_path / "all.html"],
        ["library", "add", folder, "--library", file],
        ["library", "list", "--library", file],
        ["library", "page", "--library", file, "-o", tmp_path / "library.html"],
    ):
        code = main([str(each) for each in arguments])
        printed = capsys.readouterr()
        assert python_in(printed.out + printed.err) == [], arguments
        assert code == (2 if arguments[0] == "view" else 0), printed.err
    for path in tmp_path.glob("*.*"):
        if path.suffix in (".tex", ".txt"):
            assert python_in(path.read_text(encoding="utf-8")) == []
    page = (tmp_path / "library.html").read_text(encoding="utf-8")
    assert python_in(re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)) == []


def test_scores_in_a_notebook(run: tuple[Path, str]):
    """Their table says how they were made."""
    shown = as_html(cs.Scores.load(run[0] / "scores.safetensors"))
    assert "integrated gradients" in shown and python_in(shown) == []
