"""The tables of what ``side_by_side.py judge`` measured.

    python -m benchmarks.peers.side_by_side_table benchmarks/results/side_by_side.json

One table a case, one row a method; models with planted circuits share one table, with a column each. Of a method that gives one circuit a threshold, the
row has the smallest circuit that reaches the target, or if none does, the one nearest to it. Where every ranking of a case was kept at all sizes, a second
table has its faithfulness on the other prompts at some of them. What packages refuse stands below.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

PACKAGES = ("circuitsearch", "EAP-IG", "auto-circuit", "TransformerLens", "interpkit")
COLUMNS = ("edges at .9", "held out", "bounded", "CPR", "CMD", "cost")
PLANTED_COLUMNS = ("held out, lowest", "CPR", "CMD", "cost")
LARGEST_SHARE = 0.1  # of the edges, in the table of sizes
MISSING = "-"

Row = dict[str, Any]


def best(rows: list[Row]) -> Row:
    """The smallest circuit that reaches the target, or the nearest; of a single row, itself."""
    reaching = [row for row in rows if row.get("reaches")]
    if reaching:
        return min(reaching, key=lambda row: row["edges"])
    return min(rows, key=lambda row: abs(1 - row.get("train", 0)))


def method_of(row: Row) -> str:
    """Package and method, without the threshold of one of several circuits."""
    threshold = row["settings"].get("threshold") if row["kind"] == "circuit" else None
    return row["name"] if threshold is None else row["name"].removesuffix(f" {threshold:g}")


def by_method(rows: list[Row]) -> dict[str, dict[str, Row]]:
    """Of every method that found something, in the order of packages, its row in each case."""
    found = [row for row in rows if "edges" in row]
    found.sort(key=lambda row: (PACKAGES.index(row["package"]), "find" not in row["name"]))
    cases = dict.fromkeys(row["case"] for row in rows)
    each = {
        method: {case: [row for row in found if (method_of(row), row["case"]) == (method, case)] for case in cases}
        for method in dict.fromkeys(map(method_of, found))
    }
    return {method: {case: best(some) for case, some in of.items() if some} for method, of in each.items()}


def size(row: Row) -> str:
    """Number of edges, and the faithfulness they have where it is not the target."""
    return f"{row['edges']:,}" if row["reaches"] else f"{row['edges']:,} (at {row['train']:.2f})"


def interval(estimate: dict[str, float]) -> str:
    """A value with its interval, or alone if all prompts agree."""
    value, low, high = (f"{estimate[name]:.2f}" for name in ("value", "low", "high"))
    return value if low == high else f"{value} [{low}, {high}]"


def area(rows: list[Row], name: str) -> str:
    """The mean area of these rows, if the method has one."""
    return f"{mean(row[name] for row in rows):.3f}" if all(name in row for row in rows) else MISSING


def cells(row: Row) -> list[str]:
    """One method on one case."""
    measured = [interval(row[name]) for name in ("held_out", "bounded")]
    areas = [area([row], name) for name in ("cpr", "cmd")]
    return [size(row), *measured, *areas, f"{row['cost']['forwards']:,.0f}"]


def planted_cells(rows: dict[str, Row], cases: list[str]) -> list[str]:
    """One method on all planted models."""
    circuits = [
        f"{size(rows[case])}: {rows[case]['precision']:.2f}, {rows[case]['recall']:.2f}" if case in rows else MISSING
        for case in cases
    ]
    some = list(rows.values())
    costs = sorted(row["cost"]["forwards"] for row in some)
    lowest = min(row["held_out"]["value"] for row in some)
    return [
        *circuits, f"{lowest:.2f}", area(some, "cpr"), area(some, "cmd"), f"{costs[0]:,.0f} to {costs[-1]:,.0f}"
    ]  # fmt: skip


def at_sizes(rows: dict[str, Row]) -> dict[str, list[str]]:
    """Faithfulness of every ranking's strongest edges, with its interval, by the method's name and the share of edges."""
    shown = {name: [point for point in row["sizes"] if point["share"] <= LARGEST_SHARE] for name, row in rows.items()}
    return {
        name: [interval(point | {"value": point["faithfulness"]}) for point in points] for name, points in shown.items()
    }


def sizes_table(rows: dict[str, Row], edges: int) -> list[str]:
    """The table of sizes, if every ranking has them."""
    ranked = {name: row for name, row in rows.items() if "cpr" in row}
    if not ranked or any("sizes" not in row for row in ranked.values()):
        return []
    shares = [point["share"] for point in next(iter(ranked.values()))["sizes"] if point["share"] <= LARGEST_SHARE]
    return [markdown([f"{round(share * edges):,} ({share:.1%})" for share in shares], at_sizes(ranked))]


def markdown(columns: list[str], lines: dict[str, list[str]]) -> str:
    """A table with the names of the lines first."""
    head = [f"| | {' | '.join(columns)} |", "|---|" + "--:|" * len(columns)]
    return "\n".join([*head, *(f"| {name} | {' | '.join(each)} |" for name, each in lines.items())])


def tables(rows: list[Row]) -> list[str]:
    """All tables, each below its case's name."""
    edges = {row["case"]: row["edges_total"] for row in rows if "edges" in row}
    planted = [case for case in edges if case.startswith("planted-")]
    made = []
    for case in (case for case in edges if case not in planted):
        each = by_method([row for row in rows if row["case"] == case])
        lines = {method: cells(of[case]) for method, of in each.items()}
        made.append(f"{case}, {edges[case]:,} edges\n\n{markdown(list(COLUMNS), lines)}")
        made += sizes_table({method: of[case] for method, of in each.items() if case in of}, edges[case])
    if planted:
        each = by_method([row for row in rows if row["case"] in planted])
        columns = [case.removeprefix("planted-") for case in planted]
        lines = {method: planted_cells(of, planted) for method, of in each.items()}
        made.append(f"planted\n\n{markdown([*columns, *PLANTED_COLUMNS], lines)}")
    return made


def refused(rows: list[Row]) -> str:
    """Each sentence once, with the cases in which it was said."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if "error" in row:
            said.setdefault((row["name"], row["error"]), []).append(row["case"])
    return "\n".join(f"- {name} ({', '.join(cases)}): `{error}`" for (name, error), cases in said.items())


def with_shared(rows: list[Row]) -> list[Row]:
    """A ranking with the edges of another one of its case has that one's measures."""
    named = {(row["case"], row["name"]): row for row in rows}
    return [named[row["case"], row["same_edges_as"]] | row if "same_edges_as" in row else row for row in rows]


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    rows = with_shared(json.loads(parser.parse_args().results.read_text())["rows"])
    print("\n\n".join([*tables(rows), refused(rows)]))


if __name__ == "__main__":
    main()
