"""The map of senders' effects."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from circuitsearch import colours
from circuitsearch.errors import InputError
from circuitsearch.figures import draw_heatmap, heatmap, style
from circuitsearch.graph import Graph
from circuitsearch.methods import PathEffects
from tests.setups import made_up, with_setup


@pytest.fixture
def effects() -> PathEffects:
    """Effects of both signs in a model of three layers of four heads, into a port of the last."""
    graph = Graph(3, 4, 4)
    values = torch.zeros(len(graph.writers), dtype=torch.float64)
    for name, value in (("embed", 9.0), ("a0.h1", 2.0), ("a1.h3", -2.0), ("m1", 1.0)):
        values[graph.find_writer(name)] = value
    return PathEffects(graph, values, ("a2.h0<q>",), "direct edges", made_up(n=64))


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_same_effects_same_bytes(effects, tmp_path, suffix):
    """The same effects give the same bytes, others do not."""
    draw_heatmap(effects, tmp_path / f"one.{suffix}")
    draw_heatmap(effects, tmp_path / f"two.{suffix}")
    draw_heatmap(replace(effects, values=-effects.values), tmp_path / f"three.{suffix}")
    one, two, three = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_what_is_drawn_is_said(effects, tmp_path):
    """Task, receivers, paths, metric and axes stand as text; a task's name is no markup."""
    draw_heatmap(with_setup(effects, task="<b>$x$ & co"), tmp_path / "map.svg")
    words = " ".join(ElementTree.fromstring((tmp_path / "map.svg").read_bytes()).itertext())
    for text in (
        "<b>$x$ & co, into a2.h0<q>",
        "direct edges, 64 prompts",
        "fall of the logit difference",
        "layer",
        "head",
        "MLP",
    ):
        assert text in words


def test_colours_go_by_sign_and_white_is_nought(effects):
    """Blue supports, orange opposes, on one scale for heads and MLPs; what no path leads from is grey."""
    figure = heatmap._figure(heatmap._grid_of(effects, None, "", ""), style.LIGHT)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    mlps, heads = (np.asarray(mesh.get_facecolor()).reshape(3, -1, 4) for mesh in axes.collections)  # (L, columns, 4)
    assert heads[0, 1] == pytest.approx(to_rgba(colours.SUPPORTS), abs=0.01)
    assert heads[1, 3] == pytest.approx(to_rgba(colours.OPPOSES), abs=0.01)
    assert heads[0, 0] == pytest.approx(to_rgba("white"), abs=0.01)
    halfway = [(1 + part) / 2 for part in to_rgba(colours.SUPPORTS)]
    assert mlps[1, 0] == pytest.approx(halfway, abs=0.01)
    for grey in (heads[2, 0], mlps[2, 0]):
        assert grey == pytest.approx(to_rgba(style.FILL_END), abs=0.01)


def test_any_size_of_model_and_title_is_drawn(effects, tmp_path):
    """Up to the smallest model without any effect, and a large one with many receivers and a long name."""
    for graph, receivers in ((Graph(1, 1, 1), ["logits"]), (Graph(40, 40, 8), [f"a{i}.kv1<k>" for i in range(30, 40)])):
        values = torch.zeros(len(graph.writers), dtype=torch.float64)
        drawn = replace(
            with_setup(effects, task="long name " * 12), graph=graph, values=values, receivers=tuple(receivers)
        )
        draw_heatmap(drawn, tmp_path / f"{graph.n_layers}.svg")
    words = " ".join(ElementTree.fromstring((tmp_path / "40.svg").read_bytes()).itertext())
    assert "and 7 more" in words


def test_dot_is_no_format_of_a_map(effects, tmp_path):
    """A suffix that is not drawn is refused with the list."""
    with pytest.raises(InputError, match=r"\.svg, \.pdf, \.png"):
        draw_heatmap(effects, tmp_path / "c.dot")


def test_any_number_of_each_head_is_drawn(tmp_path):
    """A tensor (L, H), with MLPs beside it or without, in either theme; what has no number is grey."""
    values = torch.tensor([[1.0, torch.nan, -2.0], [0.0, torch.inf, 0.5]])
    for theme in ("light", "dark"):
        draw_heatmap(
            values, tmp_path / f"{theme}.svg", title="<i>prefix</i> score", unit="share of attention", theme=theme
        )
        draw_heatmap(values, tmp_path / f"{theme}-mlps.svg", mlps=torch.ones(2), theme=theme)
    words = " ".join(ElementTree.fromstring((tmp_path / "dark.svg").read_bytes()).itertext())
    assert "<i>prefix</i> score" in words and "share of attention" in words and "MLP" not in words
    assert (
        "MLP" in (tmp_path / "light-mlps.svg").read_text() and style.DARK.paper in (tmp_path / "dark.svg").read_text()
    )
    for wrong, beside in ((torch.ones(3), None), (torch.ones(0, 2), None), (torch.ones(2, 2), torch.ones(3))):
        with pytest.raises(InputError, match=r"\(L, H\)"):
            draw_heatmap(wrong, tmp_path / "x.svg", mlps=beside)
