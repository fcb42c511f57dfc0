"""Models with a known circuit, set by hand: any number of them, from a seed."""

from circuitsearch.models.planted.design import Design
from circuitsearch.models.planted.fixed import INDUCTION_EDGES, POSITIONS, VOCABULARY, induction_model, induction_task
from circuitsearch.models.planted.known import KnownCircuit
from circuitsearch.models.planted.motif import Motif
from circuitsearch.models.planted.plant import MOTIFS, Planted, plant
from circuitsearch.models.planted.resetting import reset

__all__ = [
    "INDUCTION_EDGES",
    "MOTIFS",
    "POSITIONS",
    "VOCABULARY",
    "Design",
    "KnownCircuit",
    "Motif",
    "Planted",
    "induction_model",
    "induction_task",
    "plant",
    "reset",
]
