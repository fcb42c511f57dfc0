"""The table of what ``side_by_side.py judge`` measured.

    python -m benchmarks.peers.side_by_side_table benchmarks/results/side_by_side.json

One row a method, one number a case, in the order of the cases. Of a method that gives one circuit a threshold, the row has the smallest circuit
that reaches the target, or if none does, the one nearest to it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

COLUMNS = ("edges at .9", "held out", "bounded", "CPR", "CMD", "cost")
MISSING = "-"


def best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The smallest circuit that reaches the target, or the nearest; of a single row, itself."""
    reaching = [row for row in rows if row.get("reaches")]
    if reaching:
        return min(reaching, key=lambda row: row["edges"])
    return min(rows, key=lambda row: abs(1 - row.get("train", 0)))


def cells(row: dict[str, Any]) -> list[str]:
    """One method on one case."""
    if "edges" not in row:
        return [MISSING] * len(COLUMNS)
    edges = f"{row['edges']:,}" if row["reaches"] else f"{row['edges']:,} (at {row['train']:.2f})"
    areas = [f"{row[name]:.3f}" if name in row else MISSING for name in ("cpr", "cmd")]
    measured = [f"{row[name]['value']:.2f}" for name in ("held_out", "bounded")]
    return [edges, *measured, *areas, f"{row['cost']['forwards']:,.0f}"]


def method_of(row: dict[str, Any]) -> str:
    """Package and method, without the threshold of one of several circuits."""
    threshold = row["settings"].get("threshold") if row["kind"] == "circuit" else None
    return row["name"] if threshold is None else row["name"].removesuffix(f" {threshold:g}")


def table(rows: list[dict[str, Any]], cases: list[str]) -> str:
    """Markdown; several cases stand in one cell, divided by strokes."""
    known = [row for row in rows if row["case"] in cases and ("edges" in row or "error" in row)]
    known = [row for row in known if row["kind"] != "refused"]
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---|" + "--:|" * len(COLUMNS)]
    for method in dict.fromkeys(map(method_of, known)):
        found = [[row for row in known if method_of(row) == method and row["case"] == case] for case in cases]
        each = [cells(best(some)) if some else [MISSING] * len(COLUMNS) for some in found]
        lines.append(f"| {method} | {' | '.join(' / '.join(column) for column in zip(*each, strict=True))} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table of the cases that are asked for, by default all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--cases", nargs="+")
    asked = parser.parse_args()
    rows = json.loads(asked.results.read_text())["rows"]
    print(table(rows, asked.cases or list(dict.fromkeys(row["case"] for row in rows))))


if __name__ == "__main__":
    main()
