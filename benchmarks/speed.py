"""How long scoring, exact effects, ACDC and circuits take, in units of the bare model, all in one process.

    python benchmarks/speed.py [--quick] [--batches 8x16@10 8x64@40 ...] [--parts gradients exact acdc circuits]
    python benchmarks/speed.py --shape medium --parts gradients
    python benchmarks/speed.py --device cuda --dtype bfloat16
    python benchmarks/speed.py --full exact.jsonl

A batch is prompts x length @ the position where clean and corrupt prompts differ; f is one plain forward of it
(cases.py). On the CPU there is one thread. What is compared is timed in turn; each ratio is that of medians.

EAP, EAP-IG with 5 steps: all edges scored. The bare cost of EAP is two plain forwards and one backward to the activations,
that of EAP-IG one plain forward and five forwards with backwards.

One circuit of 100, 1,000 and 10,000 edges: a prefix of EAP's ranking that has that many when it is pruned, evaluated beside
others of its task, so that the corrupt run and the run with all edges cut are there; and one with everything anew. A curve:
the ten sizes from 0.1% to 100% of the edges in one call.

Exact, an edge, and ACDC, an edge test: means over a sample of readers (sampled.py). --full measures the exact effect of
every edge, which takes long; it writes its journal to the file, and must be begun without one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from cases import Bench, Setting, add_setting_options
from record import circumstances, save
from sampled import acdc_per_test, exact_per_edge
from torch import Tensor

import circuitsearch as cs
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.graph import Graph
from circuitsearch.methods import EAP
from circuitsearch.scores import ranking
from circuitsearch.search.ranked import strongest
from circuitsearch.validation.checks.curve import SHARES

BATCHES = ["8x16@10", "8x16@0", "8x64@40", "32x16@10"]
CIRCUITS, KEPT_BY_ACDC = (100, 1000, 10000), (300, 3000)


@dataclass(frozen=True)
class Row:
    """A cost, in what it is counted, and how it was found where that is not plain."""

    what: str
    ratio: float
    unit: str
    note: str = ""

    def __str__(self) -> str:
        return f"| {self.what} | {self.ratio:.3f} | {self.unit} | {self.note} |"


def gradients(bench: Bench, options: argparse.Namespace) -> Iterator[Row]:
    """EAP and EAP-IG."""
    cases = {"f": bench.forward, **bench.gradient_cases()}
    seconds = bench.medians(cases, options.repeats)
    for name in ("EAP", "EAP-IG"):
        yield Row(name, seconds[name] / seconds[f"bare {name}"], "its bare cost")
        yield Row(name, seconds[name] / seconds["f"], "f", f"f is {seconds['f']:.4f} s")


def circuits(bench: Bench, options: argparse.Namespace) -> Iterator[Row]:
    """Circuits alone, one with all that it needs, and a curve."""
    masks, curve = ranked_circuits(bench)
    ready = Evaluator(bench.described, bench.task)
    ready.circuits(curve[:1])
    cases: dict[str, Callable[[], Any]] = {
        **{f"one circuit, {size:,} edges": partial(ready.circuits, mask) for size, mask in masks.items()},
        "one circuit, 1,000 edges, all anew": lambda: Evaluator(bench.described, bench.task).circuits(masks[1000]),
        "curve of ten sizes": lambda: ready.circuits(curve),
    }
    alone = {"two forwards": lambda: bench.forward(2), "largest": lambda: ready.circuits(curve[-1:])}
    seconds = bench.medians(alone | cases, options.repeats)
    for name in cases:
        yield Row(name, seconds[name] / seconds["two forwards"], "2 f")
    yield Row("curve of ten sizes", seconds["curve of ten sizes"] / seconds["largest"], "its largest alone")


def ranked_circuits(bench: Bench) -> tuple[dict[int, Tensor], Tensor]:
    """From EAP's ranking one circuit (1, U, V) of each size, and the circuits (10, U, V) of a curve."""
    graph = bench.described.graph
    places = ranking(graph, bench.score(EAP()))
    curve = [strongest(graph, places, round(share * graph.n_edges)) for share in SHARES]
    return {size: pruned_to(graph, places, size)[None] for size in CIRCUITS}, torch.stack(curve)


def pruned_to(graph: Graph, places: Tensor, size: int) -> Tensor:
    """The first prefix, in steps of 5%, of a ranking's places (E, 2) that still has ``size`` edges when it is pruned."""
    prefix = size
    while int((mask := strongest(graph, places, prefix)).sum()) < size:
        prefix = int(prefix * 1.05) + 1
    return mask


def exact(bench: Bench, options: argparse.Namespace) -> Iterator[Row]:
    """Exact effects."""
    found = exact_per_edge(bench, options.ports)
    yield Row("exact, an edge", found.cost, "f", f"from {found.sampled:,} of {bench.described.graph.n_edges:,} edges")


def acdc(bench: Bench, options: argparse.Namespace) -> Iterator[Row]:
    """ACDC's edge tests."""
    for size in KEPT_BY_ACDC:
        found = acdc_per_test(bench, size, options.readers)
        sample = f"from {found.sampled:,} tests, {found.kept:.1%} kept, {found.runs:.1f} runs a test"
        note = f"{sample}; {found.share:.0%} of all edges need one"
        yield Row(f"ACDC keeping {size:,}, an edge test", found.cost, "f", note)


Part = Callable[[Bench, argparse.Namespace], Iterator[Row]]
PARTS: dict[str, Part] = {"gradients": gradients, "circuits": circuits, "exact": exact, "acdc": acdc}


def full(bench: Bench, options: argparse.Namespace) -> Iterator[Row]:
    """The exact effect of every edge by ``cs.score``; f is timed about once a minute, and its time taken off."""
    forwards = [bench.seconds(bench.forward) for _ in range(4)][1:]
    warm, start = len(forwards), time.perf_counter()

    def progress(done: int, total: int) -> None:
        if time.perf_counter() - start > 60 * (len(forwards) - warm + 1):
            forwards.append(bench.seconds(bench.forward))

    whole = bench.seconds(
        lambda: cs.score(bench.model, bench.task, cs.Exact(), journal=options.full, progress=progress)
    )
    own, f = whole - sum(forwards[warm:]), sum(forwards) / len(forwards)
    edges = bench.described.graph.n_edges
    yield Row("exact, an edge", own / f / edges, "f", f"all {edges:,} edges in {own:.0f} s, f is {f:.4f} s")


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_options(parser, BATCHES)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--ports", type=int, default=3, help="ports a block in the sample of exact effects, 1 to 3")
    parser.add_argument("--readers", type=int, default=16, help="readers in the sample of ACDC")
    parser.add_argument("--out", help="folder for the numbers as JSON, a file a part and setting")
    parser.add_argument("--quick", action="store_true", help="the first batch, few repeats, small samples")
    parser.add_argument("--full", metavar="JOURNAL", help="only every exact effect of the first batch")
    options = parser.parse_args()
    if options.quick:
        options.batches, options.repeats, options.ports, options.readers = options.batches[:1], 3, 1, 5
    return options


def main() -> None:
    """Read the options and print a table a setting."""
    options = read_options()
    torch.set_num_threads(1)
    parts: dict[str, Part] = {name: PARTS[name] for name in options.parts}
    if options.full:
        parts = {"full": full}
    for batch in options.batches[:1] if options.full else options.batches:
        bench = Bench.of(Setting.parse(batch, options.shape, options.device, options.dtype))
        print(f"\n{bench.setting}\n\n| what | ratio | to | |\n| --- | --- | --- | --- |", flush=True)
        for name, part in parts.items():
            report(bench, name, part, options)


def report(bench: Bench, name: str, part: Part, options: argparse.Namespace) -> None:
    """Print a part's rows as they are found, and write them down if asked to."""
    rows: list[Row] = []
    for row in part(bench, options):
        print(row, flush=True)
        rows.append(row)
    if options.out:
        about = circumstances(asdict(bench.setting), options.device, options.repeats)
        save(options.out, f"{name}-{bench.setting.name}", about | {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
