"""``report.md``: a run on one page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from circuitsearch.circuit import Circuit
from circuitsearch.cli.say import agreement, meaning, strongest
from circuitsearch.run import Choices
from circuitsearch.scores import Scores
from circuitsearch.validation import Report


def page(choices: Choices, scores: Scores, circuit: Circuit, report: Report) -> str:
    """Write the page as Markdown."""
    certificate = circuit.certificate
    parts = [
        f"# {escaped(choices.task)} in {escaped(choices.model)}",
        "![the circuit](circuit.svg)",
        "## Evidence on held-out prompts",
        "```\n" + str(report).replace("`", "'") + "\n```",
        _certificate_line(circuit) if certificate is not None else "",
        "## Edges",
        "A score is how much the metric falls when the edge alone is cut, by the method's estimate, in the metric's unit,"
        " averaged over prompts: positive supports the behaviour, negative opposes it. The last column is the faithfulness"
        " on the prompts of the search when the edge is taken out of the circuit.",
        f"{agreement(scores.agreement).capitalize()}." if scores.agreement is not None else "",
        _edges(circuit),
        "## Choices",
        _table(("choice", "value"), ((name.replace("_", " "), value) for name, value in choices.model_dump().items())),
        "`circuitsearch find --from manifest.json` runs it again.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _certificate_line(circuit: Circuit) -> str:
    certificate = circuit.certificate
    assert certificate is not None
    return (
        f"On the prompts of the search the circuit keeps {certificate.faithfulness:.3f} of the behaviour (asked for:"
        f" {certificate.target:g}), and without any one of its edges less than asked for."
    )


def _edges(circuit: Circuit) -> str:
    without = circuit.certificate.without if circuit.certificate else {}
    rows = [
        (f"`{edge}`", f"{score:+.5f}", meaning(score), f"{without[edge]:.3f}" if edge in without else "")
        for edge, score in strongest(circuit)
    ]
    return _table(("edge", "score", "", "without it"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines)


def escaped(value: object) -> str:
    r"""Text as it is, whatever marks it holds; our own code marks in backticks stay.

    Examples
    --------
    >>> print(escaped("a|b <i> *x*"), escaped("`a0.h1->m1<in>`"))
    a\|b \<i\> \*x\* `a0.h1->m1<in>`
    """
    text = " ".join(str(value).split())
    if re.fullmatch(r"`[\w.<>@-]+`", text) or re.fullmatch(r"-+", text):
        return text
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", text)
