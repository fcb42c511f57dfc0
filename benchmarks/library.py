"""A library of the runs and circuits that are given, and ten searches in it.

python -m benchmarks.library LIBRARY RUN... [--out FOLDER]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from circuitsearch.errors import InputError, counted
from circuitsearch.library import Conditions, Library

SEARCHES: tuple[tuple[str, str, Conditions], ...] = (
    ("which circuits use a1.h6, and as what", "", {"head": "a1.h6"}),
    ("the same head by another spelling, as an induction head", "", {"head": "L1H6", "role": "induction"}),
    ("which circuits have an edge from a1.h6 to the logits", "", {"edge": "1.6->logits"}),
    ("duplicate token heads of circuits of smollm2", "", {"role": "duplicate token", "model": "smollm2"}),
    (
        "small and faithful, low end of the interval included",
        "",
        {"size": "..20", "faithfulness": "0.9..1.1", "low": 0.9},
    ),
    ("circuits of gemma3-270m for greater_than", "", {"model": "gemma3-270m", "task": "greater_than"}),
    ("what feeds the queries of a17.h4 in smollm2", "", {"head": "17.4<q>", "model": "smollm2"}),
    ("whose report speaks of hypothesis tests' power", "equivalence power", {}),
    ("tasks about names that move, in words", "indirect object", {"size": "..60"}),
    ("circuits with more than 100 edges", "", {"size": "100.."}),
)
SHOWN = 3  # circuits of an answer that are printed


def build(library: Library, sources: list[Path]) -> None:
    """Add each source, and say which cannot be read."""
    for source in sources:
        try:
            library.add(source)
        except InputError as error:
            print(f"left out: {error}")


def main() -> None:
    """Build the library, search in it, and write heatmap, tree and page of each model with several circuits."""
    parser = argparse.ArgumentParser(description="A library of circuits and ten searches in it.")
    parser.add_argument("library", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    library, began = Library(arguments.library), time.perf_counter()
    build(library, arguments.runs)
    print(
        f"{len(library)} circuits, added in {time.perf_counter() - began:.1f} s, {arguments.library.stat().st_size:,} bytes"
    )
    for question, words, conditions in SEARCHES:
        began = time.perf_counter()
        found = library.search(words, **conditions)
        print(f"\n{question}: {counted(len(found), 'circuit')}, {1000 * (time.perf_counter() - began):.0f} ms")
        print("\n".join(map(str, found[:SHOWN])))
    if arguments.out is not None:
        _draw(library, arguments.out)


def _draw(library: Library, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    models = [entry.of_model for entry in library.entries()]
    for model in sorted({each for each in models if models.count(each) > 1}):
        found = library.compare(model=model)
        found.draw_heatmap(out / f"heatmap-{model}.png")
        found.draw_tree(out / f"tree-{model}.png")
    library.write_page(out / "library.html")


if __name__ == "__main__":
    main()
