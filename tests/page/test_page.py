"""The full page from Python: what it shows is what the evaluator and the instruments measure."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.graph import Graph
from circuitsearch.page.measure import circuit_runs
from circuitsearch.page.tokens import token_texts
from tests.conftest import random_task, tiny_model


def data_of(page: Path) -> dict[str, Any]:
    return json.loads(page.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0])


def done_by_gpt2() -> cs.Task:
    """Random prompts, with right and wrong swapped so that the tiny GPT-2 does them better than with every edge ablated."""
    task = random_task(4)
    return replace(task, answers=task.wrong, wrong=task.answers)


def test_the_full_page_is_written_from_python(tmp_path: Path):
    """Prompts, nodes left out, direct effects and patterns are those that the functions give; twice the same bytes."""
    model, task = tiny_model("gpt2"), done_by_gpt2()
    circuit = cs.top(cs.score(model, task, cs.EAP()), 12)
    for name in ("one.html", "two.html"):
        cs.write_page(model, circuit, task, tmp_path / name, name="tiny")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    data, direct = data_of(tmp_path / "one.html"), cs.instruments.direct_logit(model, task)
    heads = {name for name in circuit.nodes if ".h" in name}
    assert heads and set(data["attention"]) == heads and data["about"]["model"] == "tiny"
    assert set(data["without"]) == set(circuit.nodes) - {"embed", "logits"}
    assert {name: data["direct"][name] for name in heads} == pytest.approx(
        {name: direct[name] for name in heads}, rel=1e-3
    )
    said = cs.instruments.written_words(model, task, sorted(heads))
    first = cs.instruments.written_words(model, task.subset([0]), sorted(heads))
    for head in heads:
        assert [token for token, _ in data["words"][head][1]] == [f"#{token}" for token, _ in said[head].lowered]
        assert [token for token, _ in data["raised"][head][0]] == [f"#{token}" for token, _ in first[head].raised]
        (pattern, *_), alone = data["attention"][head], cs.instruments.attention(model, task.subset([0]))[head]
        assert len(data["attention"][head]) == len(task)
        assert list(base64.b64decode(pattern)) == [
            round(100 * float(alone[q, k])) for q in range(len(alone)) for k in range(q + 1)
        ]
    likeliest = cs.instruments.likeliest_tokens(model, task)
    assert [p["likeliest"][0][0] for p in data["prompts"]] == [f"#{said[0][0]}" for said in likeliest]
    assert [prompt["clean"] for prompt in data["prompts"]] == [[f"#{token}" for token in ids] for ids in task.clean]


def test_a_circuit_of_another_graph_is_refused(tmp_path: Path):
    """In a sentence, and nothing is written."""
    circuit = Circuit.from_edges(Graph(1, 2, 2), [("embed", "logits")])
    with pytest.raises(cs.InputError, match="give the model that it was made with"):
        cs.write_page(tiny_model("gpt2"), circuit, done_by_gpt2(), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_evidence_is_what_the_evaluator_measures():
    """Each prompt's metric, and the circuit without each of its nodes."""
    model, tokenizer = cs.load("pico")
    task = cs.tasks.ioi(tokenizer, n=8, seed=0)
    graph = cs.score(model, task, cs.EAP()).graph
    edges = [("embed", "a1.h4<v>"), ("a1.h4", "logits"), ("embed", "a1.h0<v>"), ("a1.h0", "logits")]
    circuit = Circuit.from_edges(graph, edges)
    found = circuit_runs(cs.Experiment(model, task), circuit, tokenizer)
    report = cs.validate(model, circuit, task, n_controls=0, n_resamples=50)
    assert found.n_prompts == len(found.prompts) == 8 and set(found.without) == {"a1.h4", "a1.h0"}
    assert sum(prompt.circuit for prompt in found.prompts) / 8 == pytest.approx(report.circuit)
    alone = cs.validate(model, Circuit.from_edges(graph, edges[2:]), task, n_controls=0, n_resamples=50)
    assert found.without["a1.h4"] == pytest.approx(alone.faithfulness.value)
    assert "".join(found.prompts[0].clean).replace(" ", "").startswith("<bos>")


def test_tokens_without_a_tokenizer_are_numbers():
    """As in a task of ids."""
    assert token_texts([5, 12], None) == ("#5", "#12")


def test_a_leading_space_of_sentencepiece_is_kept():
    """Its decoder drops the space of a token on its own."""

    class Tokenizer:
        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return ["\u2581the", "re"]

        def decode(self, ids: list[int], **_: Any) -> str:
            return {1: "the", 2: "re"}[ids[0]]

    assert token_texts([1, 2], Tokenizer()) == (" the", "re")
