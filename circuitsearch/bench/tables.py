"""The leaderboard as Markdown and LaTeX, and the table of all measures as CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from circuitsearch.escape import plain_text
from circuitsearch.markdown_text import table
from circuitsearch.table_files import parquet_bytes, table_text
from circuitsearch.tex_text import COMMANDS, tex_text

from .columns import Column
from .definition import Benchmark
from .leaderboard import Place, Standing, best, columns_of, overall
from .store import COLUMNS

FAILED = "failed"


def to_markdown(standings: Sequence[Standing], benchmark: Benchmark) -> str:
    """The leaderboard, the methods over all models and tasks, what the columns mean, and the cells that failed."""
    shown = columns_of(benchmark, standings)
    parts = [f"# {plain_text(benchmark.title)}", ""]
    parts += [_markdown(standings, shown), "", "Intervals are at 95%: over seeds, or over prompts where this is wider."]
    together = overall(standings)
    if together:
        parts += ["", "## Methods over all models and tasks", "", _markdown(together, columns_of(benchmark, together))]
    parts += ["", *(f"- **{column.title}**: {column.about}" for column in shown)]
    failures = list(failed(standings))
    parts += (
        ["", "## Cells that failed", "", *(f"- {label}: {sentence}" for label, sentence in failures)]
        if failures
        else []
    )
    return "\n".join(parts) + "\n"


def _markdown(standings: Sequence[Standing], shown: Sequence[Column]) -> str:
    return table(header(shown), ([*labels(each), *cells(each, shown)] for each in standings))


def header(shown: Sequence[Column]) -> list[str]:
    """The heads of all columns."""
    return ["model", "task", "method", "seeds", *(column.title for column in shown)]


def labels(standing: Standing) -> list[str]:
    """Model, task, method with its source, and number of seeds."""
    source = f" ({standing.source})" if standing.source else ""
    seeds = FAILED if standing.failures and not standing.seeds else str(standing.seeds or "")
    return [standing.model, standing.task, f"{standing.method}{source}", seeds]


def cells(standing: Standing, shown: Sequence[Column]) -> list[str]:
    """The values of a row with their intervals; empty where there is none."""
    return [column.text(standing.values[column.key]) if column.key in standing.values else "" for column in shown]


def failed(standings: Sequence[Standing]) -> Iterator[tuple[str, str]]:
    """What failed, and why."""
    for each in standings:
        for sentence in each.failures:
            yield f"{each.model}, {each.task}, {each.method}", sentence


# ---- LaTeX


def to_tex(standings: Sequence[Standing], benchmark: Benchmark) -> str:
    r"""The leaderboard as a ``tabular`` for ``\input``, of plain LaTeX; the best of each model and task is bold, intervals are small."""
    shown = columns_of(benchmark, standings)
    first = {column: best(standings, column) for column in shown}
    lines = [f"% {plain_text(benchmark.title)}: a table by circuitsearch, for \\input in a document.", COMMANDS]
    lines += [
        rf"\begin{{tabular}}{{lllr{'r' * len(shown)}}}",
        r"\hline",
        _tex_line(map(tex_text, header(shown))),
        r"\hline",
    ]
    for standing in standings:
        values = (_tex_value(standing, column, first[column]) for column in shown)
        lines.append(_tex_line([*(tex_text(plain_text(label)) for label in labels(standing)), *values]))
    return "\n".join([*lines, r"\hline", r"\end{tabular}"]) + "\n"


def _tex_value(standing: Standing, column: Column, first: set[Place]) -> str:
    found = standing.values.get(column.key)
    if found is None:
        return ""
    value, _, ends = column.text(found).partition(" ")
    place = (standing.model, standing.task, standing.method)
    number = rf"\textbf{{{value}}}" if place in first and not standing.source else value
    return f"${number}$" if value.startswith("-") else f"{number}" + (rf" {{\scriptsize ${ends}$}}" if ends else "")


def _tex_line(parts: Any) -> str:
    return " & ".join(parts) + r" \\"


# ---- the table of all measures


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One row a measure; numbers with all their digits."""
    return table_text([COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])


def to_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The same as Parquet; an InputError if pyarrow is not installed."""
    return parquet_bytes(rows, COLUMNS)
