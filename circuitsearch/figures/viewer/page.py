"""One self-contained HTML file: the data, the style sheet and the modules of ``assets/`` joined, under a policy that forbids
the network and every script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from circuitsearch import colours
from circuitsearch.escape import plain_text
from circuitsearch.figures import style

# In the order in which they build on one another; joined, they are one module, and nothing of them is global.
MODULES = (
    "text", "circuit", "filters", "headline", "state", "layout", "paint", "svg", "graph", "size", "controls", "search", "marks",
    "evidence", "attention", "edges", "node", "prompts", "main",
)  # fmt: skip


def _tints(theme: style.Theme) -> dict[str, str]:
    """Behind the nodes of a role."""
    return {f"role-{place}": tint for place, tint in enumerate(theme.tints)}


LIGHT = {
    "dark": "0",
    "supports": colours.SUPPORTS,
    "opposes": colours.OPPOSES,
    "unknown": colours.UNKNOWN,
    "supports-text": colours.SUPPORTS,
    "opposes-text": "#8f4f00",  # the orange as text, at a contrast that can be read
    "ink": style.INK,
    "faint": "#5f5f5f",
    "rule": "#d9d9d9",
    "band": "#f6f6f5",
    "paper": "#ffffff",
    "head": style.FILL_ATTENTION,
    "mlp": style.FILL_MLP,
    "embed": style.FILL_END,
    "logits": style.FILL_END,
    "node-line": "#6b6b6b",
    "focus": colours.SUPPORTS,
    "marked": "#f3e3c8",
} | _tints(style.LIGHT)
DARK = {
    "dark": "1",
    "supports": "#7aa9f0",
    "opposes": "#f5a13c",
    "unknown": "#8a8a8a",
    "supports-text": "#8fb8f5",
    "opposes-text": "#f5a13c",
    "ink": "#ececea",
    "faint": "#a5a5a2",
    "rule": "#3a3b3d",
    "band": "#1f2022",
    "paper": "#17181a",
    "head": "#242629",
    "mlp": "#2b352a",
    "embed": "#34363a",
    "logits": "#34363a",
    "node-line": "#8a8b8d",
    "focus": "#7aa9f0",
    "marked": "#4a3a1e",
} | _tints(style.DARK)


def html_page(data: dict[str, Any]) -> str:
    """Write a page that shows what :func:`circuitsearch.figures.viewer.data.page_data` gathered."""
    about = data["about"]
    heading = " in ".join(word for word in (about.get("task"), about["model"]) if word) or "circuit"
    script = _script()
    body = filled(
        asset("page.html"),
        heading=escaped(heading),
        summary=escaped(_summary(about)),
        data=json_in_html(data),
        script=script,
    )
    return document(escaped(f"{heading} \u00b7 circuit"), body, asset("page.css"), script)


def document(title: str, body: str, style: str, script: str | None = None) -> str:
    """A whole page, which fetches nothing.

    Parameters
    ----------
    title, body : str
        HTML; the body has the script in it.
    style : str
        What the page has beside the look that all share.
    script : str, optional
        The only one that may run.
    """
    sheet = palette_style() + style
    return filled(asset("document.html"), policy=policy(script, sheet), title=title, style=sheet, body=body)


def policy(script: str | None, sheet: str) -> str:
    """A Content-Security-Policy: no network, no frames, no forms, and no script or style but these, by their SHA-256."""
    scripts = f"script-src '{_hash(script)}'; " if script else ""
    return f"default-src 'none'; {scripts}style-src '{_hash(sheet)}'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def escaped(text: str) -> str:
    """Text for HTML, on one line, without control characters."""
    return html.escape(plain_text(text))


def image(title: str, svg: bytes) -> str:
    """A figure as an image, in which nothing can run, under its title."""
    source = base64.b64encode(svg).decode()
    return f'<section><h2>{escaped(title)}</h2><img alt="{escaped(title)}" src="data:image/svg+xml;base64,{source}"></section>'


def minus(number: str) -> str:
    """A number with the minus sign that is as wide as a plus."""
    return number.replace("-", "\u2212")


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; caption and heads are text."""
    head = "".join(f'<th scope="col">{escaped(text)}</th>' if text else "<td></td>" for text in heads)
    lines = ["".join(cell if cell.startswith("<th") else f"<td>{cell}</td>" for cell in row) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    shown = f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>" if rows else ""
    return f'<section><h2>{escaped(caption)}</h2><div class="wide" tabindex="0" role="region" aria-label="{escaped(caption)}">{shown}</div></section>'


def options(values: Iterable[str]) -> str:
    """Options of a select element, each value once."""
    return "".join(f'<option value="{escaped(each)}">{escaped(each)}</option>' for each in dict.fromkeys(values))


def json_in_html(data: Any) -> str:
    r"""JSON for a script element: no text in it ends the element or opens a comment.

    Examples
    --------
    >>> print(json_in_html(["</script><!--", "\u2028"]))
    ["\u003c/script\u003e\u003c!--","\u2028"]
    """
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def palette_style() -> str:
    """What all pages share: the two palettes, and the look of words and tables."""
    return filled(asset("base.css"), light=_properties(LIGHT), dark=_properties(DARK))


@cache
def _script() -> str:
    """The modules joined into one: their imports and the word ``export`` go, for all of them share one scope."""
    return "\n".join(_bare(asset(f"{name}.js")) for name in MODULES)


def _bare(source: str) -> str:
    without_imports = re.sub(r'^import \{[^}]*\} from "[^"]*";\n', "", source, flags=re.MULTILINE)
    return re.sub(r"^export (?=const|function|class|async)", "", without_imports, flags=re.MULTILINE)


def asset(name: str) -> str:
    """Text of one of the files in ``assets/``."""
    return (files("circuitsearch.figures.viewer") / "assets" / name).read_text(encoding="utf-8")


def _properties(palette: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in palette.items())


def filled(template: str, **words: str) -> str:
    """Put words in the places of a template, in one pass, so that no word is read as a place."""
    return re.sub(r"\{\{(\w+)\}\}", lambda place: words[place[1]], template)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _summary(about: dict[str, Any]) -> str:
    share = 100 * about["n_edges"] / about["total"]
    size = f"{about['n_edges']:,} of {about['total']:,} edges ({share:.2g}%)"
    if "faithfulness" not in about:
        return f"{size}."
    value, low, high = about["faithfulness"]
    interval = "no interval" if None in (low, high) else f"{about['confidence']:.0%} interval {low:.3f} to {high:.3f}"
    each = f", per prompt {about['per_prompt'][0]:.3f}" if "per_prompt" in about else ""
    numbers = f"({interval}{each})".replace("-", "\u2212")
    return f"{size} keep {value:.3f} of the behaviour on {about['prompts']} {numbers}."
