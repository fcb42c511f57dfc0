"""Plots of evidence: estimates against exact effects, and what is lost without each edge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from circuitsearch.circuit import Certificate, Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import draw_agreement, draw_curve, draw_leave_one_out
from circuitsearch.graph import Graph
from circuitsearch.scores import Scores
from circuitsearch.setup import Spec
from circuitsearch.validation.report import CurvePoint
from tests.setups import made_up, measuring, with_setup

GRAPH = Graph(2, 4, 4)


def words(path: Path) -> str:
    return " ".join(ElementTree.fromstring(path.read_bytes()).itertext())


@pytest.fixture
def estimate() -> Scores:
    """Estimates of every edge."""
    values = torch.randn(GRAPH.mask.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Scores(GRAPH, values * GRAPH.mask, made_up())


@pytest.fixture
def exact(estimate: Scores) -> Scores:
    """Half of the edges measured, as twice their estimate, but for one, of the other sign."""
    values = torch.where(torch.arange(len(GRAPH.readers)) % 2 == 0, 2 * estimate.values, torch.nan)
    values[0, 0] *= -1
    return with_setup(replace(estimate, values=values), method=Spec(name="Exact"))


@pytest.fixture
def circuit() -> Circuit:
    """A certified circuit of three edges."""
    edges = [("embed", "m0<in>"), ("m0", "m1<in>"), ("m1", "logits")]
    left = dict(zip((f"{u}->{v}" for u, v in edges), (0.2, 0.7, 0.5), strict=True))
    scores = torch.ones(GRAPH.mask.shape, dtype=torch.float64)
    found = Circuit.from_edges(GRAPH, edges, scores)
    return replace(found, certificate=Certificate(0.8, 0.9, left))


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png", "tex"])
def test_same_numbers_same_bytes(report, estimate, exact, circuit, tmp_path, suffix):
    """Of every plot, in both themes; the themes differ, and so do other numbers."""
    for name in ("one", "two"):
        draw_agreement(estimate, tmp_path / f"a-{name}.{suffix}", exact=exact)
        draw_leave_one_out(circuit, tmp_path / f"b-{name}.{suffix}")
        draw_curve(report, tmp_path / f"c-{name}.{suffix}")
    draw_agreement(estimate, tmp_path / f"a-dark.{suffix}", exact=exact, theme="dark")
    draw_leave_one_out(circuit, tmp_path / f"b-dark.{suffix}", theme="dark")
    draw_curve(report, tmp_path / f"c-dark.{suffix}", theme="dark")
    for plot in "abc":
        one, two, dark = ((tmp_path / f"{plot}-{name}.{suffix}").read_bytes() for name in ("one", "two", "dark"))
        assert one == two != dark


def test_agreement_says_how_many_and_how_well(estimate, exact, tmp_path):
    """Edges that were measured, the rank correlation, the signs, and the metric in words."""
    draw_agreement(estimate, tmp_path / "a.svg", exact=exact)
    said, measured = words(tmp_path / "a.svg"), int(exact.scored.sum())
    assert f"{measured} edges" in said and "rank correlation 0.9" in said
    assert f"same sign: {1 - 1 / measured:.0%}" in said and "fall of the logit difference" in said


def test_agreement_of_rechecked_scores_takes_what_was_measured(estimate, exact, tmp_path):
    """The same picture from the one object that Recheck gives."""
    values = torch.where(exact.scored, exact.values, estimate.values)
    draw_agreement(replace(estimate, values=values, estimate=estimate.values), tmp_path / "one.svg")
    draw_agreement(estimate, tmp_path / "two.svg", exact=exact)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_bars_say_what_is_lost(circuit, tmp_path):
    """Edges by their loss, the target, and how many there are beyond those shown."""
    draw_leave_one_out(circuit, tmp_path / "b.svg")
    said = words(tmp_path / "b.svg")
    assert said.index("embed → m0<in>") < said.index("m1 → logits") < said.index("m0 → m1<in>")
    assert "less than 0.8 is left" in said and "more than" not in said and "3 edges" in said
    draw_leave_one_out(circuit, tmp_path / "b.svg", most=2)
    assert "the 2 that matter most" in words(tmp_path / "b.svg") and "m0 → m1" not in words(tmp_path / "b.svg")


def test_bars_say_what_overshoots(circuit, tmp_path):
    """An edge that opposes the task so much that the circuit overshoots without it."""
    certificate = replace(circuit.certificate, without=circuit.certificate.without | {"m0->m1<in>": 1.3})
    draw_leave_one_out(replace(circuit, certificate=certificate), tmp_path / "b.svg")
    assert "less than 0.8 is left" in words(tmp_path / "b.svg") and "more than 1.2 is left" in words(tmp_path / "b.svg")


def test_bands_are_drawn_where_they_are_known(report, tmp_path):
    """A curve with intervals has a band; one of an older report has none."""
    draw_curve(report, tmp_path / "none.svg")
    banded = tuple(
        replace(point, low=point.faithfulness - 0.1, high=point.faithfulness + 0.1) for point in report.curve
    )
    draw_curve(replace(measuring(report, curve=banded), confidence=0.9), tmp_path / "band.svg")
    assert "its 90% interval" in words(tmp_path / "band.svg") and "interval" not in words(tmp_path / "none.svg")
    assert CurvePoint(1, 0.1, 0.2).low is None


def test_bad_input_is_said(report, estimate, exact, circuit, tmp_path):
    """Nothing measured, other graphs, no certificate, no such theme or width; nothing is written."""
    with pytest.raises(InputError, match="Recheck"):
        draw_agreement(estimate, tmp_path / "a.svg")
    with pytest.raises(InputError, match="different graphs"):
        draw_agreement(estimate, tmp_path / "a.svg", exact=replace(exact, graph=Graph(2, 4, 2)))
    with pytest.raises(InputError, match=r"minimal"):
        draw_leave_one_out(replace(circuit, certificate=None), tmp_path / "b.svg")
    with pytest.raises(InputError, match="most"):
        draw_leave_one_out(circuit, tmp_path / "b.svg", most=0)
    with pytest.raises(InputError, match="light"):
        draw_curve(report, tmp_path / "c.svg", theme="sepia")
    with pytest.raises(InputError, match="neurips"):
        draw_curve(report, tmp_path / "c.svg", width="poster")
    assert not list(tmp_path.iterdir())


def test_nothing_measured_and_everything_the_same_are_drawn(estimate, tmp_path):
    """No edge, and edges that all have no effect: no division by nought."""
    nothing = torch.full_like(estimate.values, torch.nan)
    for values in (nothing, torch.zeros_like(nothing)):
        draw_agreement(estimate, tmp_path / "a.svg", exact=replace(estimate, values=values))
