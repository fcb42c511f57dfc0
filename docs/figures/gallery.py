"""Makes the guide's figures: comparison, token positions, many edges, patterns beside heads; each light and dark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import circuitsearch as cs

SPANS = ("IO", "S1", "S2", "END")
THEMES = ("light", "dark")


def main(folder: Path) -> None:
    """Draw them all into a folder."""
    model, tokenizer = cs.load("pico")
    train, _ = cs.tasks.ioi(tokenizer, n=256, seed=0).split(0.5, seed=0)
    roles = first_roles(model, train, tokenizer)
    estimate, exact = cs.score(model, train, cs.EAPIG(steps=5)), cs.score(model, train, cs.Exact())
    by_span = cs.score(model, train, cs.EAPIG(steps=5), granularity=cs.Granularity(spans=SPANS))
    for theme in THEMES:
        look: dict[str, Any] = {"theme": theme}
        names = ("EAP-IG", "exact")
        cs.draw_comparison(
            cs.top(estimate, 40), cs.top(exact, 40), at(folder, "comparison", theme), names=names, **look
        )
        many = cs.top(estimate, 300)
        caption = (
            f"Indirect object identification in pico: {len(many)} of the 300 strongest edges by EAP-IG, those on paths."
        )
        cs.draw(many, at(folder, "many-edges", theme), caption=caption, width="two-column", **look)
        caption = (
            "Indirect object identification in pico: the strongest edges where token spans have nodes of their own."
        )
        cs.draw(cs.top(by_span, 40), at(folder, "positions", theme), caption=caption, roles=roles, **look)
    draw_induction(model, tokenizer, folder)


def draw_induction(model: Any, tokenizer: Any, folder: Path) -> None:
    """The heads of induction with their roles, and beside two of them where they look in one prompt."""
    train, _ = cs.tasks.induction(tokenizer, n=64, seed=0).split(0.5, seed=0)
    circuit = cs.top(cs.score(model, train, cs.EAPIG(steps=5)), 20)
    patterns = cs.instruments.attention(model, train.subset([0]), ["a0.h0", "a1.h3"], tokenizer=tokenizer)
    look: dict[str, Any] = {
        "roles": first_roles(model, train, tokenizer),
        "insets": {head: patterns[head] for head in patterns.heads},
        "tokens": patterns.tokens,
        "caption": "Induction in pico, with where two heads look in one prompt.",
    }
    for theme in THEMES:
        cs.draw(circuit, at(folder, "patterns", theme), theme=theme, **look)


def first_roles(model: Any, task: cs.Task, tokenizer: Any) -> dict[str, str]:
    """Of each head the first role that the detectors give it."""
    found = cs.instruments.head_roles(model, task, tokenizer=tokenizer)
    return {head: roles[0] for head, roles in found.by_head.items() if roles}


def at(folder: Path, name: str, theme: str) -> Path:
    """Where a figure goes; the light one has the plain name."""
    return folder / f"{name}{'' if theme == 'light' else '-dark'}.svg"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
