"""Overlap, tree and the table of heads, against sets."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from circuitsearch.errors import InputError
from circuitsearch.library import Library
from circuitsearch.library.overlap import comparison
from tests.library.conftest import COPY, GRAPH, MakeRun


def entries_of(library: Library, make_run: MakeRun, circuits: list[list[tuple[str, str]]]) -> None:
    for seed, edges in enumerate(circuits):
        library.add(make_run(f"run-{seed}", edges, seed=seed), model="small")


def test_overlap_is_that_of_the_sets_of_edges(library: Library, make_run: MakeRun):
    """Jaccard index and share of the smaller circuit of random circuits, one of them empty."""
    rng, edges = random.Random(1), list(GRAPH.edges(GRAPH.mask))
    circuits = [rng.sample(edges, size) for size in (3, 12, 12, 30)] + [[]]
    entries_of(library, make_run, circuits)
    found = library.compare()
    sets = [set(circuit) for circuit in circuits]
    for row, one in enumerate(sets):
        for column, other in enumerate(sets):
            assert found.shared[row, column] == len(one & other)
            assert found.jaccard[row, column] == pytest.approx(
                len(one & other) / len(one | other) if one | other else 1
            )
            smaller = min(len(one), len(other))
            assert found.of_smaller[row, column] == pytest.approx(len(one & other) / smaller if smaller else 1)


def test_the_tree_joins_the_most_alike_first(library: Library, make_run: MakeRun):
    """And its leaves put them side by side; average linkage, worked out by hand."""
    edges = list(GRAPH.edges(GRAPH.mask))
    entries_of(library, make_run, [edges[:10], edges[20:30], edges[:9], edges[20:28]])
    found = library.compare()
    assert found.tree[:, 2].tolist() == pytest.approx([0.1, 0.2, 1.0])
    assert {*found.order[:2]} in ({0, 2}, {1, 3}) and sorted(found.order) == [0, 1, 2, 3]


def test_the_same_head_in_each_circuit(library: Library, make_run: MakeRun):
    """The number of its edges, in and out, and its role; nodes of more circuits come first."""
    library.add(make_run("one", roles={"a1.h2": "copying"}))
    library.add(make_run("two", COPY[3:], seed=1, task="induction"))
    header, *rows = library.compare().table(1)
    table = {row[0]: row[1:] for row in rows}
    assert header == ["node", "ioi, seed 0 #1", "induction, seed 1 #2"]
    assert table["a1.h2"] == ["3 copying", "1"] and table["a0.h1"] == ["2", ""] and table["logits"] == ["2", "2"]
    assert len(library.compare().table(2)) == 4  # a1.h2, m0, logits


def test_circuits_of_different_models_are_not_compared(library: Library, make_run: MakeRun):
    """The sentence names the models."""
    library.add(make_run("one"), model="small")
    library.add(make_run("two", weights="other"), model="large")
    with pytest.raises(InputError, match=r"different models share no edges \(small, large\)"):
        library.compare()
    assert len(library.compare(model="large").entries) == 1
    with pytest.raises(InputError, match="two circuits or more"):
        library.compare(model="large").draw_tree("tree.svg")
    with pytest.raises(InputError, match="none of the 2 circuits"):
        library.compare(model="medium")


@pytest.mark.parametrize("n", [2, 30])
def test_figures_have_every_label_and_the_same_bytes(library: Library, make_run: MakeRun, tmp_path: Path, n: int):
    """Heatmap and tree, in light and dark; hostile names do no harm."""
    rng, edges = random.Random(n), list(GRAPH.edges(GRAPH.mask))
    circuits = [rng.sample(edges, 8) for _ in range(n)]
    made = library.add(make_run("run-x", circuits[0], task="</svg><script>$x^2$\x00"), model="small").entry
    many = comparison([made] * n, [[f"{u}->{v}" for u, v in circuit] for circuit in circuits], [])
    for draw in (many.draw_heatmap, many.draw_tree):
        for theme in ("light", "dark"):
            draw(tmp_path / "a.svg", theme=theme)
            draw(tmp_path / "b.svg", theme=theme)
            text = (tmp_path / "a.svg").read_text(encoding="utf-8")
            assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
            assert text.count("#1") >= n and "<script>" not in text
    assert np.allclose(many.jaccard, many.jaccard.T)
