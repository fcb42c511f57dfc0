"""Notebooks that are kept with their outputs become pages of the site."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).parents[1] / "notebooks"
BLANK = re.compile(r"\n\s*\n")  # ends a block of HTML in Markdown


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if any(cell.get("outputs") for cell in notebook["cells"]):
            files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page(notebook)))
    return files


def on_page_markdown(markdown: str, files: Files, **_: Any) -> str:
    """Links to such a notebook lead to its page."""
    pages = [
        Path(each.src_uri).stem
        for each in files
        if each.src_uri.startswith("notebooks/") and each.src_uri.endswith(".md")
    ]
    for name in pages:
        markdown = markdown.replace(f"notebooks/{name}.ipynb)", f"notebooks/{name}.md)")
    return markdown


def page(notebook: dict[str, Any]) -> str:
    """A notebook as Markdown."""
    return "\n\n".join(part for cell in notebook["cells"] for part in _cell(cell)) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        yield from _output(output.get("data") or {"text/plain": output.get("text", "")})


def _output(data: dict[str, Any]) -> Iterator[str]:
    """The richest form of an output: a picture, a table, or text."""
    whole = {kind: "".join(content) for kind, content in data.items()}
    if "image/svg+xml" in whole:
        packed = base64.b64encode(whole["image/svg+xml"].encode()).decode()
        yield f'<div class="output"><img alt="{whole.get("text/plain", "figure")}" src="data:image/svg+xml;base64,{packed}"></div>'
    elif "text/html" in whole:
        yield f'<div class="output">{BLANK.sub(chr(10), whole["text/html"])}</div>'
    else:
        yield f"```text\n{whole['text/plain'].rstrip()}\n```"
