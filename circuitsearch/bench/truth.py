"""Rankings and circuits against known circuits: those of planted models, and published ones of the models they were found in."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.references import Reference, compare_with_reference, names, reference
from circuitsearch.references.compare import auroc, average_precision
from circuitsearch.registry import TASKS
from circuitsearch.scores import Scores

from .measures import Measure
from .named import OWN
from .subject import Subject

AUROC, PRECISION_OF_RANKS, AUROC_OF_HEADS = "AUROC", "average precision", "AUROC of heads"
PRECISION, RECALL = "precision", "recall"


def against_truth(subject: Subject, task: str, found: Scores | Circuit) -> Iterator[Measure]:
    """Measures against what is known of the model on this task; nothing where nothing is known."""
    known = _reference(subject, task, found.graph)
    true = _true_edges(subject, known, found.graph)
    if isinstance(found, Circuit):
        yield from () if true is None else _of_circuit(found.mask, true)
        return
    if true is not None and bool((found.scored == found.graph.mask).all()):
        strengths, wanted = found.values[found.graph.mask].abs(), true[found.graph.mask]
        yield Measure(AUROC, auroc(strengths, wanted))
        yield Measure(PRECISION_OF_RANKS, average_precision(strengths, wanted))
    if known is not None:
        yield Measure(AUROC_OF_HEADS, compare_with_reference(found, known, subject.model).heads.auroc)


def _of_circuit(mask: Tensor, true: Tensor) -> Iterator[Measure]:
    shared = int((mask & true).sum())
    yield Measure(PRECISION, shared / max(1, int(mask.sum())))
    yield Measure(RECALL, shared / int(true.sum()))


def _true_edges(subject: Subject, known: Reference | None, graph: Graph) -> Tensor | None:
    """Mask (U, V) of the known edges, if there are any."""
    edges = subject.known.edges if subject.known is not None else known.edge_list if known is not None else ()
    return graph.edge_mask(edges) if edges else None


def _reference(subject: Subject, task: str, graph: Graph) -> Reference | None:
    """The circuit that was published of this model on this task, if one was and the nodes are its heads."""
    if task == OWN or not TASKS.names_one(task) or graph != graph.base:
        return None
    name = TASKS.canonical(task.partition("(")[0].strip()).replace("_", "-")  # a circuit has the name of its task
    if name not in names():
        return None
    try:
        reference(name).check_model(subject.model)
    except InputError:  # another model than the published one
        return None
    return reference(name)
