"""What a model's dtype does to scores and exact effects.

    python benchmarks/precision.py FOLDER ... [--n 4] [--edges 100] [--dtypes float32 float64 bfloat16 float16]

The task is IOI in the model's own tokens. Edges are taken at ranks of EAP's float32 scores that are evenly spaced on a
logarithmic scale, from the strongest to the weakest. Columns: of EAP's scores of all edges, their difference from float32's
(relative, root of the sum of squares); of the exact effects of the chosen edges the same; Pearson correlation of EAP with the
exact effects in that dtype; seconds. A model that is refused in a dtype has the sentence instead. Prints a table in
Markdown, a row as soon as it is known.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.models.load import DTYPES

HEADER = ("model", "dtype", "edges", "EAP, difference", "exact, difference", "Pearson", "seconds")


def line(cells: tuple[str, ...]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def at_ranks(scores: cs.Scores, n: int) -> tuple[tuple[str, str], ...]:
    """So many edges, from the strongest to the weakest."""
    named = scores.top(scores.graph.n_edges)
    ranks = np.unique(np.geomspace(1, len(named), n).round().astype(int) - 1)
    return tuple((named[rank][0], named[rank][1]) for rank in ranks)


def relative(values: Tensor, reference: Tensor) -> float:
    """Norm of the difference over the reference's norm."""
    return float((values.double() - reference.double()).norm() / reference.double().norm())


@dataclass(frozen=True)
class Effects:
    """EAP's scores of all edges (E,), exact effects of the chosen ones and EAP's of these (e,)."""

    scores: Tensor
    exact: Tensor
    estimated: Tensor
    chosen: tuple[tuple[str, str], ...]
    seconds: float


def effects(folder: str, dtype: str, n: int, edges: int | tuple[tuple[str, str], ...]) -> Effects:
    """One model in one dtype, at so many edges or at those that are given."""
    model, tokenizer = cs.load(folder, dtype=dtype)
    task = cs.tasks.ioi(tokenizer, n=n, seed=0)
    began = time.perf_counter()
    estimated = cs.score(model, task, cs.EAP())
    chosen = at_ranks(estimated, edges) if isinstance(edges, int) else edges
    exact = cs.score(model, task, cs.Exact(edges=chosen))
    seconds = time.perf_counter() - began
    both = torch.tensor([[exact[edge], estimated[edge]] for edge in chosen])
    return Effects(estimated.values[estimated.graph.mask], both[:, 0], both[:, 1], chosen, seconds)


def measure(folder: str, options: argparse.Namespace) -> None:
    """All dtypes on one model; float32, which the others are held against, comes first."""
    name, reference = Path(folder).name, None
    for dtype in ("float32", *(each for each in options.dtypes if each != "float32")):
        try:
            found = effects(folder, dtype, options.n, options.edges if reference is None else reference.chosen)
        except cs.InputError as error:
            print(line((name, dtype, "", str(error), "", "", "")), flush=True)
            continue
        reference = reference or found
        pearson = float(torch.corrcoef(torch.stack([found.exact, found.estimated]))[0, 1])
        differences = relative(found.scores, reference.scores), relative(found.exact, reference.exact)
        cells = (
            str(len(found.scores)),
            *(f"{each:.1e}" for each in differences),
            f"{pearson:.3f}",
            f"{found.seconds:.0f}",
        )
        print(line((name, dtype, *cells)), flush=True)


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--edges", type=int, default=100)
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    options = parser.parse_args()
    print(line(HEADER), line(("---",) * len(HEADER)), sep="\n", flush=True)
    for folder in options.folders:
        measure(folder, options)


if __name__ == "__main__":
    main()
