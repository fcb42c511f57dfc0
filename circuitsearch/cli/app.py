"""The command line, of commands that stand in files by what they are for. Each body imports what it needs, so that ``--help`` is fast."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from circuitsearch.cli import finding, groups, options, showing, testing
from circuitsearch.cli.bench import bench_app
from circuitsearch.cli.group import Verbs
from circuitsearch.cli.library import library_app
from circuitsearch.cli.terminal import Terminal

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Find the smallest circuit with which a transformer does a task, and the evidence that it does.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from circuitsearch.version import __version__

        print(f"circuitsearch {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Find the smallest circuit with which a transformer does a task, and the evidence that it does."""


for command in (
    finding.find, finding.score, testing.validate, testing.specificity, finding.stability, showing.draw, showing.convert,
    testing.judge, showing.inspect, showing.scan, showing.view,
):  # fmt: skip
    app.command()(command)


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of find, stability or bench.")],
    json: options.Json = False,
) -> None:
    """Say what a run is doing, or how it ended: stage, time, memory, and the command that continues it."""
    from circuitsearch.cli.status import show

    show(folder, Terminal(json))


@app.command()
def doctor(
    model: Annotated[
        str | None, typer.Option(help="Estimate the memory and time of this model, without reading its weights.")
    ] = None,
    length: Annotated[int, typer.Option(min=1, help="Tokens of a prompt, for the estimate.")] = 32,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Print versions, device, threads and memory, and check that everything works.

    A figure is drawn and the bundled model is verified. With --model: estimate from its configuration how much memory and
    time that model takes.
    """
    from circuitsearch.cli.doctor import doctor, sizes

    if model is None:
        doctor(Terminal(json))
    else:
        sizes(model, length, device, dtype, Terminal(json))


for name, group in (
    ("mib", groups.mib_app),
    ("neuronpedia", groups.neuronpedia_app),
    ("tasks", groups.tasks_app),
    ("data", groups.data_app),
    ("library", library_app),
    ("bench", bench_app),
    ("models", groups.models_app),
):
    app.add_typer(group, name=name)


@cache
def commands() -> Any:
    """All of it as one command of click, which takes typer a tenth of a second to build."""
    return typer.main.get_command(app)
