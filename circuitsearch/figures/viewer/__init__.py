"""The page: a circuit as one HTML file that works from disk, without a server and without the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.circuit import Circuit
from circuitsearch.figures.viewer.data import NOTHING, page_data
from circuitsearch.figures.viewer.data import Evidence as Evidence
from circuitsearch.figures.viewer.page import html_page
from circuitsearch.figures.viewer.scan import scan_page as scan_page
from circuitsearch.files import write_bytes

if TYPE_CHECKING:
    from circuitsearch.validation.report import Report


def draw_page(
    circuit: Circuit,
    path: str | Path,
    *,
    report: Report | None = None,
    evidence: Evidence = NOTHING,
    model: str = "",
    method: str = "",
) -> None:
    """Write a circuit as an interactive HTML page; the same circuit gives the same bytes.

    Parameters
    ----------
    circuit : Circuit
        The circuit to show. If it has scores of all edges, the page's slider shows circuits of other sizes.
    path : path
        The file to write.
    report : Report, optional
        The evidence, and the curve from which the slider's faithfulness is interpolated.
    evidence : Evidence, optional
        Prompts, effects of nodes, roles and attention: see :func:`circuitsearch.write_page`.
    model, method : str, optional
        Names for the page's header.

    Raises
    ------
    InputError
        If the circuit has more edges than a page can show, or Graphviz is not installed.
    OSError
        If the file cannot be written.
    """
    content = html_page(page_data(circuit, report, evidence, model=model, method=method))
    write_bytes(path, content.encode())
