"""Results of instruments, and specificity, as heatmaps: one function for each kind of result."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.figures.canvas import encode, figure_style, suffix_of
from circuitsearch.figures.maps import Map, draw_maps, prompts
from circuitsearch.files import write_bytes
from circuitsearch.graph import Graph
from circuitsearch.instruments.attribution import DirectLogit
from circuitsearch.instruments.decomposition import Decomposition
from circuitsearch.instruments.heads import HeadRoles
from circuitsearch.instruments.lens import LogitLens
from circuitsearch.instruments.patching import SITES, Patching
from circuitsearch.instruments.patterns import Attention
from circuitsearch.instruments.tracing import CausalTrace
from circuitsearch.validation.cross_task import Specificity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LETTERS = 24  # of the name of a task


def draw_result(result: object, path: str | Path) -> None:
    """Draw a result; see :func:`circuitsearch.draw`."""
    suffix = suffix_of(path)
    with figure_style():
        content = encode(figure_of(result), suffix)
    write_bytes(path, content)


@singledispatch
def figure_of(result: object) -> Figure:
    """Make the figure of a result. Call within :func:`circuitsearch.figures.canvas.figure_style`.

    Raises
    ------
    InputError
        If the value is not such a result.
    """
    raise InputError(f"cannot draw a {type(result).__name__}: give a circuit, or the result of an instrument")


@figure_of.register(DirectLogit)
def _(found: DirectLogit) -> Figure:
    columns, values = by_layer(found.graph, found.values[:-1])
    rows = [str(layer) for layer in range(found.graph.n_layers)]
    ends = f"embed {found.values[0]:+.2f}, bias {found.values[-1]:+.2f}, sum {found.values.sum():+.2f}"
    shown = Map(values.tolist(), rows, columns, ends, "layer", "head", f"direct effect, {found.target}")
    before = ", before the soft cap" if found.capped else ""
    return draw_maps([shown], f"{found.task}: direct logit attribution{before}, {prompts(len(found.logit))}")


def by_layer(graph: Graph, values: Tensor) -> tuple[list[str], Tensor]:
    """Values of the writers (U,) as a map (L, columns): heads, then MLPs and mixers where there are any; NaN elsewhere."""
    kinds = [letter for letter in ("m", "s") if any(part.letter == letter for part in graph.parts)]
    heads = graph.n_heads if any(part.kind == "heads" for part in graph.parts) else 0
    out = values.new_full((graph.n_layers, heads + len(kinds)), torch.nan)
    for part in graph.parts:
        if part.kind == "heads":
            out[part.layer, :heads] = values[part.rows]
        else:
            out[part.layer, heads + kinds.index(part.letter)] = values[part.rows.start]
    return [*map(str, range(heads)), *({"m": "MLP", "s": "mixer"}[kind] for kind in kinds)], out


@figure_of.register(Decomposition)
def _(found: Decomposition) -> Figure:
    labels = {"rows": found.parts, "columns": found.columns, "row_name": "part", "downwards": True}
    maps = [
        Map(found.norms.tolist(), title="what it adds", unit="length", signed=False, **labels),
        Map(found.streams.tolist(), title="the stream after it", unit="length", signed=False, **labels),
        Map(found.shares.tolist(), title="its share of the end", unit="share", **labels),
    ]
    return draw_maps(maps, f"{found.task}: residual stream, {prompts(found.n)}", across=3)


@figure_of.register(LogitLens)
def _(found: LogitLens) -> Figure:
    texts = [[cell[0][0] for cell in row] for row in found.top]
    labels = {"rows": found.layers, "columns": found.columns, "row_name": "stream before block", "signed": False}
    maps = [
        Map(found.probability.tolist(), title="answer", unit="probability", texts=texts, **labels),
        Map(found.entropy.tolist(), title="entropy", unit="nats", **labels),
    ]
    name = "tuned lens" if found.tuned else "logit lens"
    return draw_maps(maps, f"{found.task}: {name}, {prompts(found.n)}; in the cells the most likely token", across=1)


@figure_of.register(Patching)
def _(found: Patching) -> Figure:
    side = "head" if SITES[found.site].by_head else "token"
    unit = f"fall of {found.metric}" if found.noising else f"rise of {found.metric}"
    shown = Map(found.effects.tolist(), found.rows, found.columns, found.site, "place", side, unit)
    ends = f"clean {found.clean:.2f}, corrupt {found.corrupt:.2f}"
    patched = "corrupt into clean" if found.noising else "clean into corrupt"
    return draw_maps([shown], f"{found.task}: {found.site} patched, {patched}; {ends}; {prompts(found.n)}")


@figure_of.register(CausalTrace)
def _(found: CausalTrace) -> Figure:
    unit = "rise of the probability"
    shown = Map(found.effects.tolist(), found.rows, found.columns, found.site, "restored at", "", unit)
    window = f", windows of {found.window}" if found.window > 1 else ""
    ends = f"clean {found.clean:.2f}, corrupted {found.corrupted:.2f}"
    return draw_maps([shown], f"{found.task}: causal trace{window}; {ends}; {prompts(found.n)}, {found.seeds} noises")


@figure_of.register(Attention)
def _(found: Attention) -> Figure:
    looks = {"rows": found.tokens, "columns": found.tokens, "signed": False, "downwards": True, "unit": "attention"}
    maps = [
        Map(pattern.tolist(), title=head, row_name="from", column_name="to", **looks)
        for head, pattern in zip(found.heads, found.patterns, strict=True)
    ]
    return draw_maps(maps, f"{found.task}: attention, {prompts(found.n)}")


@figure_of.register(HeadRoles)
def _(found: HeadRoles) -> Figure:
    rows, columns = [str(layer) for layer in found.layers], [str(head) for head in range(found.scores.shape[2])]
    excess = (found.scores - found.nulls).tolist()
    marks = [[["○" if given else "" for given in row] for row in role] for role in found.given.tolist()]
    maps = [
        Map(excess[at], rows, columns, role, "layer", "head", found.units[at], texts=marks[at])
        for at, role in enumerate(found.roles)
    ]
    return draw_maps(maps, f"{found.task}: heads' scores less their null; a ring marks those that are given the role")


@figure_of.register(Specificity)
def _(found: Specificity) -> Figure:
    names, tasks = list(found.circuits), list(found.tasks)
    labels = {"row_name": "circuit", "downwards": True, "letters": LETTERS}
    measures = [("faithfulness", "ratio of means"), ("per_prompt", "mean, bounded")]
    maps = [_of_tasks(found, measure, unit) for measure, unit in measures]
    shared = [[1.0 if one == two else found.overlap(one, two).contained for two in names] for one in names]
    texts = [["" if one == two else _short(found.overlap(one, two).contained) for two in names] for one in names]
    unit = "of the smaller circuit"
    maps.append(
        Map(shared, names, names, "edges shared", column_name="circuit", unit=unit, signed=False, texts=texts, **labels)
    )
    n = prompts(sum(found[names[0], task].n for task in tasks))
    return draw_maps(maps, f"Circuits on {len(tasks)} tasks, {n}; colours end at -1 and 1")


def _of_tasks(found: Specificity, measure: str, unit: str) -> Map:
    """One number of every circuit on every task, as text and, from -1 to 1, as a colour."""
    values = [[getattr(found[circuit, task], measure).value for task in found.tasks] for circuit in found.circuits]
    shown = [[max(-1.0, min(1.0, value)) for value in row] for row in values]
    texts = [list(map(_short, row)) for row in values]
    labels = {"row_name": "circuit", "column_name": "task", "downwards": True, "letters": LETTERS}
    title = {"faithfulness": "faithfulness", "per_prompt": "per prompt"}[measure]
    return Map(
        shown,
        list(found.circuits),
        list(found.tasks),
        title,
        unit=unit,
        signed=measure == "faithfulness",
        texts=texts,
        **labels,
    )


def _short(value: float) -> str:
    """Two decimals, as in ``.87``; nothing where it is not defined."""
    return "" if value != value else f"{value:z.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"
