"""Submissions to MIB's circuit track: for each method a folder, which is then checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.formats import MIBFolder, mib_problems
from circuitsearch.formats.mib_cells import TASKS
from circuitsearch.formats.mib_check import Problem
from circuitsearch.scores import Scores

from .definition import Benchmark, Cell

FOLDER = "submission"


def check_labels(benchmark: Benchmark) -> None:
    """Raise an InputError if a task of a submission has a label that MIB does not know."""
    strange = next((cell.task for cell in benchmark.cells() if cell.task not in TASKS), None)
    if strange is not None:
        raise InputError(f"a submission to MIB has no task {shortened(repr(strange))}: label tasks {', '.join(TASKS)}")


def write_cell(folder: Path, cell: Cell, scores: Scores, model: Any) -> None:
    """Write the scores of a cell to the submission of its method."""
    circuit = Circuit(scores.graph, scores.graph.mask, scores.values, setup=scores.setup)
    target = MIBFolder(task=cell.task, model=cell.model, d_model=model.config.hidden_size)
    target.write(circuit, folder_of(folder, cell.method))


def folder_of(folder: Path, method: str) -> Path:
    """The submission of a method.

    Examples
    --------
    >>> print(folder_of(Path("out"), "eap-ig(steps=5)"))
    out/submission/eap-ig-steps-5
    """
    return folder / FOLDER / re.sub(r"[^\w.]+", "-", method).strip("-")[:60]


def problems(folder: Path, benchmark: Benchmark) -> dict[str, tuple[Problem, ...]]:
    """What is wrong with the submission of each method that has one."""
    places = {method: folder_of(folder, method) for method in benchmark.methods}
    return {method: mib_problems(place) for method, place in places.items() if place.is_dir()}
