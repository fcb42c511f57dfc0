"""What reaches the terminal: plain text whatever the names hold, and bars on terminals alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from circuitsearch.cli import main
from circuitsearch.cli.terminal import Terminal


def test_markup_is_not_read(capsys: pytest.CaptureFixture[str]):
    """Square brackets in names are text, control characters escapes."""
    terminal = Terminal()
    terminal.say("task", "[bold]mine[/bold] \x1b[31m")
    terminal.table("edges", ("edge", " score"), [("[red]a->b", "1")])
    out = capsys.readouterr().out
    assert "[bold]mine[/bold] \\x1b[31m" in out and "[red]a->b" in out


def test_long_lines_are_not_broken(capsys: pytest.CaptureFixture[str]):
    """A path can be copied whole."""
    Terminal().say("folder", "x" * 300)
    assert "x" * 300 in capsys.readouterr().out


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]):
    """Logs stay free of progress."""
    with Terminal().progress("scores") as bar:
        bar(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_bar_with_the_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """On a terminal, what takes a while shows how far it is and how long it still takes, on standard error."""
    monkeypatch.setattr("circuitsearch.progress_bar.PATIENCE", -1.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Terminal().progress("scores") as bar:
        bar(1, 2)
    printed = capsys.readouterr()
    assert printed.out == "" and "scores" in printed.err and "50%" in printed.err


def test_threads_do_not_wait_long_for_others(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Whose cores may have other work; what the user has set stays."""
    for given, spins in (({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)):
        monkeypatch.setattr(os, "environ", {**os.environ, **given})
        for name in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} - given.keys():
            os.environ.pop(name, None)
        assert main(["--version"]) == 0
        assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_torch_reads_the_environment_later():
    """The command line is there before torch, which reads such settings when it is loaded."""
    code = "import sys, circuitsearch.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
