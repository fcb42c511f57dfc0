"""``circuitsearch view``: one run, several runs, files alone, and what it refuses."""

from __future__ import annotations

import json
import shutil
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs

Command = Callable[..., Any]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the browser was asked to open."""
    addresses: list[str] = []

    def start(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", start)
    return addresses


def data_of(page: Path) -> dict[str, Any]:
    return json.loads(page.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0])


def test_find_writes_the_page(run: Path):
    """With prompts, what each node is worth, direct effects and attention."""
    data, circuit = data_of(run / "circuit.html"), cs.Circuit.load(run / "circuit.json")
    assert len(data["circuit"]) == len(circuit) and data["about"]["model"] == "tiny" and len(data["stops"]) > 3
    assert data["prompts"] and data["prompts"][0]["clean"][0].startswith("#")
    heads = [name for name in circuit.nodes if ".h" in name]
    assert set(data["without"]) == {name for name in circuit.nodes if name not in ("embed", "logits")}
    assert set(data["attention"]) == set(heads) and set(data["direct"]) >= set(heads)


def test_it_opens_the_page(command: Command, run: Path, opened: list[str]):
    """As a file, from disk; --no-open says where it is."""
    assert command("view", run).code == 0
    assert opened == [(run / "circuit.html").absolute().as_uri()]
    said = command("view", run, "--no-open")
    assert len(opened) == 1 and "run/circuit.html" in said.out


def test_a_page_that_is_not_there_is_written(command: Command, run: Path, opened: list[str]):
    """As find wrote it, since the folder knows model and prompts; the page of the circuit's file is the same one."""
    written = (run / "circuit.html").read_bytes()
    (run / "circuit.html").unlink()
    assert command("view", run, "--no-open").code == 0
    assert (run / "circuit.html").read_bytes() == written
    assert command("view", run / "circuit.json", "--no-open").code == 0
    assert (run / "circuit.html").read_bytes() == written


def test_a_page_without_the_model(command: Command, run: Path, tiny: Path, opened: list[str]):
    """Where the model is gone, or there is none, the page has what files have, and it is said why; --model says where it is now."""
    (run / "circuit.html").unlink()
    tiny.rename(tiny.with_name("moved"))
    (run / "roles.json").write_text('{"a0.h0": ["mover"]}')
    said = command("view", run, "--no-open")
    data = data_of(run / "circuit.html")
    assert said.code == 0 and "without prompts" in said.out and "no model folder" in said.out
    assert data["prompts"] == [] and data["about"]["faithfulness"] and data["stops"]
    assert data["roles"] == {"a0.h0": ["mover"]}
    (run / "circuit.html").unlink()
    assert command("view", run, "--no-open", "--model", tiny.with_name("moved")).code == 0
    assert data_of(run / "circuit.html")["prompts"]
    alone = json.loads((run / "circuit.json").read_text()) | {"scores": None}
    Path("alone.json").write_text(json.dumps(alone))
    assert command("view", "alone.json", "--no-open").code == 0
    assert data_of(Path("alone.html"))["stops"] == []


def test_several_runs_are_compared(command: Command, run: Path, opened: list[str]):
    """On a page of their own, whose links lead to theirs from where it lies."""
    shutil.copytree(run, "other")
    Path("pages").mkdir()
    said = command("view", run, "other", "--no-open", "-o", "pages/all.html")
    assert said.code == 0, said.err
    page = Path("pages/all.html").read_text(encoding="utf-8")
    assert 'href="../run/circuit.html"' in page and 'href="../other/circuit.html"' in page and "(100%)" in page
    assert json.loads(command("view", run, "other", "--json").out)["page"] == "circuits.html" and opened == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere cannot be read"),
        (["run", "run"], "given twice"),
        (["run", "other", "-o", "no/x.html"], "--out"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(command: Command, run: Path, arguments: list[str], sentence: str):
    """Exit code 2, and what to do."""
    shutil.copytree(run, "other")
    said = command("view", "--no-open", *arguments)
    assert said.code == 2 and sentence in said.err and "Traceback" not in said.err


def test_draw_writes_a_page_too(command: Command, run: Path):
    """By the suffix, with the run's scores and roles, without prompts."""
    (run / "roles.json").write_text('{"a0.h0": ["mover"]}')
    assert command("draw", run, "-o", "x.html").code == 0
    data = data_of(Path("x.html"))
    assert data["about"]["faithfulness"] and len(data["stops"]) > 3 and data["roles"] == {"a0.h0": ["mover"]}
