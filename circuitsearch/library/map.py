"""A heatmap with a tree as SVG inside of a page, in the page's colours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from circuitsearch.figures.viewer.page import escaped
from circuitsearch.library.overlap import Comparison

CELL, TREE, TOP = 16, 110, 34  # pixels: a cell, the tree's width, room for the numbers above
LETTER, LONGEST = 6.4, 36  # pixels, about, of a letter; letters of a label


def overlap_map(found: Comparison) -> str:
    """A section: the tree on the left, the Jaccard index of each two circuits as a square, and their names."""
    names = [found.labels[place][:LONGEST] for place in found.order]
    side = CELL * len(names)
    width, height = TREE + side + 12 + LETTER * max(map(len, names)), TOP + side + 4
    parts = [*_tree(found), *_cells(found), *_names(found, names, side)]
    frame = f'<rect class="frame" x="{TREE}" y="{TOP}" width="{side}" height="{side}"/>'
    title = escaped(f"Overlap of the {found.title}")
    drawing = (
        f'<svg class="map" role="img" aria-label="{title}" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}">'
        f"{''.join(parts)}{frame}</svg>"
    )
    region = f'<div class="wide" tabindex="0" role="region" aria-label="{title}">{drawing}</div>'
    return f"<section><h2>{title}</h2>{region}</section>"


def _cells(found: Comparison) -> Iterator[str]:
    for row, one in enumerate(found.order):
        for column, other in enumerate(found.order):
            share = found.jaccard[one, other]
            told = f"{found.labels[one]} and {found.labels[other]}: {found.shared[one, other]:,} edges shared, Jaccard {share:.2f}"
            yield (
                f'<rect x="{TREE + CELL * column}" y="{TOP + CELL * row}" width="{CELL}" height="{CELL}"'
                f' fill-opacity="{share:.3f}"><title>{escaped(told)}</title></rect>'
            )


def _names(found: Comparison, names: list[str], side: int) -> Iterator[str]:
    """Names on the right, and numbers above the columns."""
    for row, (place, name) in enumerate(zip(found.order, names, strict=True)):
        middle = CELL * row + CELL / 2
        yield f'<text x="{TREE + side + 8}" y="{TOP + middle + 4}">{escaped(name)}</text>'
        above = f"{TREE + middle + 4} {TOP - 6}"
        number = found.entries[place].id
        yield f'<text transform="translate({above}) rotate(-90)">{number}</text>'


def _tree(found: Comparison) -> Iterator[str]:
    """The lines of SciPy's dendrogram: the leaves stand at 5, 15, 25 ... along its first axis."""
    from scipy.cluster.hierarchy import dendrogram

    drawn: dict[str, Any] = dendrogram(found.tree, no_plot=True)
    for along, distance in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        points = [
            f"{TREE - 4 - (TREE - 8) * far:.1f} {TOP + CELL * place / 10:.1f}"
            for place, far in zip(along, distance, strict=True)
        ]
        yield f'<path d="M{" L".join(points)}"/>'
