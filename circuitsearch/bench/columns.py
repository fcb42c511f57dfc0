"""The columns of the leaderboard: what each shows, and what is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from circuitsearch.validation.measurement import Interval

from .measures import (
    ACCURACY,
    BOUNDED,
    CMD,
    CPR,
    EDGES,
    FAITHFULNESS,
    FORWARDS,
    LOG_SIZE,
    MEMORY,
    PER_PROMPT,
    SECONDS,
)
from .truth import AUROC, AUROC_OF_HEADS, PRECISION, PRECISION_OF_RANKS, RECALL

Key = tuple[str, float | None]  # a measure, and the share of the edges it was measured at

STABILITY = "stability"
SHOWN_SIZES = (0.01, 0.05, 0.2)  # faithfulness has a column at the sizes nearest to these


@dataclass(frozen=True)
class Column:
    """A column of the leaderboard.

    Attributes
    ----------
    key : Key
        What it shows.
    title, about : str
        Its head, and what it means.
    digits : int
        After the point.
    better : int
        1 if more is better, -1 if less is, 0 if neither.
    """

    key: Key
    title: str
    about: str
    digits: int = 3
    better: int = 1

    def text(self, found: Interval) -> str:
        """A value with its interval."""
        value = self.number(found.value)
        return value if math.isnan(found.low) else f"{value} [{self.number(found.low)}, {self.number(found.high)}]"

    def number(self, value: float) -> str:
        """A number with the column's digits; what is rounded to zero has no sign."""
        return "" if math.isnan(value) else f"{value:z,.{self.digits}f}"


_ABOUT = (
    Column((BOUNDED, None), "bounded", "mean bounded faithfulness of each prompt over the sizes of circuits"),
    Column(
        (LOG_SIZE, None),
        "log-size",
        "the same over the logarithms of the sizes: small circuits count as much as large ones",
    ),
    Column(
        (CPR, None),
        "CPR",
        "area under faithfulness over sizes (MIB, 2504.13151); circuits stronger than the model raise it above 1",
    ),
    Column((CMD, None), "CMD", "area between faithfulness and 1 over sizes (MIB, 2504.13151); 0 is best", better=-1),
)
_REST = (
    Column(
        (FAITHFULNESS, None), "faithfulness", "of the circuit of a search: ratio of means, 1 is the model", better=0
    ),
    Column((PER_PROMPT, None), "per prompt", "of the circuit of a search: mean bounded faithfulness of each prompt"),
    Column((EDGES, None), "edges", "of the circuit of a search", 0, -1),
    Column((AUROC, None), "AUROC", "chance that an edge of the known circuit has a larger score than another edge"),
    Column(
        (PRECISION_OF_RANKS, None),
        "average precision",
        "mean precision at each edge of the known circuit, from the strongest edge down",
    ),
    Column((AUROC_OF_HEADS, None), "AUROC of heads", "the same as AUROC for the heads of the published circuit"),
    Column((PRECISION, None), "precision", "share of the circuit's edges that are in the known one"),
    Column((RECALL, None), "recall", "share of the known circuit's edges that are in this one"),
    Column(
        (STABILITY, None),
        "stability",
        "mean Jaccard index of the strongest edges, or of circuits, over pairs of seeds, and its range",
    ),
    Column(
        (FORWARDS, None), "forwards", "cost by floating-point operations, in plain forwards of the same prompts", 1, -1
    ),
    Column((SECONDS, None), "seconds", "processor time of scoring or searching", 1, -1),
    Column((MEMORY, None), "peak MiB", "working memory beside the model", 0, -1),
    Column((ACCURACY, None), "model accuracy", "of the model itself on the task", 3, 0),
)


def _at_size(share: float) -> Column:
    about = f"of the strongest {100 * share:g}% of the edges: ratio of means, 1 is the model"
    return Column((FAITHFULNESS, share), f"at {100 * share:g}%", about, better=0)


def columns(sizes: Sequence[float], filled: Collection[Key]) -> tuple[Column, ...]:
    """The columns of a benchmark with these sizes that have a value in some row."""
    nearest = dict.fromkeys(min(sizes, key=lambda size: abs(math.log(size / wanted))) for wanted in SHOWN_SIZES)
    return tuple(column for column in (*_ABOUT, *map(_at_size, nearest), *_REST) if column.key in filled)
