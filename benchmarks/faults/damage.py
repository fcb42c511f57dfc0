"""Flipped bits and torn bytes in files from which work goes on: refused in one sentence, or measured again to the same numbers."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import circuitsearch as cs
from circuitsearch import saved_state
from circuitsearch.errors import InputError
from circuitsearch.models.planted import Planted, plant
from circuitsearch.search import Refine

QUICK = Refine(passes=3, prompts=8)


@dataclass
class Damaged:
    """What became of damaged copies of one kind of file.

    Attributes
    ----------
    kind : str
        The file.
    refused, same : int
        Copies refused with a sentence; and those that led to the numbers of the whole file.
    wrong : list of str
        Damage that led to other numbers, or to another error.
    """

    kind: str
    refused: int = 0
    same: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[object, ...]:
        """For the table."""
        return self.kind, self.refused, self.same, len(self.wrong)


@dataclass(frozen=True)
class Work:
    """Work that goes on from a file.

    Attributes
    ----------
    kind : str
        The file, for tables.
    name : str
        Its path in the folder of the work.
    begin : callable
        Does a part of the work in a folder, so that the file is there.
    go_on : callable
        Ends the work in the folder; returns its numbers.
    """

    kind: str
    name: str
    begin: Callable[[Path], object]
    go_on: Callable[[Path], Any]


def works(planted: Planted) -> Iterator[Work]:
    """Every kind of file that is gone on from."""
    model, task = planted.model, planted.task
    fit, stopping = task.split(0.5)
    graph = cs.Experiment(model, task).graph
    edges = tuple(islice(graph.edges(graph.mask), 300))

    def exact(folder: Path) -> list[float]:
        return cs.score(model, task, cs.Exact(edges=edges), journal=folder / "journal").values.nan_to_num().tolist()

    def summed(folder: Path) -> list[float]:
        return cs.score(model, task, "eap", journal=folder / "sums").values.tolist()

    def trained(folder: Path) -> list[float]:
        return cs.score(model, task, cs.Matryoshka(steps=5), journal=folder / "trained").values.tolist()

    def search(folder: Path, passed: Callable[[cs.Circuit], None] = lambda circuit: None) -> list[Any]:
        scores = cs.score(model, fit, "eap")
        found = cs.refine(model, fit, scores, stopping, 0.9, how=QUICK, checkpoint=folder / "checkpoint", passed=passed)
        return [found.edges, found.history]

    def stability(folder: Path) -> Any:
        return cs.stability(model, task, method="eap", vary=["parts(count=2)"], out=folder / "stability")

    def run(folder: Path) -> Any:
        found = cs.find(model, task, method="eap", refine=QUICK, out=folder / "run", listeners=())
        return [found.circuit.edges, found.report]

    yield Work("journal of exact effects", "journal", exact, exact)
    yield Work("sum of gradient scores", "sums-eap", summed, summed)
    yield Work("state of a training", "trained-matryoshka", trained, trained)
    yield Work("checkpoint of a search", "checkpoint", lambda folder: _until_second_pass(folder, search), search)
    yield Work("circuit of a stability analysis", "stability/circuits/parts-1.json", stability, stability)
    yield Work("scores of a run", "run/scores.safetensors", run, run)
    yield Work("circuit of a run", "run/circuit.json", run, run)
    yield Work("report of a run", "run/report.json", run, run)


def _until_second_pass(folder: Path, search: Callable[..., Any]) -> None:
    def stop(circuit: cs.Circuit) -> None:
        if circuit.history is not None and len(circuit.history.passes) == 2:
            raise KeyboardInterrupt

    try:
        search(folder, stop)
    except KeyboardInterrupt:
        return


def damaged(n: int, folder: Path, seed: int, only: str = "") -> Iterator[Damaged]:
    """Damage ``n`` copies of each kind of file whose name holds a text."""
    saved_state.SECONDS = 0  # every step is kept
    chance = random.Random(seed)
    planted = plant("induction", seed=1, n=24)
    for number, work in enumerate(work for work in works(planted) if only in work.kind):
        begun, whole = folder / f"{number}-begun", folder / f"{number}-whole"
        begun.mkdir(parents=True)
        work.begin(begun)
        shutil.copytree(begun, whole)
        expected = repr(work.go_on(whole))
        found = Damaged(work.kind)
        for copy in range(n):
            broken = folder / f"{number}-{copy}"
            shutil.copytree(begun, broken)
            what = _damage(broken / work.name, chance)
            try:
                left = repr(work.go_on(broken))
            except InputError:
                found.refused += 1
            except Exception as error:  # what must not happen
                found.wrong.append(f"{work.kind}: {what}: {error!r}")
            else:
                found.same += left == expected
                found.wrong += [f"{work.kind}: {what}: other numbers"] * (left != expected)
            shutil.rmtree(broken)
        yield found


def _damage(file: Path, chance: random.Random) -> str:
    """Flip one bit of a file, or tear some bytes out of it; what was done."""
    content = bytearray(file.read_bytes())
    place = chance.randrange(len(content))
    if chance.random() < 0.5:
        content[place] ^= 1 << chance.randrange(8)
        what = f"a bit of byte {place} flipped"
    else:
        length = chance.randrange(1, 200)
        del content[place : place + length]
        what = f"{length} bytes torn out at {place}"
    file.write_bytes(content)
    return what
