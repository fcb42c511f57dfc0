"""What a certificate and a bound say."""

from __future__ import annotations

import pytest

from circuitsearch.certificate import Bound, Certificate
from circuitsearch.circuit import Circuit
from circuitsearch.graph import Graph

EDGES = [("embed", "m0<in>"), ("m0", "logits")]
NEEDED = {"embed->m0<in>": 0.0, "m0->logits": 0.1}


@pytest.mark.parametrize(
    ("certificate", "kind", "said"),
    [
        (Certificate(0.9, 0.95, NEEDED), "local-minimal", "whether several can be removed together is not known"),
        (Certificate(0.9, 0.95, {"m0->logits": 0.1}), "quasi-minimal", "whether others can be removed is not known"),
        (Certificate(0.9, 0.95, {}), "", "did not show"),
        (Certificate(0.9, 0.80, NEEDED), "", "each of its edges was removed"),
        (Certificate(0.9, 1.30, NEEDED), "", "each of its edges was removed"),
    ],
    ids=["all-needed", "one-needed", "none-tried", "below-target", "above-target"],
)
def test_a_certificate_names_what_it_shows(certificate: Certificate, kind: str, said: str):
    """By the names of the literature, for a circuit that reaches its target, and what is not known."""
    assert certificate.kind(2) == kind
    assert said in certificate.describe(2) and certificate.describe(2).startswith(kind)
    assert ("minimal" in certificate.describe(2)) == bool(kind)


def test_a_certificate_of_nodes_says_so():
    """Beside that of the edges."""
    said = Certificate(0.9, 0.95, NEEDED, {"m0": 1.4}).describe(2)
    assert said.endswith("without all edges from any one of its 1 nodes it is below 0.900 or above 1.100")


@pytest.mark.parametrize(
    ("bound", "gap", "said"),
    [
        (Bound(5, 9.0, 9.0, True), 0.0, "no circuit of at most 5 edges has a larger sum"),
        (Bound(5, 9.0, 10.0, False), 0.1, "to at most 10 (a gap of 10.0%): the solver's time was over"),
        (Bound(5, 0.0, 0.0, True), 0.0, "no circuit"),
    ],
)
def test_a_bound_says_how_much_is_missing(bound: Bound, gap: float, said: str):
    """Nothing, if the solver has ended."""
    assert bound.gap == pytest.approx(gap) and said in str(bound)


def test_files_of_before_are_read():
    """They have no bound, and their certificates no nodes; both come back where they are known."""
    graph = Graph(1, 1, 1)
    new = Circuit(
        graph,
        graph.edge_mask(EDGES),
        None,
        Certificate(0.9, 0.95, NEEDED, {"m0": 0.1}),
        bound=Bound(2, 1.0, 1.5, False),
    )
    content = new.to_dict()
    assert Circuit.from_dict(content).certificate == new.certificate and Circuit.from_dict(content).bound == new.bound
    del content["bound"], content["certificate"]["without_nodes"]
    old = Circuit.from_dict(content)
    assert old.bound is None and old.certificate == Certificate(0.9, 0.95, NEEDED)
    assert new.pruned().bound is None
