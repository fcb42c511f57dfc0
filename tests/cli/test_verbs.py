"""The other verbs: score, validate, draw, tasks, models, doctor."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch import __version__

Command = Callable[..., Any]


def test_score_writes_the_scores(command: Command, task_file: Path, tiny: Path):
    """All prompts are scored, and the file holds what Python computes."""
    said = command("score", task_file, "--model", tiny, "--method", "eap", "-o", "mine.safetensors")
    assert said.code == 0 and "strongest edges" in said.out
    model, _ = cs.load(tiny)
    expected = cs.score(model, cs.Task.from_file(task_file), cs.EAP())
    assert cs.Scores.load("mine.safetensors").to_dict() == expected.to_dict()


def test_score_as_json(command: Command, task_file: Path, tiny: Path):
    """Every edge with its score."""
    said = command("score", task_file, "--model", tiny, "--json")
    assert json.loads(said.out)["scores"] == cs.Scores.load("scores.safetensors").to_dict()


@pytest.fixture
def run(command: Command, task_file: Path, tiny: Path) -> Path:
    """A finished run."""
    assert command("find", task_file, "--model", tiny, "--out", "run").code == 0
    return Path("run")


def test_validate_a_circuit(command: Command, run: Path, task_file: Path, tiny: Path):
    """A run's folder or its circuit.json are tested on any task file."""
    said = command("validate", run, task_file, "--model", tiny, "-o", "report.json")
    assert (
        said.code == 0 and "faithfulness" in said.out and "random circuits" in said.out and "of the search" in said.out
    )
    report = cs.Report.load("report.json")
    assert report.n == 16 and report.n_edges == len(cs.Circuit.load(run / "circuit.json"))
    as_json = command("validate", run / "circuit.json", task_file, "--model", tiny, "--json")
    assert json.loads(as_json.out)["faithfulness"]["value"] == report.faithfulness.value


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png", "dot"])
def test_draw_a_run_again(command: Command, run: Path, suffix: str):
    """The folder alone gives the figure that find drew, byte for byte."""
    said = command("draw", run, "-o", f"figure.{suffix}")
    assert said.code == 0, said.err
    assert Path(f"figure.{suffix}").read_bytes() == (run / f"circuit.{suffix}").read_bytes()


def test_draw_a_circuit_from_elsewhere(command: Command):
    """A circuit without a run is drawn too."""
    circuit = cs.Circuit.from_edges(cs.Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")])
    circuit.save("mine.json")
    assert command("draw", "mine.json", "-o", "mine.svg", "--json").out == '{"out": "mine.svg", "n_edges": 2}\n'
    xml.parse("mine.svg")


def test_a_figure_is_drawn_as_asked(command: Command):
    """Roles from a file, a width, dark paper, the strongest edges; and a comparison with its counts."""
    graph = cs.Graph(1, 1, 1)
    scores = torch.arange(graph.mask.numel()).view(graph.mask.shape) / 7
    cs.Circuit.from_edges(graph, [("embed", "m0<in>"), ("m0", "logits")], scores).save("mine.json")
    cs.Circuit.from_edges(graph, [("embed", "m0<in>")], scores).save("other.json")
    Path("roles.json").write_text('{"m0": "gate"}')
    said = command(
        "draw", "mine.json", "--roles", "roles.json", "--width", "acl-column", "--theme", "dark", "--top", "1", "--json"
    )
    figure = Path("circuit.svg").read_text()
    assert json.loads(said.out)["n_edges"] == 1 and "gate" in figure and "The 1 strongest edges" in figure
    assert xml.fromstring(figure).attrib["width"] == "218.16pt" and "#15171c" in figure
    said = command("draw", "mine.json", "--against", "other.json", "-o", "both.svg", "--json")
    assert json.loads(said.out) == {"out": "both.svg", "n_edges": [2, 1], "n_shared": 1}
    assert "only mine.json (1)" in Path("both.svg").read_text()


def test_a_task_is_checked(command: Command, tmp_path: Path):
    """Words kept and dropped, prompts as tokens with spans, and whether the model does it; also of a TOML file."""
    found = json.loads(command("tasks", "check", "ioi(order=abba)", "--n", 12, "--json").out)
    assert found["task"] == "ioi-abba" and found["does"] and found["accuracy"] == 1
    assert (
        found["words"]["names"]["kept"] == 96 and found["words"]["names"]["dropped"]["Grace"] == "not in the vocabulary"
    )
    prompt = found["prompts"][0]
    assert [prompt["clean"][prompt["spans"][name][0]] for name in ("IO", "S2")] == [
        *prompt["answers"],
        *prompt["wrong"],
    ]
    said = command("tasks", "check", "agreement_simple", "--n", 12)
    assert said.code == 0 and "wasn" not in said.out and "the model" in said.out
    (tmp_path / "mine.toml").write_text("name = 3", encoding="utf-8")
    wrong = command("tasks", "check", tmp_path / "mine.toml")
    assert wrong.code == 2 and "mine.toml, name" in wrong.err and wrong.err.count("\n") == 1


def test_tasks_are_listed(command: Command):
    """Each with what it is and where it is from."""
    said, listed = command("tasks"), json.loads(command("tasks", "--json").out)
    assert [entry["task"] for entry in listed][:2] == ["ioi", "induction"]
    assert all(entry["task"] in said.out and entry["summary"] and entry["paper"] for entry in listed)


def test_models_are_listed(command: Command):
    """The bundled model and every family."""
    content = json.loads(command("models", "--json").out)
    assert content["bundled"] == ["pico"] and {"gpt2", "llama", "gpt_neox"} <= set(content["families"])
    assert "gpt_neox" in command("models").out


def test_doctor(command: Command):
    """It draws, verifies pico, and says so."""
    said = command("doctor", "--json")
    content = json.loads(said.out)
    assert said.code == 0 and content["works"] is True
    assert content["pico"] == content["figures"] == "works"


def test_doctor_finds_what_is_missing(command: Command, monkeypatch: pytest.MonkeyPatch):
    """What does not work is named, and the exit code says it."""

    def broken(*arguments: object, **options: object) -> None:
        raise cs.InputError("no Graphviz here")

    monkeypatch.setattr("circuitsearch.cli.doctor.draw", broken)
    said = command("doctor")
    assert said.code == 2 and "no Graphviz here" in said.out and "figures" in said.err


@pytest.mark.parametrize(
    "verb", ["find", "score", "validate", "specificity", "draw", "view", "tasks", "models", "doctor"]
)
def test_every_verb_has_help(command: Command, verb: str):
    """--help explains and exits with 0."""
    said = command(verb, "--help")
    assert said.code == 0 and "Usage" in said.out and said.err == ""


def test_version(command: Command):
    """--version names the package's."""
    assert command("--version").out == f"circuitsearch {__version__}\n"


def test_exact_scores_go_on_after_a_stop(command: Any, task_file: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch):
    """What was measured stays beside the scores until they are finished, and is not measured again."""

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    arguments = ("score", task_file, "--model", tiny, "--method", "exact", "--out", "s.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr("circuitsearch.scores.Scores.save", stop)
        assert command(*arguments).code == 130
    assert Path("s.safetensors.journal").exists()
    monkeypatch.setattr("circuitsearch.methods.exact.measure", None)
    assert command(*arguments).code == 0
    assert Path("s.safetensors").exists() and not Path("s.safetensors.journal").exists()
