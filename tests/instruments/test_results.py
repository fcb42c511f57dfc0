"""Results are saved, printed and drawn, whatever their tokens are."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.figures.maps import Map, draw_maps, label
from circuitsearch.instruments.result import Result
from tests.conftest import random_task, tiny_model
from tests.instruments import by_hand
from tests.instruments.test_patching import with_subject

LOOK = cs.instruments


class Odd:
    """A tokenizer whose tokens are what figures stumble over."""

    tokens = (
        " $x_1$",
        "<b>&",
        "\x1b[2J",
        "\u202eabc",
        "\u05e9\u05dc",
        "\n",
        "[red]",
        "a very long token indeed",
        "\x00",
        "\ud800",
    )
    all_special_ids = ()

    def decode(self, ids: list[int]) -> str:
        """One of them."""
        return self.tokens[ids[0] % len(self.tokens)]


ALL: dict[str, Callable[[], Result]] = {
    "decomposition": lambda: LOOK.decompose(tiny_model("falcon_h1"), random_task(1), tokenizer=Odd()),
    "attribution": lambda: LOOK.direct_logit(tiny_model("falcon_h1"), random_task()),
    "lens": lambda: LOOK.logit_lens(tiny_model("gpt2"), random_task(1), tokenizer=Odd()),
    "patching": lambda: LOOK.activation_patching(tiny_model("gpt2"), random_task(1), tokenizer=Odd()),
    "tracing": lambda: LOOK.causal_trace(tiny_model("gpt2"), with_subject(), "subject", seeds=1),
    "attention": lambda: LOOK.attention(tiny_model("gpt2"), random_task(1), ["0.1"], tokenizer=Odd()),
    "roles": lambda: LOOK.head_roles(by_hand.mover(1.0), by_hand.names(6), shuffles=1),
}


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_figures_are_whole_and_the_same(make: Callable[[], Result], tmp_path: Path):
    """The same numbers give the same bytes; the SVG is XML; nothing in a token steers it; Matplotlib's state stays."""
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    result = make()
    for name in ("one.svg", "two.svg", "one.pdf"):
        cs.draw(result, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    text = "".join(xml.parse(tmp_path / "one.svg").getroot().itertext())
    assert "\u202e" not in text and "\x1b" not in text
    assert dict(mpl.rcParams) == before
    with pytest.raises(cs.InputError, match="suffix"):
        cs.draw(result, tmp_path / "one.txt")


def test_a_notebook_shows_a_result_as_its_figure():
    """The figure itself, without what comes before the element of a file."""
    shown = ALL["lens"]()._repr_svg_()
    assert shown is not None and xml.fromstring(shown).tag.endswith("svg")


def test_what_is_not_drawn_is_refused(tmp_path: Path):
    """A value without a figure, and an option that results do not take."""
    with pytest.raises(cs.InputError, match="cannot draw a str: give a circuit"):
        cs.draw("circuit.json", tmp_path / "one.svg")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="theme"):
        cs.draw(ALL["lens"](), tmp_path / "one.svg", theme="dark")  # type: ignore[call-overload]


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_numbers_are_plain_json(make: Callable[[], Result], tmp_path: Path):
    """Every number is kept, nothing is NaN, and the table has as many columns as its header."""
    result: Any = make()
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == json.loads(json.dumps(result.to_dict()))
    header, rows = result.table()
    assert rows and all(len(row) == len(header) for row in rows)


def test_labels_show_what_cannot_be_seen():
    """Markup and mathematics stand as they are; control characters and turns of direction are escaped."""
    assert label(" $x_1$") == "·$x_1$" and label("a b") == "a b"
    assert label("\x1b[2J") == "\\x1b[2J" and label("\u202eabc") == "\\u202eabc" and label("   ") == "···"
    assert len(label("x" * 100)) <= 14


def test_a_map_of_nothing_is_still_a_map():
    """Maps without a finite number, and very long ones, are drawn."""
    nan = float("nan")
    assert draw_maps([Map([[nan, nan]], ["a"], ["b", "c"])], "nothing").axes
    wide = torch.rand(3, 400).tolist()
    assert draw_maps([Map(wide, list("abc"), [str(at) for at in range(400)])], "wide").get_figwidth() < 12


@pytest.mark.rounded
def test_the_induction_stripe(pico):
    """In random tokens said twice pico's induction heads' stripe lies n - 1 places back, the previous-token head's one."""
    model, tokenizer = pico
    task = LOOK.said_twice(model, 4, tokenizer)
    found = LOOK.attention(model, task, ["a1.h2", "a1.h6", "a0.h0"], tokenizer=tokenizer)
    half = (len(task.clean[0]) - 1) // 2
    induction, previous = found.stripe(half - 1), found.stripe(1)
    assert float(induction[:2].min()) > 0.4 > 0.1 > float(induction[2])
    assert float(previous[2]) > 0.7 > 0.2 > float(previous[:2].max())
