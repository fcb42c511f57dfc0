"""``circuitsearch bench``: run a benchmark, and print its tables."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch.bench import Benchmark, BenchmarkResults, Cell, benchmark, merge
from circuitsearch.bench.definition import PRESETS, presets
from circuitsearch.bench.named import OWN
from circuitsearch.bench.submission import problems
from circuitsearch.cli.terminal import Terminal
from circuitsearch.distributed import world
from circuitsearch.errors import InputError, counted
from circuitsearch.run_log import logged

WRITTEN = ("leaderboard.html", "leaderboard.md", "leaderboard.tex", "cells.csv")
METHODS = ("eap", "eap-ig")  # without a preset


@dataclass(frozen=True)
class Asked:
    """The options of ``bench``: a preset or file, or models and tasks; and what replaces its settings."""

    given: str | None
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    changed: dict[str, Any]  # settings of Benchmark that were given

    def benchmark(self) -> Benchmark:
        """The benchmark; an InputError if it is wrong or not all there."""
        if self.given is None:
            made = Benchmark(**self._grid(), **{"methods": list(METHODS), **self.changed})
        elif self.models or self.tasks:
            raise InputError(
                "a preset or file has its own models and tasks: leave out --model and --task, or the preset"
            )
        else:
            made = Benchmark.read(self.given).model_copy(update=self.changed)
        made.check()
        return made

    def _grid(self) -> dict[str, Any]:
        if not self.models:
            raise InputError(f"give a preset ({', '.join(presets())}), a TOML file, or --model and --task")
        return {"grid": [{"models": list(self.models), "tasks": list(self.tasks) or [OWN]}]}

    @property
    def name(self) -> str:
        """Of the folder."""
        return "bench" if self.given is None else f"bench-{Path(self.given).stem}"


def run(asked: Asked, out: Path | None, command: str, terminal: Terminal) -> int:
    """Run what is missing, write the tables, and print the leaderboard; return 1 if a cell failed."""
    wanted = asked.benchmark()
    folder = out or Path("runs") / asked.name
    terminal.say("bench", f"{wanted.title}: {counted(len(wanted.cells()), 'cell')}, in {folder}/")

    def told(cell: Cell, what: str) -> None:
        terminal.say("cell", f"{cell}: {what}")

    first = world().first  # the others write into the same folder, but only their cells
    with (
        terminal.progress("cells") as bar,
        logged(folder, command, "cells", bar) if first else nullcontext(bar) as progress,
    ):
        results = benchmark(wanted, folder, progress=progress, told=told, world=world())
    for name in WRITTEN if first else ():
        results.write(folder / name)
    _say(results, terminal)
    _say_submissions(results, terminal)
    _say_folder(results, folder, terminal)
    return int(bool(results.failures))


def show(folder: Path, out: Path | None, tex: bool, machine: bool, terminal: Terminal) -> None:
    """Print the leaderboard of a folder, or write one of its tables."""
    results = BenchmarkResults.open(folder)
    if out is not None:
        results.write(out, machine)
        terminal.say("written", str(out))
    elif tex and not terminal.json:
        print(results.to_tex(), end="")
    elif not terminal.json:
        print(results.to_markdown(), end="")
    terminal.result({"folder": str(folder), "failed": len(results.failures), "table": results.rows(machine)})


def put_together(folders: list[Path], out: Path, terminal: Terminal) -> None:
    """Merge folders, write the tables, and print the leaderboard."""
    results = merge(folders, out)
    for name in WRITTEN:
        results.write(out / name)
    _say(results, terminal)
    _say_folder(results, out, terminal)


def list_presets(terminal: Terminal) -> None:
    """Print the presets, each with the first line of its file."""
    about = {
        name: (PRESETS / f"{name}.toml").read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        for name in presets()
    }
    terminal.table("presets", ("name", "what it measures"), list(about.items()))
    terminal.result(about)


def _say(results: BenchmarkResults, terminal: Terminal) -> None:
    rows = [_row(each) for each in results.leaderboard]
    terminal.table(
        "leaderboard",
        ("model", "task", "method", " bounded", " CPR", " CMD", " edges", " per prompt", " forwards"),
        rows,
    )
    for row in results.failures:
        terminal.say("failed", f"{row['model']}, {row['task']}, {row['method']}, seed {row['seed']}: {row['failure']}")
    terminal.say("cells", str(results))


def _say_folder(results: BenchmarkResults, folder: Path, terminal: Terminal) -> None:
    terminal.say("folder", f"{folder}/ (page: leaderboard.html, table: cells.csv, benchmark.sqlite)")
    terminal.result({"folder": str(folder), "failed": len(results.failures), "table": results.rows(machine=True)})


def _row(standing: Any) -> list[str]:
    shown = {"bounded": 3, "CPR": 3, "CMD": 3, "edges": 0, "per prompt": 3, "forwards": 1}
    values = {name: standing.values.get((name, None)) for name in shown}
    numbers = ["" if found is None else f"{found.value:z.{shown[name]}f}" for name, found in values.items()]
    source = f" ({standing.source})" if standing.source else ""
    return [standing.model, standing.task, f"{standing.method}{source}", *numbers]


def _say_submissions(results: BenchmarkResults, terminal: Terminal) -> None:
    """What MIB would refuse of each method's submission."""
    for method, found in problems(results.folder, results.benchmark).items():
        serious = [each for each in found if not each.warning]
        for each in found:
            terminal.say("warning" if each.warning else "problem", f"{each.path}: {each.sentence}")
        terminal.say("MIB", f"the submission of {method} {'is not valid' if serious else 'is valid'}")
