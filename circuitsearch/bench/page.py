"""The leaderboard as one HTML page, sorted and filtered without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files

from circuitsearch.figures.viewer.page import document, escaped, filled, options

from .columns import Column
from .definition import Benchmark
from .leaderboard import Place, Standing, best, columns_of, overall
from .tables import failed, labels

TEXTS = ("model", "task", "method")  # columns of text


def to_html(standings: Sequence[Standing], benchmark: Benchmark) -> str:
    """Write the page."""
    shown, script, title = columns_of(benchmark, standings), _asset("js"), escaped(benchmark.title)
    body = filled(
        _asset("html"),
        script=script,
        title=title,
        about=escaped(_about(benchmark)),
        overall=_overall(standings, benchmark),
        models=options(each.model for each in standings),
        tasks=options(each.task for each in standings),
        methods=options(each.method for each in standings),
        table=_table("rows", standings, shown),
        failures=_failures(standings),
        columns="".join(f"<dt>{escaped(each.title)}</dt><dd>{escaped(each.about)}</dd>" for each in shown),
    )
    return document(title, body, _asset("css"), script)


def _asset(suffix: str) -> str:
    return (files("circuitsearch.bench") / "assets" / f"leaderboard.{suffix}").read_text(encoding="utf-8")


def _about(benchmark: Benchmark) -> str:
    return (
        f"Up to {benchmark.measured} held-out prompts a cell, of tasks of {benchmark.n}; ablation {benchmark.ablation}. Intervals are at 95%:"
        " over seeds, or over prompts where this is wider. Press a column's head to sort."
    )


def _overall(standings: Sequence[Standing], benchmark: Benchmark) -> str:
    together = overall(standings)
    if not together:
        return ""
    table = _table("overall", together, columns_of(benchmark, together))
    return f'<h2 id="over">Methods over all models and tasks</h2><div class="wide" tabindex="0" role="region" aria-labelledby="over">{table}</div>'


def _failures(standings: Sequence[Standing]) -> str:
    listed = "".join(f"<li>{escaped(label)}: {escaped(sentence)}</li>" for label, sentence in failed(standings))
    return f"<h2>Cells that failed</h2><ul>{listed}</ul>" if listed else ""


def _table(name: str, standings: Sequence[Standing], shown: Sequence[Column]) -> str:
    first = {column: best(standings, column) for column in shown}
    heads = [_head(text, "text", text, 0) for text in TEXTS] + [_head("seeds", "", "number of seeds", 1)]
    heads += [_head(column.title, "", column.about, column.better) for column in shown]
    rows = [_row(each, standings[place - 1] if place else None, shown, first) for place, each in enumerate(standings)]
    return f'<table id="{name}"><thead><tr>{"".join(heads)}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _head(text: str, kind: str, about: str, better: int) -> str:
    return (
        f'<th scope="col" class="{kind}" data-better="{better}"><button type="button" title="{escaped(about)}">'
        f"{escaped(text)}</button></th>"
    )


def _row(standing: Standing, before: Standing | None, shown: Sequence[Column], first: dict[Column, set[Place]]) -> str:
    starts = before is not None and (before.model, before.task) != (standing.model, standing.task)
    data = " ".join(f'data-{name}="{escaped(getattr(standing, name))}"' for name in TEXTS)
    model, task, _, seeds = labels(standing)
    source = f" <small>{escaped(standing.source)}</small>" if standing.source else ""
    cells = [f'<td class="text">{escaped(text)}</td>' for text in (model, task)]
    cells += [
        f'<td class="text">{escaped(standing.method)}{source}</td>',
        f'<td data-value="{standing.seeds or ""}">{escaped(seeds)}</td>',
    ]
    cells += _values(standing, shown, first)
    return f'<tr class="{"first" if starts else ""}" {data}>{"".join(cells)}</tr>'


def _values(standing: Standing, shown: Sequence[Column], first: dict[Column, set[Place]]) -> list[str]:
    if standing.failures and not standing.values:
        return [f'<td class="failed" colspan="{len(shown)}" data-value="">{escaped(standing.failures[0])}</td>']
    return [_cell(standing, column, first[column]) for column in shown]


def _cell(standing: Standing, column: Column, first: set[Place]) -> str:
    found = standing.values.get(column.key)
    if found is None or math.isnan(found.value):
        return '<td data-value=""></td>'
    value, _, ends = column.text(found).partition(" ")
    is_best = (standing.model, standing.task, standing.method) in first and not standing.source
    number = f"<b>{escaped(value)}</b>" if is_best else escaped(value)
    return f'<td data-value="{found.value:.9g}">{number}{f" <small>{escaped(ends)}</small>" if ends else ""}</td>'
