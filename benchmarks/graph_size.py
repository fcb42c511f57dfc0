"""How long a graph of millions of edges takes, and how much memory: built, scored at random, searched, saved and read.

    python benchmarks/graph_size.py [--shapes 8b 70b] [--out benchmarks/results]

Each shape runs in a fresh process. Seconds are wall clock, of each step and in all, imports included; memory is the
process's peak as the operating system counts it, torch and all. No model is built: only its graph.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SHAPES = {"8b": (32, 32, 8), "70b": (80, 64, 8)}  # Llama 3: blocks, heads, key-value heads


def measure(shape: str) -> dict[str, Any]:
    """Every step on one shape, in this process."""
    began = time.perf_counter()
    seconds: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        before = time.perf_counter()
        result = step()
        seconds[name] = round(time.perf_counter() - before, 3)
        return result

    import torch

    import circuitsearch as cs
    from circuitsearch.search import greedy, threshold, top

    seconds["import"] = round(time.perf_counter() - began, 3)
    torch.set_num_threads(1)
    graph = timed("graph", lambda: _built(cs.Graph(*SHAPES[shape])))
    scores = timed("random scores", lambda: _random_scores(graph))
    tenth = graph.n_edges // 10
    with TemporaryDirectory() as folder:
        file = Path(folder) / "scores.safetensors"
        timed("scores saved", lambda: scores.save(file))
        scores = timed("scores loaded", lambda: type(scores).load(file))
        timed("scores as a dictionary", lambda: len(scores.to_dict()))
        for size in (1000, tenth, graph.n_edges):
            timed(f"top {size:,}", lambda size=size: top(scores, size))
            timed(f"greedy {size:,}", lambda size=size: greedy(scores, size))
        small = timed("threshold", lambda: threshold(scores, 2.0))
        whole = timed("pruned", lambda: cs.Circuit(graph, graph.mask, scores.values).pruned())
        timed("nodes", lambda: (len(small.nodes), len(whole.nodes)))
        for name, circuit in (("some", small), ("all", whole)):
            path = Path(folder) / f"{name}.json"
            timed(f"circuit of {name} edges saved", lambda: circuit.save(path))  # noqa: B023 (called at once)
            read = timed(f"circuit of {name} edges loaded", lambda: cs.Circuit.load(path))  # noqa: B023
            assert torch.equal(read.mask, circuit.mask)
            seconds[f"circuit of {name} edges, MB"] = round(path.stat().st_size / 1e6, 1)
            del read
    return {
        "shape": shape,
        "edges": graph.n_edges,
        "seconds": round(time.perf_counter() - began, 2),
        "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        "steps": seconds,
    }


def _built(graph: Any) -> Any:
    """The graph with its names and its mask."""
    _ = graph.mask, graph.writer_index, graph.reader_index
    return graph


def _random_scores(graph: Any) -> Any:
    import torch

    from circuitsearch.scores import Scores

    values = torch.randn(graph.mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Scores(graph, values.mul_(graph.mask))


def main() -> None:
    """Run each shape in a process of its own, print a table, and write the numbers down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--out", help="folder for the numbers as JSON")
    parser.add_argument("--only", choices=SHAPES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only)))
        return
    found = []
    for shape in options.shapes:
        run = subprocess.run([sys.executable, __file__, "--only", shape], check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(run.stdout))
        print(json.dumps(found[-1], indent=2), flush=True)
    if options.out:
        from record import circumstances, save

        save(options.out, "graph_size", circumstances({}, "cpu", 1) | {"shapes": found})


if __name__ == "__main__":
    main()
