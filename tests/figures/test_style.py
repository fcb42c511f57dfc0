"""The look: what a reader can tell apart, whatever the eyes and the printer."""

from __future__ import annotations

import itertools

import pytest

from circuitsearch.errors import InputError
from circuitsearch.figures import style
from circuitsearch.figures.style import DARK, LIGHT, Theme, theme_named
from tests.figures.blind import SIGHT, distance, lab, linear

themes = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)


def lightness(colour: str) -> float:
    """CIE L*, 0 to 100."""
    return lab(colour)[0]


def test_the_simulation_is_one():
    """Who lacks a cone sees greys as they are, and red and green alike in the two common kinds."""
    for matrix in SIGHT.values():
        assert matrix.sum(1) == pytest.approx([1, 1, 1], abs=1e-5)
        assert matrix @ linear("#808080") == pytest.approx(linear("#808080"), abs=1e-5)
    assert distance("#c05040", "#7f7a20") < 0.3 * abs(lab("#c05040") - lab("#7f7a20")).max()
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=1e-6)


@themes
def test_signs_and_sides_stay_apart(theme: Theme):
    """Supports, opposes and not known, and the three kinds of edges of two circuits, differ to every eye."""
    for kinds in (style.SIGNS, (style.SHARED, style.FIRST, style.SECOND)):
        for one, other in itertools.combinations(kinds, 2):
            assert distance(theme.lines[one], theme.lines[other]) > 30, (one, other)
    for colour in theme.lines.values():
        assert min(distance(colour, theme.paper), distance(colour, theme.band)) > 30


@themes
def test_a_halo_is_seen_and_hides_no_sign(theme: Theme):
    """What is behind a highlighted edge differs to every eye from the page and from the edges on it, and in grey from these."""
    assert min(distance(theme.halo, theme.paper), distance(theme.halo, theme.band)) > 10
    for says in ("supports", "opposes"):
        assert distance(theme.halo, theme.lines[says]) > 25
        assert abs(lightness(theme.halo) - lightness(theme.lines[says])) > 15


@themes
def test_gathered_edges_keep_their_sign(theme: Theme):
    """Faint lines are told apart, and from the paper."""
    one, other = (style.faded(theme.lines[says], theme.paper) for says in ("supports", "opposes"))
    assert distance(one, other) > 20 and min(distance(one, theme.paper), distance(other, theme.paper)) > 15


@themes
def test_tints_of_roles_stay_apart(theme: Theme):
    """Roles differ to every eye, from the page, from the edges that run over them, and leave their label legible."""
    for one, other in itertools.combinations(theme.tints, 2):
        assert distance(one, other) > 10, (one, other)
    for tint in theme.tints:
        assert min(distance(tint, theme.paper), distance(tint, theme.band)) > 8
        assert min(distance(tint, theme.lines[says]) for says in ("supports", "opposes")) > 25
        assert abs(lightness(tint) - lightness(theme.ink)) > 50


@themes
def test_names_are_legible(theme: Theme):
    """Text stands out from every node, the page and the bands."""
    for ground in (*theme.fills.values(), theme.paper, theme.band):
        assert abs(lightness(ground) - lightness(theme.ink)) > 50
        assert abs(lightness(ground) - lightness(theme.faint)) > 35


@themes
def test_signs_differ_in_grey(theme: Theme):
    """Supports and opposes lie apart in lightness, and both stand out from the paper."""
    supports, opposes = (lightness(theme.lines[says]) for says in ("supports", "opposes"))
    assert abs(supports - opposes) > 15
    assert min(abs(lightness(theme.paper) - each) for each in (supports, opposes)) > 25


def test_width_is_linear_in_strength():
    """Twice the strength is twice the width above the thinnest, whatever the sign."""
    half, full = (style.width(score, strongest=4.0) - style.THINNEST for score in (-2.0, 4.0))
    assert full == pytest.approx(2 * half)


def test_ports_and_sides_differ_without_colour():
    """Line styles tell q, k, a router and what carries content; and whose an edge of two circuits is."""
    assert len({style.dash(port) for port in ("q", "k", "v", "router")}) == 4
    assert style.dash("v") == style.dash("in") == style.dash("") == "solid"
    assert len({style.dash(side) for side in (style.SHARED, style.FIRST, style.SECOND)}) == 3


def test_an_unknown_theme_is_refused():
    """The sentence lists the themes."""
    with pytest.raises(InputError, match="light"):
        theme_named("sepia")
