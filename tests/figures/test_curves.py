"""The curve of faithfulness against size."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from circuitsearch.errors import InputError
from circuitsearch.figures import draw_curve
from tests.setups import measuring, with_setup


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_same_report_same_bytes(report, tmp_path, suffix):
    """The same report gives the same bytes, another one does not."""
    draw_curve(report, tmp_path / f"one.{suffix}")
    draw_curve(report, tmp_path / f"two.{suffix}")
    draw_curve(replace(report, n_edges=80), tmp_path / f"three.{suffix}")
    one, two, three = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_only_what_there_is_is_named(report, tmp_path):
    """Controls and curve stand in the legend if the report has them; the task's name is text, not markup."""
    draw_curve(with_setup(report, task="<b>$x$ & co"), tmp_path / "all.svg")
    draw_curve(measuring(report, controls=(), curve=()), tmp_path / "bare.svg")
    everything, bare = (
        " ".join(ElementTree.fromstring((tmp_path / name).read_bytes()).itertext()) for name in ("all.svg", "bare.svg")
    )
    assert "random circuits" in everything and "strongest edges" in everything and "<b>$x$ & co" in everything
    assert "random circuits" not in bare and "strongest edges" not in bare and "circuit" in bare


def test_dot_is_no_format_of_a_curve(report, tmp_path):
    """A suffix that is not drawn is refused with the list."""
    with pytest.raises(InputError, match=r"\.svg, \.pdf, \.png"):
        draw_curve(report, tmp_path / "c.dot")
