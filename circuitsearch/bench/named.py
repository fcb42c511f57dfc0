"""The names in a benchmark: models with known circuits, tasks, methods and searches, shares of the edges."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path

from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.models.planted import MOTIFS
from circuitsearch.registry import METHODS, SEARCHES, TASKS
from circuitsearch.scores import AnyMethod

from .searches import Search

OWN = "own"  # the task of a model that comes with its prompts
PLANTED = "planted:"  # MOTIF:SEED


def check_names(model: str, task: str) -> None:
    """Raise an InputError unless a planted model has its own task, and any other task a name or a file."""
    if model.startswith(PLANTED):
        planted_named(model)
        if task != OWN:
            raise InputError(f"{shortened(model, 40)} comes with its own prompts: leave out its tasks, or give {OWN!r}")
    elif task != OWN and not Path(task).is_file():
        TASKS.read(task)


def planted_named(name: str) -> tuple[str, int]:
    """Motif and seed of ``planted:MOTIF:SEED``.

    Examples
    --------
    >>> planted_named("planted:induction:3")
    ('induction', 3)
    """
    motif, _, seed = name.removeprefix(PLANTED).partition(":")
    if motif not in MOTIFS:
        raise unknown("motif", motif, MOTIFS)
    if not (seed.isascii() and seed.isdecimal() and len(seed) < 10):
        raise InputError(f"{shortened(repr(name))} has no seed: write it as planted:{motif}:0")
    return motif, int(seed)


def method_named(text: str) -> AnyMethod | Search:
    """A method or a search, from its name with knobs.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> method_named("eap-ig(steps=3)"), method_named("find(passes=6)")
    (EAPIG(steps=3), Find(method='eap-ig', passes=6))
    """
    made = (SEARCHES if SEARCHES.names_one(text) else METHODS).read(text)
    if isinstance(made, partial):
        raise InputError(
            f"{shortened(repr(text))} is neither a method nor a search: give a name such as eap-ig or find"
        )
    return made


def check_shares(sizes: list[float], agree_at: float) -> None:
    """Raise an InputError unless sizes rise, and all are shares."""
    rising = all(low < high for low, high in pairwise(sizes))
    if not rising or not sizes[0] > 0 or not sizes[-1] <= 1:
        raise InputError(f"sizes must be rising shares of the edges, above 0 and at most 1, not {shortened(sizes)}")
    if not 0 < agree_at <= 1:
        raise InputError(f"agree_at must be a share of the edges, above 0 and at most 1, not {agree_at:g}")
