"""The same work in one, two and four processes: whether results are equal, the share of each process, and how much faster two are.

``python -m benchmarks.faults.shared FOLDER`` is what each process runs. Operations are counted in one run and time is taken in another, as
counting slows small models.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import circuitsearch as cs
from circuitsearch.bench import Benchmark, benchmark
from circuitsearch.bench.cost import measured
from circuitsearch.distributed import World, joined

PROCESSES = (1, 2, 4)
CLOSE = 1e-4  # of results whose sums have another order, in float32
CELLS = {
    "grid": [{"models": ["planted:induction:1", "planted:two-hop:2"]}],
    "methods": ["eap", "eap-ig", "relp", "find(passes=1)"],
}

Results = dict[str, Tensor]
Work = Callable[[cs.Experiment, Path], Results]


def _eap_ig(experiment: cs.Experiment, folder: Path) -> Results:
    return {"scores": experiment.score(cs.EAPIG()).values}


def _exact(experiment: cs.Experiment, folder: Path) -> Results:
    edges = tuple(islice(experiment.graph.edges(experiment.graph.mask), 512))
    return {"scores": experiment.score(cs.Exact(edges=edges)).values}


def _acdc(experiment: cs.Experiment, folder: Path) -> Results:
    some = experiment.task.subset(range(16))
    (found,) = cs.acdc(experiment, some, [0.1]).values()
    return {"circuit": found.mask}


def _find(experiment: cs.Experiment, folder: Path) -> Results:
    how = cs.Refine(passes=4)
    found = cs.find(experiment.model, experiment.task, refine=how, world=experiment.world, listeners=())
    faithfulness = found.report.faithfulness
    numbers = torch.tensor([faithfulness.value, faithfulness.low, faithfulness.high], dtype=torch.float64)
    return {"circuit": found.circuit.mask, "faithfulness": numbers}


def _bench(experiment: cs.Experiment, folder: Path) -> Results:
    wanted = Benchmark.model_validate(CELLS | {"n": 32, "measured": 32})
    found = benchmark(wanted, folder, world=experiment.world)
    values = [row["value"] for row in found.rows()]
    numbers = [float("nan") if value is None else float(value) for value in values]
    return {"cells": torch.tensor(numbers, dtype=torch.float64)}


WORKS: dict[str, Work] = {
    "EAP-IG": _eap_ig,
    "exact effects of 512 edges": _exact,
    "ACDC": _acdc,
    "find with its report": _find,
    "bench, 8 cells": _bench,
}


def work_together(folder: Path) -> None:
    """Do all of it as one of the processes; leave results, operations and seconds of each work."""
    torch.set_num_threads(1)
    model, tokenizer = cs.load("pico")
    with joined() as world:
        for number, work in enumerate(WORKS.values()):

            def again(at: str, number: int = number, work: Work = work) -> Results:
                experiment = cs.Experiment(model, cs.tasks.ioi(tokenizer, n=64), world=world)
                return work(experiment, folder / f"{number}-{at}")

            with measured(torch.device("cpu")) as cost:
                found = again("counted")
            _together(world)
            began = time.perf_counter()
            again("timed")
            seconds = time.perf_counter() - began
            save_file({name: each.contiguous() for name, each in found.items()}, folder / f"{number}-{world.rank}")
            content = {"operations": cost.operations, "seconds": seconds}
            (folder / f"{number}-{world.rank}.json").write_text(json.dumps(content))


def _together(world: World) -> None:
    """Wait for the other processes."""
    world.same(b"")


@dataclass
class Shared:
    """One work, in one process and in several.

    Attributes
    ----------
    work : str
        Its name.
    results : str
        How those of several processes compare with those of one.
    shares : dict
        Of 2 and 4 processes: the operations of each over those of one process.
    speed_up : float
        Time of one process over that of the slower of two.
    wrong : list of str
        Processes whose results differ from each other, or by more than rounding from those of one.
    """

    work: str
    results: str = "the same bits"
    shares: dict[int, list[float]] = field(default_factory=dict)
    speed_up: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[object, ...]:
        """For the table."""
        of_each = [", ".join(f"{share:.2f}" for share in self.shares[size]) for size in PROCESSES[1:]]
        return self.work, self.results, *of_each, f"{self.speed_up:.2f}"


def shared(folder: Path) -> Iterator[Shared]:
    """Run all work in one, two and four processes, and compare."""
    for size in PROCESSES:
        (folder / str(size)).mkdir(parents=True)
        _run(size, folder / str(size))
    for number, name in enumerate(WORKS):
        yield _compared(name, number, folder)


def _run(size: int, folder: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(size)] if size > 1 else []
    command = [sys.executable, *launcher, "-m", "benchmarks.faults.shared", str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _compared(name: str, number: int, folder: Path) -> Shared:
    found = Shared(name)
    alone, cost = load_file(folder / f"1/{number}-0"), _cost(folder / f"1/{number}-0.json")
    for size in PROCESSES[1:]:
        ranks = [load_file(folder / f"{size}/{number}-{rank}") for rank in range(size)]
        costs = [_cost(folder / f"{size}/{number}-{rank}.json") for rank in range(size)]
        found.shares[size] = [each["operations"] / cost["operations"] for each in costs]
        if size == 2:
            found.speed_up = cost["seconds"] / max(each["seconds"] for each in costs)
        for rank, each in enumerate(ranks[1:], 1):
            if any(_difference(each[part], ranks[0][part]) for part in each):
                found.wrong.append(f"{name}: process {rank} of {size} has other results than the first")
        most = max(_difference(ranks[0][part], alone[part]) for part in alone)
        if most:
            found.results = f"largest difference {most:.0e}"
        if most > CLOSE:
            found.wrong.append(f"{name}: {size} processes differ from one by {most}")
    return found


def _cost(path: Path) -> dict[str, float]:
    return json.loads(path.read_text())


def _difference(one: Tensor, other: Tensor) -> float:
    if torch.equal(one.isnan(), other.isnan()):
        return float((one.double() - other.double()).nan_to_num().abs().max())
    return float("inf")


if __name__ == "__main__":
    work_together(Path(sys.argv[1]))
