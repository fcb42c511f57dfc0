"""The caption of a figure, in words: what it shows, how it was found, and the evidence for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isnan
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.escape import plain_text
from circuitsearch.files import write_bytes
from circuitsearch.granularity import WHOLE
from circuitsearch.metrics import metric_in_words
from circuitsearch.registry import ABLATIONS, GRANULARITIES, METHODS
from circuitsearch.setup import Spec
from circuitsearch.tex_text import COMMANDS, tex_text
from circuitsearch.validation.report import Report

ENDING = "-caption"  # of the names of a caption's files: a figure may be a .tex file itself


def caption_for(circuit: Circuit, report: Report | None = None, *, model: str | None = None) -> str:
    """The caption of a figure: the circuit, how it was found, and the evidence for it.

    Examples
    --------
    >>> from circuitsearch.graph import Graph
    >>> circuit = Circuit.from_edges(Graph(12, 12, 12), [("embed", "m0<in>"), ("m0", "logits")])
    >>> print(caption_for(circuit, model="gpt2"))
    Circuit of gpt2: 2 of 32,491 edges (0.0062%).
    """
    task = report.task if report else circuit.task
    subject = "Circuit" + (f" of {model}" if model else "") + (f" on {task}" if task else "")
    share = 100 * len(circuit) / circuit.graph.n_edges
    size = f"{subject}: {len(circuit):,} of {circuit.graph.n_edges:,} edges ({share:.2g}%)"
    drawn = ", drawn by their effects in the circuit" if circuit.effects is not None else ""
    sentences = [f"{size}{drawn}", _method(circuit), "" if report is None else _evidence(circuit, report)]
    cautions = [] if report is None else [f"Caution: {caution}" for caution in report.cautions]
    return " ".join(f"{each}." for each in (*sentences, *cautions) if each)


def _method(circuit: Circuit) -> str:
    """How the circuit was found, in one sentence."""
    setup, how = circuit.setup, []
    if setup is not None:
        how += [f"edges scored by {METHODS.in_words(setup.method)}"] if setup.method is not None else []
        how += [f"ablated edges carry {ABLATIONS.in_words(setup.ablation)}"]
        whole = setup.granularity == Spec.of(WHOLE)
        how += [] if whole else [f"nodes are {GRANULARITIES.in_words(setup.granularity)}"]
    how += [found.in_words for found in (circuit.history, circuit.redundancy) if found is not None]
    how += [str(circuit.bound)] if circuit.bound is not None else []
    sentence = "; ".join(how)
    return sentence[:1].upper() + sentence[1:]


def _evidence(circuit: Circuit, report: Report) -> str:
    faithful = report.faithfulness
    others = "".join(f"; {each.caption}" for each in report.measurements if each.caption)
    ends = f"{report.confidence:.0%} interval [{faithful.low:.3f}, {faithful.high:.3f}]"
    interval = "no interval" if isnan(faithful.low) else ends
    measured = f"Faithfulness ({metric_in_words(report.metric)}) on {report.prompts}: {faithful.value:.3f}, {interval}"
    if report.setup is None or report.ablation == circuit.ablation:
        return f"{measured}{others}"
    return f"{measured}{others}; ablated edges carry {ABLATIONS.in_words(report.setup.ablation)}"


def comparison_caption(first: Circuit, second: Circuit, sides: Sequence[str]) -> str:
    """The caption: both circuits with their sizes, and how many edges they share."""
    shared, either = int((first.mask & second.mask).sum()), int((first.mask | second.mask).sum())
    return (
        f"{sides[0]} ({len(first):,} edges) and {sides[1]} ({len(second):,} edges) of {first.graph.n_edges:,}:"
        f" {shared:,} shared, Jaccard index {shared / max(either, 1):.2f}."
    )


def caption_files(figure: str | Path, caption: str) -> dict[str, str]:
    """Names and contents of a caption's files: of ``x.pdf`` ``x-caption.txt``, and for LaTeX, with a label, ``x-caption.tex``."""
    name, text = Path(figure).stem, plain_text(caption)
    return {f"{name}{ENDING}.txt": f"{text}\n", f"{name}{ENDING}.tex": caption_in_tex(text, name)}


def write_caption(figure: str | Path, caption: str) -> None:
    """Write a caption's files beside its figure.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    for name, content in caption_files(figure, caption).items():
        write_bytes(Path(figure).with_name(name), content.encode())


def caption_in_tex(caption: str, name: str) -> str:
    r"""A caption for a figure's environment.

    Examples
    --------
    >>> print(caption_in_tex("5% of the edges.", "ioi small"), end="")
    \caption{5\% of the edges.}
    \label{fig:ioi-small}
    """
    text = re.sub(r"\{([-,?!'])\}", r"\1", tex_text(caption))  # a person edits it: ligatures do no harm
    label = "".join(char if char.isascii() and char.isalnum() else "-" for char in name)
    commands = f"{COMMANDS}\n" if "\\figure" in text else ""
    return f"{commands}\\caption{{{text}}}\n\\label{{fig:{label}}}\n"
