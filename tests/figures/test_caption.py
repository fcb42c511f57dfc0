"""Captions: every value that has a name is said in words, with the evidence, as text and as LaTeX."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import circuitsearch as cs
from circuitsearch.figures import caption_files, caption_for, draw
from circuitsearch.figures.caption import caption_in_tex
from circuitsearch.granularity import Granularity
from circuitsearch.history import History, Measured
from circuitsearch.metrics import metric_in_words
from circuitsearch.registry import ABLATIONS, GRANULARITIES, METHODS, METRICS
from circuitsearch.setup import Spec
from tests.figures.hostile import HOSTILE
from tests.setups import complete_with, made_up

CODE = re.compile(r"[A-Z]\w*\(|\w=|_|<|None")  # what a reader of a paper should not meet


@pytest.mark.parametrize("registry", [METHODS, ABLATIONS, GRANULARITIES], ids=lambda each: each.kind)
def test_every_registered_value_has_words(registry):
    """A new one cannot be forgotten; its knobs are in them, and a value read back from a file says the same."""
    for name in registry.known:
        value = registry.load(name)
        value = value() if isinstance(value, type) else value
        words = value.in_words
        assert words and not CODE.search(words), (name, words)
        assert registry.in_words(Spec.of(value)) == words


def test_every_metric_has_words():
    """Whatever its name in code is."""
    for name in METRICS.known:
        assert not CODE.search(metric_in_words(name)), name
    assert metric_in_words("logit_diff") == "logit difference"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (cs.EAPIG(steps=1), "integrated gradients, 1 step"),
        (cs.Recheck(cs.EAPIG(5), 100), "integrated gradients, 5 steps; the 100 strongest edges measured exactly"),
        (cs.Recheck(cs.EAP(), 4, around=9), "attribution patching; the 4 edges around rank 9 measured exactly"),
        (
            cs.Ensemble((cs.EAP(), cs.RelP())),
            "the mean ranking of 2 methods (attribution patching; relevance patching)",
        ),
    ],
    ids=str,
)
def test_knobs_are_said(value, words):
    """Of methods within methods too."""
    assert METHODS.in_words(Spec.of(value)) == words


def test_what_is_not_known_here_is_written_as_it_is():
    """A value of a package that is not installed; a digest in place of a task is left out."""
    assert METHODS.in_words(Spec(name="Elsewhere", knobs={"k": 3})) == "Elsewhere(k=3)"
    mean = Spec(name="Mean", knobs={"reference": {"task": "x", "sha256": "0"}, "over_positions": True})
    assert ABLATIONS.in_words(mean) == "the mean over counterfactual prompts and positions"


def test_the_caption_says_what_was_done_and_found(random_circuit, report):
    """Edges, model, method, ablation, granularity, search, faithfulness with its interval, prompts: all in words."""
    history = History(0.9, Measured(0.95, 0.01), 32, 16, 80.0, (), "")
    setup = made_up().model_copy(
        update={"method": Spec.of(cs.EAPIG()), "granularity": Spec.of(Granularity(spans=("IO", "END")))}
    )
    circuit = replace(random_circuit(40), setup=setup, history=history)
    caption = caption_for(circuit, report, model="pico")
    for part in (
        f"Circuit of pico on ioi: {len(circuit)} of 1,519 edges",
        "Edges scored by integrated gradients, 5 steps; ablated edges carry the counterfactual's value",
        "nodes are heads and MLPs, at each of the token spans IO, END",
        "searched by the gradient in its edges",
        "Faithfulness (logit difference) on 128 held-out prompts: 0.912, 95% interval [0.874, 0.941]",
    ):
        assert part in caption
    assert not CODE.search(caption) and caption.count("ablated edges carry") == 1
    zero = replace(report, setup=made_up(n=128).model_copy(update={"ablation": Spec.of(cs.Zero())}))
    assert caption_for(circuit, zero).count("ablated edges carry") == 2  # the evidence is of another ablation
    assert "drawn by their effects" in caption_for(replace(circuit, effects=circuit.scores))


def test_a_completed_circuit_says_so(random_circuit):
    """And that it is a union of minimal ones."""
    circuit = random_circuit(6)
    first, second, *others = ("->".join(edge) for edge in circuit.edges)
    known = complete_with(circuit, (first, *others), (second, *others), opposing=others[0])
    assert "The union of 2 minimal circuits" in caption_for(replace(circuit, redundancy=known))


def test_a_report_puts_the_caption_beside_the_figure(random_circuit, tmp_path, report):
    """As text and as LaTeX with a label, and not in the picture, unless it is given."""
    circuit = random_circuit(10)
    draw(circuit, tmp_path / "c.svg", report=report)
    assert "0.912" in (tmp_path / "c-caption.txt").read_text() and "0.912" not in (tmp_path / "c.svg").read_text()
    assert (tmp_path / "c-caption.tex").read_text().endswith("}\n\\label{fig:c}\n")
    draw(circuit, tmp_path / "c.tex", caption="what it shows")  # a figure in TeX does not lose its place to a caption
    assert "what it shows" in (tmp_path / "c.tex").read_text() and (tmp_path / "c-caption.tex").exists()


def test_any_caption_is_text_in_latex():
    """Nothing in it is a command, and it compiles in a document that knows none of ours."""
    for text in HOSTILE:
        source = caption_in_tex(text[:300], text[:50])
        label = source[source.rindex("\\label") :]
        assert re.fullmatch(r"\\label\{fig:[A-Za-z0-9-]*\}\n", label)
        assert source.isascii() and not re.search(r"\\(input|write|immediate|def|csname)\b", source)
        assert ("\\figurechar" in source or "\\figurehex" in source) == ("\\providecommand" in source)
    assert caption_in_tex("5% of a's 1,000 edges", "x") == "\\caption{5\\% of a's 1,000 edges}\n\\label{fig:x}\n"
    assert list(caption_files("a/b.pdf", "x")) == ["b-caption.txt", "b-caption.tex"]
