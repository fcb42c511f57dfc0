"""circuitsearch scan: one prompt on one page."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Command

PROMPT = "Then, Mary and John went to the store, and John gave a book to"


def test_a_prompt_is_a_page(command: Command):
    """With a table; the folder is named after the prompt."""
    said = command("scan", PROMPT, "--json")
    assert said.code == 0, said.err
    page = Path(json.loads(said.out)["page"])
    assert page.is_file() and page.parent.name.startswith("scan-Then-Mary")
    assert "likeliest" in said.err


def test_with_a_counterfactual_it_has_the_circuit(command: Command):
    """Its run is beside the page, which links to it."""
    corrupt = PROMPT.replace("John gave", "Mary gave")
    said = command(
        "scan", PROMPT, "--answer", " Mary", "--corrupt", corrupt, "--wrong", " John", "--out", "here", "--no-open"
    )
    assert said.code == 0, said.err
    assert Path("here/circuit/circuit.html").is_file() and "circuit/circuit.html" in Path("here/scan.html").read_text()


def test_half_a_counterfactual_is_refused(command: Command):
    """Before anything is loaded or written."""
    said = command("scan", PROMPT, "--corrupt", PROMPT)
    assert said.code == 2 and "--answer and --corrupt, and --wrong" in said.err and not Path("runs").exists()
