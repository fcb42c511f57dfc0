"""The prompts on which the circuit is least like the model, and kinds of prompts on which it is worse than on the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from circuitsearch.errors import InputError, shortened
from circuitsearch.escape import plain_text
from circuitsearch.example import Factors
from circuitsearch.faithfulness import bounded
from circuitsearch.knobs import Knobs
from circuitsearch.task import Task
from circuitsearch.validation.measurement import Cell, Measurement
from circuitsearch.validation.significance import holm
from circuitsearch.validation.trial import Trial

LEAST = 5  # prompts of a kind, and others, for a comparison
LEVEL = 0.05
TEXT = 160  # letters of a prompt


@dataclass(frozen=True)
class WorstPrompts(Knobs):
    """The prompts of the lowest bounded faithfulness, and the kind of prompts on which the circuit is worst.

    Kinds of prompts are those with the same value of a factor (a template, a name ...), or of the same group where prompts have no
    factors. Each of 5 or more prompts is compared with all others by a one-sided Mann-Whitney test of the bounded faithfulness; p is
    corrected for the number of kinds by Holm's method.

    Parameters
    ----------
    count : int
        How many prompts are listed.
    """

    count: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 1:
            raise InputError(f"there must be 1 prompt or more to list, not {self.count}")

    def measure(self, trial: Trial) -> Measurement:
        """A row for each prompt, the worst first: its number from 1, text or token ids, what it is written from, its metric and its faithfulness."""
        task, columns = trial.experiment.task, trial.metric
        values = bounded(*columns).numpy()  # (N,)
        rows = np.argsort(values, kind="stable")[: self.count].tolist()
        metrics = [
            dict(zip(("circuit", "model", "ablated"), each, strict=True))
            for each in zip(*(each.tolist() for each in columns), strict=True)
        ]
        table = tuple({**_about(task, row), **metrics[row], "faithfulness": float(values[row])} for row in rows)
        lines = (*(("worst prompt", _in_words(row)) for row in table), ("worst kind", _worst_kind(task, values)))
        return Measurement("worst_prompts", float(values[rows[0]]), table=table, lines=lines)


def _about(task: Task, row: int) -> dict[str, Cell]:
    """What identifies a prompt."""
    factors = _described(task.factors[row]) if task.factors else f"group {task.groups[row]}"
    return {"row": row + 1, "prompt": _text(task, row), "written_from": factors}


def _text(task: Task, row: int) -> str:
    """The clean prompt as text on one line, if the task writes its prompts; else its token ids."""
    ids = task.clean[row].tolist()
    text = " ".join(map(str, ids)) if task.writer is None else task.writer.text(ids)
    return shortened(plain_text(text), TEXT)


def _described(factors: Factors) -> str:
    return plain_text("; ".join(f"{name} {', '.join(values)}" for name, values in factors.items()))


def _in_words(row: Mapping[str, Cell]) -> str:
    return (
        f"{row['row']}, faithfulness {row['faithfulness']:.2f} (model {row['model']:.2f}, circuit {row['circuit']:.2f},"
        f" all ablated {row['ablated']:.2f}): {row['prompt']}"
    )


def _worst_kind(task: Task, values: np.ndarray) -> str:
    """The kind of prompts with the least p, if it is significant."""
    compared = {name: rows for name, rows in _kinds(task) if LEAST <= rows.sum() <= len(values) - LEAST}
    if not compared:
        return f"no kind of prompts has {LEAST} or more beside {LEAST} others: none are compared"
    p = holm([_p_of_lower(values[rows], values[~rows]) for rows in compared.values()])
    least = int(np.argmin(p))
    name, rows = list(compared.items())[least]
    found = (
        f"{name}: faithfulness {values[rows].mean():.3f} on {rows.sum()} prompts, {values[~rows].mean():.3f} on the others"
        f" (Mann-Whitney p = {p[least]:.2g}, Holm, {len(p)} compared)"
    )
    return (
        f"the circuit is worse on {found}"
        if p[least] <= LEVEL
        else f"none is significantly worse; the least likely is {found}"
    )


def _kinds(task: Task) -> Iterator[tuple[str, np.ndarray]]:
    """Kinds of prompts by name, each with its prompts: boolean (N,)."""
    labels = [_values(each) for each in task.factors] if task.factors else [{f"group {group}"} for group in task.groups]
    for label in dict.fromkeys(name for some in labels for name in sorted(some)):
        yield label, np.array([label in some for some in labels])


def _values(factors: Factors) -> set[str]:
    return {shortened(plain_text(f"{name} {value}"), 60) for name, values in factors.items() for value in values}


def _p_of_lower(some: np.ndarray, others: np.ndarray) -> float:
    """One-sided p of the Mann-Whitney test that some values are lower than others."""
    return float(stats.mannwhitneyu(some, others, alternative="less").pvalue)
