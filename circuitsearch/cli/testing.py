"""The commands that test circuits, with their options: validate, specificity, judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitsearch.cli import options
from circuitsearch.cli.terminal import Terminal


def validate(
    context: typer.Context,
    circuit: options.CircuitArgument,
    task: options.TaskArgument = None,
    *,
    clean: options.Clean = None,
    corrupt: options.Corrupt = None,
    answer: options.Answer = None,
    wrong: options.Wrong = None,
    align: options.Align = "error",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the report to this JSON file.")] = None,
    model: options.ModelOfRun = "pico",
    n: options.N = None,
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    seed: options.SeedOfRun = 0,
    ablation: Annotated[
        str, typer.Option(help="What an ablated edge carries; by default as in the search.", show_default=False)
    ] = "resample",
    metric: Annotated[
        str | None, typer.Option(help="The metric; by default the one of the search.", show_default=False)
    ] = None,
    check: options.Checks = None,
    device: options.DeviceOfRun = "auto",
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Test a circuit, on the prompts that tested it in its run, or on all prompts of a task.

    A run's folder knows its model, prompts, seed and checks: with RUN alone the run's own report is made again. With a task, or another
    --n or --seed, the prompts are those. The report gives the circuit's faithfulness with an interval, that of random circuits of its
    size, and how many of the prompts the search used.
    """
    from circuitsearch.cli.verbs import validate
    from circuitsearch.question import Question

    question = Question(
        task=task, prompt=options.one_prompt(clean, corrupt, answer, wrong), align=align, model=model, n=n, seed=seed,
        ablation=ablation, metric=metric, checks=tuple(check or ()), device=device, dtype=dtype, memory=memory,
        reading=options.reading(column, corrupt_file, chat),
    )  # fmt: skip
    validate(circuit, question, options.given(context), out, Terminal(json, quiet, verbose))


def specificity(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs on one model.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Write specificity.json, .md and .svg to this folder.", show_default=False),
    ] = None,
    level: Annotated[
        float, typer.Option(help="Faithfulness from which a circuit counts as doing a task of another circuit.")
    ] = 0.5,
    model: Annotated[str | None, typer.Option(help="Where the model is now.", show_default=False)] = None,
    device: options.Device = "auto",
    memory: options.Memory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Measure the circuit of every run on the held-out prompts of every run's task.

    The runs are of one model. Prints the faithfulness of every circuit on every task, the tasks that a circuit does beside its own,
    and how much of its faithfulness is specific to its own.
    """
    from circuitsearch.cli.asked import given
    from circuitsearch.cli.specificity import specificity

    changed = given(model=model, device=device if "device" in options.given(context) else None, memory=memory)
    specificity(runs, out, level, changed, Terminal(json, quiet, verbose))


def judge(
    foreign: options.AnyCircuitArgument,
    *,
    model: options.Model = "pico",
    task: Annotated[str, typer.Option("--task", help="A task's name, or a file of JSON lines.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder; by default runs/judge-FILE-TASK-MODEL.")
    ] = None,
    sign: options.Sign = None,
    edges: Annotated[
        int | None,
        typer.Option(
            min=1, help="The circuit is the strongest edges by the file's scores, so many.", show_default=False
        ),
    ] = None,
    n: options.N = None,
    seed: options.Seed = 0,
    ablation: options.Ablation = "resample",
    metric: options.Metric = None,
    check: options.Checks = None,
    query_heads: options.QueryHeads = False,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Test a circuit that another program found, on prompts of a task: report, figure and page in a folder."""
    from circuitsearch.cli.foreign import judge
    from circuitsearch.cli.nodes import granularity_asked
    from circuitsearch.question import Question

    question = Question(
        task=task, model=model, n=n, seed=seed, ablation=ablation, metric=metric, checks=tuple(check or ()),
        granularity=granularity_asked(None, 0, False, query_heads, None, False), device=device, dtype=dtype, memory=memory,
    )  # fmt: skip
    judge(foreign, question, sign, edges, out, Terminal(json, quiet, verbose))
