"""``circuitsearch bench``: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from circuitsearch.cli import options
from circuitsearch.cli.group import Verbs
from circuitsearch.cli.terminal import Terminal


class RunsByDefault(Verbs):
    """The group whose first word may be that of its command ``run``: ``bench quick`` is ``bench run quick``."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


_BENCH = """Measure methods and searches on models and tasks, in one table that a killed run continues."""
bench_app = typer.Typer(cls=RunsByDefault, no_args_is_help=True, rich_markup_mode=None, help=_BENCH)


@bench_app.command("run")
def bench_run(
    context: typer.Context,
    given: Annotated[
        str | None,
        typer.Argument(metavar="[PRESET|FILE]", help="quick, real, mib ... ('bench presets'), or a TOML file."),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder; by default runs/bench-PRESET.", show_default=False)
    ] = None,
    model: options.BenchModels = None,
    task: options.BenchTasks = None,
    method: options.BenchMethods = None,
    seed: options.BenchSeeds = None,
    size: options.BenchSizes = None,
    n: options.BenchN = None,
    measured: options.BenchMeasured = None,
    faithfulness: Annotated[float | None, typer.Option(help="The target of searches: 0.9.", show_default=False)] = None,
    ablation: Annotated[
        str | None, typer.Option(help="What an ablated edge carries: resample.", show_default=False)
    ] = None,
    metric: options.Metric = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", show_default=False)] = None,
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Run what is missing of a benchmark; the word 'run' may be left out.

    Every cell is one method or search on one model, task and seed. It is kept when it is finished, so the same command goes on after a
    kill or Ctrl-C. A cell that fails is reported with the reason, and the command ends with code 1.
    """
    from circuitsearch.cli.bench_verbs import Asked, run

    lists = {"methods": method, "seeds": seed, "sizes": size}
    settings = {
        "n": n, "measured": measured, "faithfulness": faithfulness, "ablation": ablation, "metric": metric, "device": device, "dtype": dtype,
        "memory": memory,
    }  # fmt: skip
    changed = {name: value for name, value in (lists | settings).items() if value is not None}
    code = run(
        Asked(given, tuple(model or ()), tuple(task or ()), changed), out, context.obj, Terminal(json, quiet, verbose)
    )
    raise typer.Exit(code)


@bench_app.command("table")
def bench_table(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a benchmark.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Write to this file: .md, .tex or .html the leaderboard, .csv or .parquet all measures.",
            show_default=False,
        ),
    ] = None,
    tex: Annotated[bool, typer.Option("--tex", help="Print LaTeX instead of Markdown.")] = False,
    machine: Annotated[
        bool, typer.Option("--machine", help="All measures with time and memory, which differ from run to run.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Print the leaderboard of a benchmark as far as it has run, or write one of its tables."""
    from circuitsearch.cli.bench_verbs import show

    show(folder, out, tex, machine, Terminal(json))


@bench_app.command("merge")
def bench_merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of a benchmark, of some seeds each.")
    ],
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder of all seeds.")],
    json: options.Json = False,
) -> None:
    """Put benchmarks that differ in their seeds alone into one, as of an array of jobs."""
    from circuitsearch.cli.bench_verbs import put_together

    put_together(folders, out, Terminal(json))


@bench_app.command("presets")
def bench_presets(json: options.Json = False) -> None:
    """List the presets."""
    from circuitsearch.cli.bench_verbs import list_presets

    list_presets(Terminal(json))
