"""Draws the gallery's plots and the instruments' figures: ``python docs/figures/plots.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import circuitsearch as cs


def plots(folder: Path) -> None:
    """The evidence for a circuit: its curve, its estimate beside exact effects, what is lost without each edge."""
    model, tokenizer = cs.load("pico")
    train, held_out = cs.tasks.ioi(tokenizer, n=128).split(0.5)
    scores = cs.score(model, train, cs.Recheck(cs.EAPIG(), k=200))
    circuit = cs.minimal(model, train, scores, faithfulness=0.9)
    report = cs.validate(model, circuit, held_out)
    for theme, mark in (("light", ""), ("dark", "-dark")):
        cs.draw_curve(report, folder / f"curve{mark}.svg", theme=theme)
        cs.draw_agreement(scores, folder / f"agreement{mark}.svg", theme=theme)
        cs.draw_leave_one_out(circuit, folder / f"leave-one-out{mark}.svg", most=25, theme=theme)


def instruments(folder: Path) -> None:
    """What the instruments find, of induction."""
    model, tokenizer = cs.load("pico")
    task = cs.tasks.induction(tokenizer, n=64)
    effects = cs.sender_sweep(model, task, ["a1.h2<k>", "a1.h3<k>", "a1.h6<k>"])
    for theme, mark in (("light", ""), ("dark", "-dark")):
        cs.draw_heatmap(effects, folder / f"senders{mark}.svg", theme=theme)
    tools = cs.instruments
    cs.draw(tools.head_roles(model, task, tokenizer=tokenizer), folder / "head-roles.svg")
    cs.draw(tools.direct_logit(model, task), folder / "direct-logit.svg")
    cs.draw(tools.logit_lens(model, task.subset([0]), tokenizer=tokenizer), folder / "logit-lens.svg")
    cs.draw(tools.activation_patching(model, task.subset(range(16)), tools.HeadOut()), folder / "patching.svg")
    twice = tools.said_twice(model, 8, tokenizer)  # random tokens, in which induction shows as a stripe
    cs.draw(tools.attention(model, twice, ["a0.h0", "a1.h3"], tokenizer=tokenizer), folder / "attention.svg")


def facts(folder: Path) -> None:
    """What the instruments find by token span, of the country facts."""
    model, tokenizer = cs.load("pico")
    tools, task = cs.instruments, cs.tasks.country_facts(tokenizer, n=16, seed=0)
    cs.draw(tools.causal_trace(model, task, "country", site=tools.Stream(), seeds=2), folder / "causal-trace.svg")
    cs.draw(tools.decompose(model, task, spans=list(task.span_names)), folder / "decomposition.svg")


if __name__ == "__main__":
    plots(Path(sys.argv[1]))
    instruments(Path(sys.argv[1]))
    facts(Path(sys.argv[1]))
