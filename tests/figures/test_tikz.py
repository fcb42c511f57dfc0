"""Figures as TikZ: all that is drawn is there, any text is text, and TeX takes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from circuitsearch.escape import plain_text
from circuitsearch.figures import draw, draw_curve
from circuitsearch.tex_text import tex_text
from tests.figures.hostile import HOSTILE, LONG

TEX = next((found for name in ("pdflatex", "lualatex", "xelatex") if (found := shutil.which(name))), None)
needs_tex = pytest.mark.skipif(
    TEX is None, reason="there is no TeX: apt-get install texlive-latex-base texlive-pictures"
)

# What a text may hold once it is escaped: harmless signs, and our own commands.
_HARMLESS = re.compile(
    r"[A-Za-z0-9 .:;+*=/()\[\]@]|\\[{}&#%_]|\{[-,?!'`]\}|\{\\char\"2[24]\}|\$\\times\$"
    r"|\\(?:text[a-z]+|ss|ae|AE|o|O|oe|OE)\{\}|\\[`'^~\"=u.rHvc]\{[A-Za-z ]\}|\\figure(?:char|hex)\{[0-9A-F]{4,6}\}"
)


def compiled(folder: Path, source: str) -> str:
    """Log of TeX, which may start no program and stops at the first error."""
    assert TEX is not None
    (folder / "x.tex").write_text(source, encoding="ascii")
    command = [TEX, "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "x.tex"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=60)
    assert ran.returncode == 0, ran.stdout[-3000:]
    return ran.stdout


def test_all_that_is_drawn_is_there(random_circuit, tmp_path):
    """Every node's name and the caption; lines of both colours, dashed and dotted ones."""
    circuit = random_circuit(40)
    draw(circuit, tmp_path / "c.tex", caption="What it shows")
    source = (tmp_path / "c.tex").read_text(encoding="ascii")
    assert all(f"}}{name}}};" in source for name in circuit.nodes) and "What it shows" in source
    assert len(re.findall(r"\\path\[draw=[^\n]*controls", source)) >= len(circuit)
    assert "dash pattern=on" in source and "{1B4F9C}" in source and "{F08A00}" in source


def test_same_circuit_same_bytes(random_circuit, tmp_path):
    """As of every format."""
    for name in ("one", "two"):
        draw(random_circuit(20), tmp_path / f"{name}.tex")
    assert (tmp_path / "one.tex").read_bytes() == (tmp_path / "two.tex").read_bytes()


@pytest.mark.slow
@needs_tex
def test_it_compiles_as_it_is_and_in_a_paper(random_circuit, report, tmp_path):
    """On one page of its own size; and twice in a document that loads TikZ."""
    draw(random_circuit(60), tmp_path / "circuit.tex", report=report, theme="dark")
    draw_curve(report, tmp_path / "curve.tex")
    for name in ("circuit", "curve"):
        log = compiled(tmp_path, (tmp_path / f"{name}.tex").read_text())
        assert "(1 page," in log and "Overfull" not in log
    paper = r"\documentclass{article}\usepackage{tikz}\begin{document}A\input{circuit}B\input{curve}\input{curve}\end{document}"
    compiled(tmp_path, paper)


def test_nothing_in_a_text_is_a_command():
    """Only harmless signs and our own commands are left, whatever the text."""
    left = {text: _HARMLESS.sub("", tex_text(plain_text(text))) for text in HOSTILE}
    assert not {text: rest for text, rest in left.items() if rest}


@pytest.mark.slow
@needs_tex
def test_tex_sets_every_text_and_runs_none(tmp_path):
    """All of them as lines of one document; nothing is written, and nothing read."""
    head = (
        r"\documentclass{article}\def\figurehex#1{U+#1}\let\figurechar\figurehex\begin{document}\sffamily\raggedright "
    )
    lines = [f"N{index} {tex_text(plain_text(text))}\\par" for index, text in enumerate(HOSTILE) if text not in LONG]
    compiled(tmp_path, "\n".join([head, *lines, r"\end{document}"]))
    assert {file.name for file in tmp_path.iterdir()} == {"x.tex", "x.pdf", "x.log", "x.aux"}
    assert "/etc/passwd" not in (tmp_path / "x.log").read_text(errors="replace").replace("\n", "")
