"""circuitsearch convert, judge, mib check and neuronpedia check."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import circuitsearch as cs

Command = Callable[..., Any]


def small() -> cs.Circuit:
    return cs.Circuit.from_edges(cs.Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")])


def test_convert_a_circuit(command: Command):
    """Nodes, roles and a title that says what it is; --help explains."""
    small().save("mine.json")
    Path("roles.json").write_text('{"m0": "facts"}')
    said = command("convert", "mine.json", "mine.graphml", "--roles", "roles.json", "--json")
    assert said.code == 0 and json.loads(said.out) == {"out": "mine.graphml", "n_edges": 2, "notes": []}
    graph = nx.read_graphml("mine.graphml")
    assert graph.nodes["m0"] == {"kind": "mlp", "layer": 0, "role": "facts"}
    assert "2 of" in graph.graph["name"]
    assert command("convert", "--help").code == 0


def test_bad_input_is_one_sentence(command: Command):
    """No such folder, no such format, no such file, no sign, no width."""
    small().save("mine.json")
    for arguments, hint in (
        (("mine.json", "no/x.gexf"), "no"),
        (("mine.json", "x.xlsx"), ".graphml"),
        (("mine.json", "x.json"), "--to"),
        (("mine.json", "x.pt", "--to", "eap-ig"), "--model"),
        (("mine.json", "x.json", "--to", "eap"), "unknown format"),
        (("mine.json", "x.json", "--to", "neuronpedia", "--roles", "mine.json"), "roles"),
        (("other.json", "x.gexf"), "other.json"),
    ):
        said = command("convert", *arguments)
        assert said.code == 2 and hint in said.err and said.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["mine.json"]


def test_there_and_back(command: Command, tiny: Path):
    """To EAP-IG with the width of a model, and from it to our own file: what was assumed is printed."""
    graph = cs.Graph(2, 2, 2)
    circuit = cs.Circuit(graph, graph.mask, graph.mask.double() / 3)
    circuit.save("mine.json")
    assert command("convert", "mine.json", "theirs.pt", "--to", "eap-ig", "--model", tiny).code == 0
    assert "--sign" in command("convert", "theirs.pt", "again.json", "--to", "circuitsearch").err
    said = command("convert", "theirs.pt", "again.json", "--to", "circuitsearch", "--sign", "supports")
    assert said.code == 0 and "taken to support the behaviour" in said.out + said.err
    assert cs.Circuit.load("again.json").to_dict() == circuit.to_dict()


def test_judge_somebody_elses_circuit(command: Command, tiny: Path, task_file: Path):
    """Report, figure, page, and a file that says where the circuit came from and what was assumed."""
    graph = cs.Graph(2, 2, 2)
    cs.export(cs.Circuit(graph, graph.mask, graph.mask.double()), "theirs.json", to=cs.EAPGraph(d_model=16))
    ask = ("judge", "theirs.json", "--model", tiny, "--task", task_file)
    assert "--sign" in command(*ask).err
    said = command(*ask, "--sign", "supports", "--out", "judged", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["report"]["faithfulness"]["value"] == pytest.approx(1.0)
    names = {
        "report.md",
        "report.json",
        "circuit.json",
        "source.json",
        "circuit.html",
        "circuit.svg",
        "circuit.pdf",
        "circuit.png",
        "circuit.dot",
        "circuit-caption.txt",
        "circuit-caption.tex",
    }
    assert {path.name for path in Path("judged").iterdir()} == names
    source = json.loads(Path("judged/source.json").read_text())
    assert source["format"] == "EAP-IG graph" and "taken to support" in source["notes"][0]
    page = Path("judged/report.md").read_text()
    assert (
        str(cs.Report.load("judged/report.json")).splitlines()[0] in page
        and "- positive scores of the file were taken to support" in page
    )
    again = command(*ask, "--sign", "supports", "--out", "judged")
    assert again.code == 2 and "not an empty folder" in again.err


def test_a_judgement_goes_on_wherever_it_was_interrupted(
    command: Command, tiny: Path, task_file: Path, monkeypatch: pytest.MonkeyPatch
):
    """Between its checks, and while it writes its files; a folder with anything else is refused."""
    graph = cs.Graph(2, 2, 2)
    cs.Circuit(graph, graph.mask, graph.mask.double()).save("circuit.json")
    ask = ("judge", "circuit.json", "--model", tiny, "--task", task_file, "--out")
    assert command(*ask, "whole").code == 0
    for place in ("validate", "write_figure", "write_page"):
        with monkeypatch.context() as broken:
            broken.setattr(
                f"circuitsearch.cli.foreign.{place}", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
            )
            assert command(*ask, "judged").code == 130
    assert Path("judged/report.json").exists()
    assert command(*ask, "judged").code == 0
    for file in Path("whole").iterdir():
        assert (Path("judged") / file.name).read_bytes() == file.read_bytes(), file.name
    assert "not an empty folder" in command(*ask, "judged").err


def test_judge_scores_alone(command: Command, tiny: Path, task_file: Path):
    """How many of the strongest edges are the circuit is asked for."""
    graph = cs.Graph(2, 2, 2)
    cs.export(cs.Circuit(graph, ~graph.mask & graph.mask, graph.mask.double()), "theirs.pt", to=cs.EAPGraph(d_model=16))
    ask = ("judge", "theirs.pt", "--model", tiny, "--task", task_file, "--sign", "supports")
    assert "--edges N" in command(*ask).err
    said = command(*ask, "--edges", graph.n_edges, "--out", "judged", "--json")
    assert said.code == 0 and json.loads(said.out)["n_edges"] == graph.n_edges


def test_a_circuit_of_another_model_is_not_judged(command: Command, tiny: Path, task_file: Path):
    """With the first edges that the model lacks, and nothing is left behind."""
    graph = cs.Graph(3, 2, 2)
    cs.export(cs.Circuit(graph, graph.mask), "theirs.json", to=cs.EAPGraph(d_model=16))
    said = command("judge", "theirs.json", "--model", tiny, "--task", task_file)
    assert (
        said.code == 2 and "3 layers of 2 heads" in said.err and "embed->a2.h0<q>" in said.err.replace("input", "embed")
    )
    assert not Path("runs").exists()


def test_checks_of_uploads(command: Command):
    """Exit code 0 if all is well, 1 if not, with a line for each problem."""
    graph = cs.Graph(6, 4, 4)
    circuit = cs.Circuit(graph, graph.mask, graph.mask.double())
    cs.export(circuit, "edge", to="mib(task='ioi', model='interpbench')")
    said = command("mib", "check", "edge", "--json")
    assert said.code == 1 and not json.loads(said.out)["valid"] and "it has 1 tasks" in said.err
    cs.export(circuit, "x.json", to="neuronpedia(scan='gpt2-small', tokens=('a',))")
    assert command("neuronpedia", "check", "x.json").code == 0
    Path("x.json").write_text("{}")
    said = command("neuronpedia", "check", "x.json")
    assert said.code == 1 and "schema" in said.out + said.err
