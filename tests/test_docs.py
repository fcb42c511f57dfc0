"""The code of the README and the guide runs as it is written, and so do the README's commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from circuitsearch.cli import main
from tests.conftest import slow_but

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", slow_but(PAGES[:1], [page for page in PAGES if blocks(page, "python")]), ids=lambda page: page.stem
)
def test_python_runs_as_written(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The blocks of a page, one after another, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec", dont_inherit=True), names)


@pytest.mark.slow
def test_the_readmes_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Every circuitsearch command, in order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    lines = "".join(blocks(ROOT / "README.md", "sh")).replace("&&", "\n").splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.strip().startswith("circuitsearch ")]
    assert commands[0] == ["find", "ioi"]
    for command in commands:
        assert main(command) == 0, f"{command}: {capsys.readouterr().err}"
    assert (tmp_path / "runs/ioi-pico/circuit.svg").exists()


def test_the_ten_lines_are_ten():
    """The README keeps its word."""
    (block,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in block.splitlines() if line.strip()]) <= 10


def test_links_lead_somewhere():
    """Every relative link of the pages is a file or a folder here."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+?)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
