"""All families that can be read, by ``model_type``."""

from __future__ import annotations

from circuitsearch.errors import unknown
from circuitsearch.models.arch import Family
from circuitsearch.models.families_dense import DENSE

FAMILIES: dict[str, Family] = {**DENSE}


def family(model_type: str) -> Family:
    """Look up a family's row; an InputError lists the known ones."""
    if model_type not in FAMILIES:
        raise unknown("model family", model_type, FAMILIES)
    return FAMILIES[model_type]
