"""Draw this package's costs beside those of its peers, in plain forwards, on a log scale.

    python benchmarks/speed_figure.py docs/figures/speed.svg

It draws the numbers in benchmarks/results: those that speed.py wrote of 8x16@10, and peers.json, which holds the table of
peers/README.md. A dot is a median; where two measurements of a peer disagree, or two are made of this package, a
line joins them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from circuitsearch import colours
from circuitsearch.figures import style
from circuitsearch.figures.canvas import encode, figure_style, suffix_of
from circuitsearch.files import write_bytes

RESULTS = Path(__file__).parent / "results"
PARTS = ("gradients", "circuits", "exact", "acdc")
SIZE = (6.6, 3.6)  # inches
LOOKS: dict[str, dict[str, Any]] = {
    "circuitsearch": {"color": colours.SUPPORTS, "marker": "o"},
    "auto-circuit": {"color": colours.OPPOSES, "marker": "s"},
    "TransformerLens": {"color": style.FAINT, "marker": "D"},
}
TASKS = {
    "EAP": ("EAP, all edges", "TransformerLens: at each position"),
    "EAP-IG": ("EAP-IG, 5 steps, all edges", "auto-circuit: over masks, not inputs"),
    "one circuit": ("one circuit of 1,000 edges", "auto-circuit: two runs; TransformerLens: one prompt"),
    "ACDC": ("ACDC, one edge test", "ours keeping 300, 3,000 edges; auto-circuit: two runs"),
    "exact": ("exact effect, one edge", "not measured in the peers"),
}


def ours() -> dict[str, list[float]]:
    """This package's costs in plain forwards."""
    reports = [json.loads((RESULTS / f"{part}-cpu-small-8x16-at-10.json").read_text()) for part in PARTS]
    rows = {(row["what"], row["unit"]): row["ratio"] for report in reports for row in report["rows"]}
    return {
        "EAP": [rows["EAP", "f"]],
        "EAP-IG": [rows["EAP-IG", "f"]],
        "one circuit": [2 * rows["one circuit, 1,000 edges, all anew", "2 f"]],
        "ACDC": [rows[f"ACDC keeping {size}, an edge test", "f"] for size in ("300", "3,000")],
        "exact": [rows["exact, an edge", "f"]],
    }


def draw(costs: dict[str, dict[str, list[float]]], setting: dict[str, Any]) -> Figure:
    """One line a task, one mark a package."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(1, color=style.RULE, linewidth=0.9, zorder=0)
    axes.annotate(" one plain forward", (1, -0.55), fontsize=6, color=style.FAINT, va="top")
    for place, task in enumerate(TASKS):
        for package, look in LOOKS.items():
            if values := costs[package].get(task):
                mark(axes, values, place, look)
    for package, look in LOOKS.items():
        axes.plot([], [], linestyle="", markersize=5, label=package, **look)
    _labels(axes, setting)
    figure.legend(loc="outside lower center", ncols=3, fontsize=style.TEXT_SIZE, frameon=False)
    return figure


def mark(axes: Axes, values: list[float], place: int, look: dict[str, Any]) -> None:
    """Dots, the line that joins them, and their numbers."""
    axes.plot(values, [place] * len(values), markersize=5, linewidth=1.1, **look)
    for value in values:
        text = f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
        at: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
        axes.annotate(text, (value, place), fontsize=style.TEXT_SIZE, color=style.INK, **at)


def _labels(axes: Axes, setting: dict[str, Any]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(len(TASKS) - 0.5, -0.6)
    axes.set_yticks(range(len(TASKS)), [f"{name}\n" for name, _ in TASKS.values()], fontsize=style.LABEL_SIZE)
    for place, (_, note) in enumerate(TASKS.values()):
        at: dict[str, Any] = {"xytext": (-7, -7), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(note, (0, place), xycoords=axes.get_yaxis_transform(), fontsize=6, color=style.FAINT, **at)
    axes.tick_params(axis="x", labelsize=style.TEXT_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("time, in plain forwards of the same prompts (log scale)", fontsize=style.LABEL_SIZE)
    title = (
        f"GPT-2 small's shape, random weights: {setting['prompts']} pairs of {setting['length']} tokens that differ at "
        f"position {setting['differs_at']}; one thread"
    )
    axes.set_title(title, fontsize=style.LABEL_SIZE, loc="right")


def main(path: str) -> None:
    """Read the results and draw."""
    peers = json.loads((RESULTS / "peers.json").read_text())
    costs = {"circuitsearch": ours(), **{name: peers[name] for name in ("auto-circuit", "TransformerLens")}}
    with figure_style():
        write_bytes(path, encode(draw(costs, peers["setting"]), suffix_of(path)))


if __name__ == "__main__":
    main(sys.argv[1])
