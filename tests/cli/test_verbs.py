"""The other verbs: score, validate, draw, tasks, models, doctor."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch import __version__
from circuitsearch.replication import Stability
from circuitsearch.replication.classes import Classes
from circuitsearch.replication.result import EdgeStability
from circuitsearch.validation import Interval
from tests.setups import made_up

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


def test_a_run_is_validated_alone(command: Command, run: Path):
    """Its folder knows model, prompts, seed and checks, so that its own report is made again, and an option changes it."""
    said = command("validate", run, "-o", "report.json")
    assert said.code == 0 and "tested the circuit in its run" in said.out, said.err
    assert Path("report.json").read_bytes() == (run / "report.json").read_bytes()
    assert command("validate", run / "circuit.json", "--check", "RandomCircuits(count=3)", "-o", "fewer.json").code == 0
    assert len(cs.Report.load("fewer.json").controls) == 3


def test_an_option_wins_over_the_run(
    command: Command, run: Path, task_file: Path, write: Callable[..., Path], rows: Any
):
    """Other prompts are all used, and another seed, model or metric is taken; a run from Python needs a task."""
    fewer = cs.Report.from_dict(json.loads(command("validate", run, "--n", 12, "--json").out))
    assert fewer.n == 12 and fewer.n_seen
    other = cs.Report.from_dict(json.loads(command("validate", run, write(*rows[:9]), "--json").out))
    assert other.n == 9 and other.task == "other"
    seeded = command("validate", run, task_file, "--seed", 3, "--json")
    assert json.loads(seeded.out)["setup"]["seed"] == 3
    assert "no-model" in command("validate", run, "--model", "no-model").err
    manifest = json.loads((run / "manifest.json").read_text())
    tiny = manifest["question"]["model"]
    (run / "manifest.json").write_text(json.dumps(manifest | {"question": None}))
    assert "from Python" in command("validate", run).err
    assert command("validate", run, task_file, "--model", tiny).code == 0


def test_a_run_whose_prompts_changed_is_not_validated(command: Command, run: Path, task_file: Path, rows: Any):
    """Its task file was edited: the prompts that tested the circuit are gone."""
    task_file.write_text("".join(json.dumps(row) + "\n" for row in rows[::-1][1:]), encoding="utf-8")
    said = command("validate", run)
    assert said.code == 2 and "cannot be written again" in said.err


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
    edges = [("embed", "m0<in>"), ("m0", "logits"), ("embed", "logits")]
    scores = torch.zeros(graph.mask.shape)
    for strength, edge in zip((3.0, 2.0, 1.0), edges, strict=True):
        scores[graph.find_writer(edge[0]), graph.find_reader(edge[1])] = strength
    cs.Circuit.from_edges(graph, edges, scores).save("mine.json")
    cs.Circuit.from_edges(graph, edges[:1], scores).save("other.json")
    Path("roles.json").write_text('{"m0": "gate"}')
    look = (
        "--width",
        "acl-column",
        "--theme",
        "dark",
        "--title",
        "A gate",
        "--labels",
        "9.9",
        "--highlight",
        "MLP 0,embed->m0",
    )
    said = command("draw", "mine.json", "--roles", "roles.json", *look, "--top", "2", "--caption", "--json")
    figure = Path("circuit.svg").read_text()
    assert json.loads(said.out)["n_edges"] == 2 and "gate" in figure and "A gate" in figure and "MLP 0" in figure
    assert "its 2 strongest edges on paths" in Path("circuit-caption.txt").read_text() and "strongest edges" in figure
    assert xml.fromstring(figure).attrib["width"] == "218.16pt" and "#15171c" in figure
    assert "give 2 or more, not 1" in command("draw", "mine.json", "--top", "1").err
    said = command("draw", "mine.json", "--against", "other.json", "-o", "both.svg", "--json")
    assert json.loads(said.out) == {"out": "both.svg", "n_edges": [3, 1], "n_shared": 1}
    assert "only mine.json (2)" in Path("both.svg").read_text()


def test_a_run_knows_roles_and_prompts(command: Command, run: Path):
    """Its roles are drawn unless they are not wanted; its first held-out prompt, with where heads look, runs the model."""
    copied = Path("copied")
    shutil.copytree(run, copied)
    heads = [name for name in cs.Circuit.load(run / "circuit.json").nodes if ".h" in name]
    (copied / "roles.json").write_text(json.dumps({heads[0]: ["mover"]}))
    assert command("draw", copied, "-o", "with.svg").code == 0 and "mover" in Path("with.svg").read_text()
    assert (
        command("draw", copied, "--no-roles", "-o", "none.svg").code == 0
        and "mover" not in Path("none.svg").read_text()
    )
    said = command("draw", run, "--example", "--insets", heads[0], "-o", "example.svg")
    assert said.code == 0, said.err
    figure = Path("example.svg").read_text()
    assert "Prompt: #" in figure and f'id="attention {heads[0]}"' in figure
    assert "attention" not in (run / "circuit.svg").read_text()
    assert "m0" in command("draw", run, "--insets", "m0", "-o", "x.svg").err
    assert "--model" in command("draw", run, "--prompt", "When Mary", "-o", "x.svg").err and not Path("x.svg").exists()
    circuit = cs.Circuit.load(run / "circuit.json")
    stability_of(circuit.graph, circuit.edges).save("stability.json")
    assert command("draw", run, "--stability", "stability.json", "-o", "sure.svg").code == 0
    assert "by half or more" in Path("sure.svg").read_text()
    stability_of(cs.Graph(3, 2, 2), []).save("stability.json")
    assert "the same model" in command("draw", run, "--stability", ".", "-o", "x.svg").err


def stability_of(graph: cs.Graph, edges: list[tuple[str, str]]) -> Stability:
    """Of searches half of which found each of these edges."""
    half, one = Interval(0.5, 0.1, 0.9), Interval(1.0, 0.9, 1.1)
    found = tuple(EdgeStability("->".join(edge), "optional", half, {}, one, 0.0, 0.0) for edge in edges)
    return Stability(made_up(), graph, 0.9, (), (), (), found, one, Classes(), 0.95, 16, True)


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
