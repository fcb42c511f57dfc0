"""One prompt on one page: what is predicted, what the parts write, where heads look, and the circuit if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from circuitsearch.figures.canvas import encode, figure_style
from circuitsearch.figures.results import figure_of
from circuitsearch.figures.viewer.page import asset, document, escaped, filled, image, minus, table
from circuitsearch.instruments.one_prompt import Scan
from circuitsearch.instruments.result import Result


def scan_page(found: Scan, model: str, *, circuit: bytes | None = None, page: str = "") -> str:
    """Write the page of a scan.

    Parameters
    ----------
    found : Scan
        What :func:`circuitsearch.instruments.scan` found.
    model : str
        The model's name, for the header.
    circuit : bytes, optional
        The figure of the prompt's circuit, as SVG.
    page : str
        The relative address of the circuit's own page.
    """
    attention = [_figure("Where the strongest heads look", found.attention)] if found.attention.heads else []
    sections = [
        table("The model's likeliest tokens", ("token", "probability"), _likeliest(found)),
        table(
            f"Parts that add most to the logit of {found.answer!r}, or take most from it, and the tokens that they raise most",
            ("part", "logit", "raises most", "looks at", "at work"),
            _parts(found),
        ),
        _figure("What the stream predicts, by layer and token", found.lens),
        *attention,
        _circuit(circuit, page),
    ]
    body = filled(
        asset("scan.html"),
        prompt=escaped(found.prompt),
        model=escaped(model),
        answer=escaped(repr(found.answer)),
        sections="\n".join(sections),
    )
    return document(escaped(f"{found.prompt} \u00b7 {model}"), body, asset("index.css") + asset("scan.css"))


def _likeliest(found: Scan) -> list[Sequence[str]]:
    return [(escaped(repr(token)), f"{probability:.1%}") for token, probability in found.likeliest]


def _parts(found: Scan) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for part in found.parts:
        looks = f"{part.looks_at!r} {part.share:.0%}" if part.looks_at else ""
        kind = "supports" if part.effect > 0 else "opposes"
        effect = f'<span class="number {kind}">{minus(f"{part.effect:+.3f}")}</span>'
        words = " ".join(f"<code>{escaped(repr(word))}</code>" for word in part.words)
        rows.append((escaped(part.name), effect, words, escaped(looks), escaped(part.at_work)))
    return rows


def _figure(title: str, result: Result) -> str:
    with figure_style():
        content = encode(figure_of(result), "svg")
    return image(title, content)


def _circuit(figure: bytes | None, page: str) -> str:
    if figure is None:
        return (
            '<section><h2>The circuit</h2><p class="quiet">A circuit needs a counterfactual: give --corrupt, a prompt with another'
            " answer, and --wrong, that answer.</p></section>"
        )
    link = f'<p><a href="{escaped(quote(page))}">The interactive page of the circuit</a></p>' if page else ""
    return image("The circuit that tells the prompt from its counterfactual", figure) + link
