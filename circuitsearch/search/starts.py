"""Several searches, each from a ranking of its own: the smallest circuit of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.history import History, Pass


def best_of(circuits: Sequence[Circuit]) -> Circuit:
    """The smallest circuit that reached its target, or else the one nearest to the model; its history has the passes of all.

    Every circuit has the history of a search, in the order of the searches.
    """
    histories = [_history(circuit) for circuit in circuits]
    best = min(circuits, key=_order)
    return best if len(circuits) == 1 else replace(best, history=_joined(histories, _history(best)))


def checkpoint_of(path: str | Path | None, number: int) -> Path | None:
    """The file of the state of one of several searches, counted from 0; the first has the name that was given."""
    if path is None or number == 0:
        return None if path is None else Path(path)
    return Path(path).with_name(f"{Path(path).name}.{number + 1}")


def _order(circuit: Circuit) -> tuple[bool, float]:
    missed, found = bool(_history(circuit).note), _history(circuit).stopping.value
    return missed, abs(1 - found) if missed else len(circuit)


def _history(circuit: Circuit) -> History:
    assert circuit.history is not None
    return circuit.history


def _joined(histories: Sequence[History], best: History) -> History:
    """The history of the best circuit, with passes and cost of all; all had the same prompts, of as many passes as they did."""
    complete = all(each.complete for each in histories)
    return replace(
        best,
        n_selection=max(each.n_selection for each in histories),
        forwards=round(sum(each.forwards for each in histories), 2),
        passes=tuple(_numbered(histories)),
        ended=best.ended if complete else histories[-1].ended,
        complete=complete,
    )


def _numbered(histories: Sequence[History]) -> Iterator[Pass]:
    """All passes in order, numbered through, with the cost of the searches before."""
    number, before = 0, 0.0
    for history in histories:
        for each in history.passes:
            number += 1
            yield replace(each, number=number, forwards=round(before + each.forwards, 2))
        before += history.forwards
