"""Whether the engine is right on this machine's accelerator, and how fast: two tables, in about five minutes.

    python benchmarks/accelerator.py [--device auto] [--dtypes float32 bfloat16] [--batch 32x64@40] [--parts gradients circuits]

First table: the largest difference of scores and of a circuit's metric from float64 on the CPU, with the same weights, as a share of the
largest of them; on the bundled model. Second table: as benchmarks/speed.py, on the shape of GPT-2 small.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator

import torch
from cases import Bench, Setting
from speed import PARTS
from torch import Tensor

import circuitsearch as cs
from circuitsearch.devices import device_named
from circuitsearch.scores import ranking
from circuitsearch.search.ranked import strongest

PROMPTS, EDGES, MEASURED = 32, 100, 40  # prompts; edges of the circuit; edges whose exact effects are compared
QUICK = argparse.Namespace(repeats=5, ports=1, readers=5)


def differences(device: str, dtype: str) -> Iterator[tuple[str, float]]:
    """What was compared, and the largest difference."""
    model, tokenizer = cs.load("pico", device=device, dtype=dtype)
    task = cs.tasks.greater_than(tokenizer, n=PROMPTS)
    here, exact = cs.Experiment(model, task), cs.Experiment(copy.deepcopy(model).cpu().double(), task)
    scores = exact.score(cs.EAP())
    yield "EAP", apart(here.score(cs.EAP()).values, scores.values)
    for name, method in (("EAP-IG", cs.EAPIG(steps=5)), ("RelP", cs.RelP()), ("GIM", cs.GIM())):
        yield name, apart(here.score(method).values, exact.score(method).values)
    measured = cs.Exact(edges=tuple((writer, reader) for writer, reader, _ in scores.top(MEASURED)))
    yield f"{MEASURED} exact effects", apart(here.score(measured).values, exact.score(measured).values)
    circuit = strongest(scores.graph, ranking(scores.graph, scores.values), EDGES)
    both = [experiment.evaluator.metric_of(circuit).cpu().double() for experiment in (here, exact)]
    yield f"metric of a circuit of {EDGES} edges", apart(*both)


def apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest number; where one is NaN, both must be."""
    known = ~expected.isnan()
    assert torch.equal(known, ~found.isnan())
    return float((found[known] - expected[known]).abs().max() / expected[known].abs().max())


def main() -> None:
    """Print both tables for each dtype."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch", default="32x64@40")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["gradients", "circuits"])
    options = parser.parse_args()
    device = device_named(options.device)
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    print(
        f"{name}, torch {torch.__version__}\n\n| dtype | compared with float64 on the CPU | largest difference |\n|---|---|--:|"
    )
    for dtype in options.dtypes:
        for what, difference in differences(device, dtype):
            print(f"| {dtype} | {what} | {difference:.1e} |", flush=True)
    for dtype in options.dtypes:
        bench = Bench.of(Setting.parse(options.batch, "small", device, dtype))
        print(f"\n{bench.setting}\n\n| what | ratio | to | |\n| --- | --- | --- | --- |", flush=True)
        for part in options.parts:
            for row in PARTS[part](bench, QUICK):
                print(row, flush=True)


if __name__ == "__main__":
    main()
