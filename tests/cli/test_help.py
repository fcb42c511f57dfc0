"""Help, its examples, and what the shell completes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from circuitsearch.cli import main
from circuitsearch.cli.app import app
from circuitsearch.cli.completion import models, registered
from circuitsearch.cli.examples import EXAMPLES

ROOT: Any = typer.main.get_command(app)


def leaves(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command that can be run."""
    for name, command in group.commands.items():
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield (*above, name)
        yield from leaves(command, (*above, name)) if hasattr(command, "commands") else ()


COMMANDS = [" ".join(path) for path in leaves(ROOT)]


def parsed(arguments: list[str]) -> Any:
    """The context of the command that some arguments call, which is not run."""
    command, context = ROOT, ROOT.make_context("circuitsearch", list(arguments))
    while hasattr(command, "commands") and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return context


def test_every_command_has_examples():
    """And there are none of commands that do not exist."""
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_calls_of_the_command(command: str):
    """Their options exist, and have values that can be read."""
    for line, what in EXAMPLES[command]:
        assert parsed(shlex.split(line)).command_path == f"circuitsearch {command}" and what


def test_an_example_with_a_wrong_option_is_noticed():
    """The test above can fail."""
    with pytest.raises(typer.TyperException, match="--modle"):
        parsed(["find", "ioi", "--modle", "pico"])


@pytest.mark.parametrize("arguments", [["-h"], ["find", "-h"], ["tasks", "check", "--help"]])
def test_short_and_long_help(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    """Both work everywhere, and end with the examples."""
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "-h, --help" in said
    for line, _ in EXAMPLES.get(" ".join(arguments[:-1]), ()):
        assert f"circuitsearch {line}" in said


def test_the_shell_completes_commands_and_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """As bash asks for it."""
    for words, expected in (("circuitsearch spec", "specificity"), ("circuitsearch find ind", "induction_tokens")):
        monkeypatch.setenv("_CIRCUITSEARCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        with pytest.raises(SystemExit):
            main([])
        assert expected in capsys.readouterr().out.split()
    assert "eap-ig" in registered("METHODS")("eap") and models("smo") == ["smollm2"]
