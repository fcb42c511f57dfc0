"""Several runs on one page: their evidence side by side, which edges they share, and circuits drawn into one. The page uses no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures.compare import draw_comparison
from circuitsearch.figures.viewer.page import asset, document, escaped, filled, image, minus, table

if TYPE_CHECKING:
    from circuitsearch.validation.report import Report

LISTED = 40  # edges of one list
DRAWN = 3  # runs that are drawn together with the first


@dataclass(frozen=True, eq=False)
class Shown:
    """One run: its name, the relative address of its own page, and its results."""

    name: str
    page: str
    circuit: Circuit
    report: Report | None = None
    model: str = ""
    method: str = ""

    @cached_property
    def edges(self) -> dict[str, float | None]:
        """Edges with their scores, strongest first."""
        scored = {f"{writer}->{reader}": self.circuit.strength(writer, reader) for writer, reader in self.circuit.edges}
        return dict(sorted(scored.items(), key=lambda edge: -abs(edge[1] or 0.0)))


def index_page(runs: Sequence[Shown]) -> str:
    """Write the page of two runs or more."""
    title = f"{len(runs)} circuits"
    body = filled(
        asset("index.html"),
        title=title,
        runs=_runs(runs),
        overlap=_overlap(runs),
        drawn="\n".join(_drawn(runs[0], other) for other in runs[1 : 1 + DRAWN]),
        lists=_lists(runs),
    )
    return document(title, body, asset("index.css"))


def _runs(runs: Sequence[Shown]) -> str:
    heads = ("run", "task", "model", "edges", "faithfulness", "random circuits", "scores")
    return table("The runs", heads, [_run(run) for run in runs])


def _run(run: Shown) -> list[str]:
    total, report = run.circuit.graph.n_edges, run.report
    size = f"{len(run.circuit):,} of {total:,} ({100 * len(run.circuit) / total:.2g}%)"
    link = f'<a href="{escaped(quote(run.page))}">{escaped(run.name)}</a>'
    task = faithful = controls = "\u2013"
    if report is not None:
        task, faithful = (
            escaped(f"{report.task}, {report.prompts}"),
            _bar(report.faithfulness.value)
            + escaped(f"{report.faithfulness}, per prompt {report.per_prompt.value:.3f}"),
        )
    if report is not None and report.controls:
        controls = minus(f"{sum(report.controls) / len(report.controls):z.3f}")
    return [link, task, escaped(run.model) or "\u2013", size, faithful, controls, escaped(run.method) or "\u2013"]


def _bar(value: float) -> str:
    """A bar from 0 to 1, beside its number."""
    return f'<meter min="0" max="1" value="{min(max(value, 0.0), 1.0):.3f}" aria-hidden="true"></meter> '


def _overlap(runs: Sequence[Shown]) -> str:
    """How many edges each two runs share, and their share of all edges of the two (Jaccard index)."""
    rows = []
    for one in runs:
        cells = [f'<th scope="row">{escaped(one.name)}</th>']
        for other in runs:
            both, either = one.edges.keys() & other.edges.keys(), one.edges.keys() | other.edges.keys()
            share = f" ({len(both) / len(either):.0%})" if either else ""
            cells.append(f"{len(both):,}{share}" if one is not other else f"{len(both):,}")
        rows.append(cells)
    caption = "Edges that two runs share, and their part of the edges in either"
    return table(caption, ("", *(run.name for run in runs)), rows)


def _drawn(first: Shown, second: Shown) -> str:
    """Two circuits in one figure, or why there is none."""
    title = f"{first.name} and {second.name}, drawn as one"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "both.svg"
        try:
            draw_comparison(first.circuit, second.circuit, path, names=(first.name, second.name))
        except InputError as error:
            return f'<section><h2>{escaped(title)}</h2><p class="quiet">Not drawn: {escaped(str(error))}.</p></section>'
        return image(title, path.read_bytes())


def _lists(runs: Sequence[Shown]) -> str:
    shared = [edge for edge in runs[0].edges if all(edge in run.edges for run in runs[1:])]
    parts = [_list("In all of them", shared, runs)]
    for run in runs:
        others = {edge for other in runs if other is not run for edge in other.edges}
        parts.append(_list(f"Only in {run.name}", [edge for edge in run.edges if edge not in others], [run]))
    return "\n".join(parts)


def _list(title: str, edges: Sequence[str], runs: Sequence[Shown]) -> str:
    rows = [[escaped(edge), *(_score(run.edges[edge]) for run in runs)] for edge in edges[:LISTED]]
    more = f", the {LISTED} strongest here" if len(edges) > LISTED else ""
    return table(
        f"{title}: {len(edges):,} edge{'' if len(edges) == 1 else 's'}{more}",
        ("edge", *(run.name for run in runs)),
        rows,
    )


def _score(score: float | None) -> str:
    if score is None:
        return "\u2013"
    return f'<span class="number {"supports" if score > 0 else "opposes"}">{minus(f"{score:+.4f}")}</span>'
