"""What is added is found again, by every condition, and comes out as it went in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.library import Edge, Library, Match
from circuitsearch.library.store import reading
from tests.library.conftest import COPY, GRAPH, MakeRun


def ids(found: tuple[Match, ...]) -> list[int]:
    return [each.entry.id for each in found]


# ---- adding


def test_the_same_run_added_twice_is_one_entry(library: Library, make_run: MakeRun):
    """By the digest of the circuit and its setup; another seed is another entry."""
    first, again = library.add(make_run("one")), library.add(make_run("two"))
    assert (first.new, again.new) == (True, False) and first.entry.id == again.entry.id and len(library) == 1
    assert library.add(make_run("three", seed=1)).new and len(library) == 2


def test_a_circuit_gains_what_its_run_has(library: Library, make_run: MakeRun):
    """A lone file first, then the run with report, roles and folder, then the file again, which takes nothing away."""
    run = make_run(roles={"a1.h2": "copying"})
    bare = library.add(run / "circuit.json").entry
    assert bare.form == "circuit" and bare.folder == "" and bare.faithfulness != bare.faithfulness
    full = library.add(run).entry
    assert (full.id, full.form, full.folder) == (bare.id, "run", str(run)) and full.faithfulness == 0.912
    assert library.search(role="copying")[0].uses[0].node == "a1.h2"
    assert library.add(run / "circuit.json").entry == full and "report.json" in library.files(full.id)


def test_what_is_removed_leaves_nothing(library: Library, make_run: MakeRun):
    """No row, text or name of it; what is added again comes in anew, and other circuits stay as they are."""
    kept = library.add(make_run("one"), model="small").entry
    gone = library.add(make_run("two", task="induction", roles={"a1.h2": "copying"}), model="small").entry
    assert library.remove(gone.id, gone.id) == (gone,) and library.entries() == (kept,)
    assert library.search("copying") == () and library.files(kept.id) and len(library.search("ioi")) == 1
    with reading(library.path) as db:
        for table in ("nodes", "edges", "ports", "files", "texts"):
            assert db.execute(f"SELECT count(*) FROM {table} WHERE circuit = ?", [gone.id]).fetchone()[0] == 0
        assert db.table("models").count == 1
    library.remove(kept.id)
    with reading(library.path) as db:
        assert db.table("models").count == 0
    assert library.add(make_run("three")).new and library.entries()[0].model_name == ""
    library.check()


def test_nothing_is_removed_if_one_is_unknown(library: Library, make_run: MakeRun):
    """Nor is a library made where there is none."""
    entry = library.add(make_run()).entry
    with pytest.raises(InputError, match="'9'"):
        library.remove(entry.id, 9)
    assert library.entries() == (entry,)
    nowhere = Library(library.path.with_name("nowhere.db"))
    with pytest.raises(InputError, match="there is no library"):
        nowhere.remove(1)
    assert not nowhere.path.exists()


def test_a_model_has_one_name(library: Library, make_run: MakeRun):
    """A name that is read is that of all circuits of the same weights, and one that is given takes its place."""
    entry = library.add(make_run("one")).entry
    assert entry.model_name == "" and entry.of_model == "w"
    library.add(make_run("two", seed=1), model="gpt2")
    assert [each.of_model for each in library.entries()] == ["gpt2", "gpt2"]
    library.add(make_run("three", seed=2), model="GPT-2 small")
    assert {each.of_model for each in library.entries(model="gpt-2 SMALL")} == {"GPT-2 small"}


def test_roles_and_the_models_name_are_read_from_the_page(library: Library, make_run: MakeRun):
    """Of a run without roles.json; a page without data, or with other data, is no error."""
    run = make_run()
    data = '{"about": {"model": "gpt2"}, "roles": {"a0.h1": ["previous token", "copying"]}}'
    (run / "circuit.html").write_text(f'<html><script type="application/json" id="data">{data}</script></html>')
    assert library.add(run).entry.of_model == "gpt2"
    (use,) = library.search(role="previous")[0].uses
    assert (use.node, use.role) == ("a0.h1", "previous token, copying")
    for seed, text in enumerate(("", '<script type="application/json" id="data">[1]</script>'), 1):
        other = make_run(f"run-{seed}", seed=seed)
        (other / "circuit.html").write_text(text)
        assert library.add(other).new


def test_circuits_of_other_programs_are_added(library: Library, tmp_path: Path):
    """Read by the formats' readers; the same file for another model is another entry."""
    graph = Graph(2, 4, 4)
    circuit = Circuit.from_edges(graph, [("embed", "a1.h3<v>"), ("a1.h3", "logits")])
    cs.export(circuit, tmp_path / "eap.json", to="eap-ig(d_model=8)")
    entry = library.add(tmp_path / "eap.json", model="gpt2", task="ioi", sign="supports").entry
    assert entry.n_edges == 2 and entry.of_model == "gpt2" and "EAP-IG" in entry.form
    assert library.circuit(entry.id).edges == circuit.edges
    assert library.add(tmp_path / "eap.json", model="gpt2-xl", task="ioi", sign="supports").new
    (tmp_path / "edges.json").write_text('[["tok_embeds", "a0.h1.q"], ["a0.h1", "m0"], ["m0", "resid_post"]]')
    assert library.add(tmp_path / "edges.json", of=Graph(1, 2, 2), model="gpt2").entry.notes


def test_what_cannot_be_added_is_refused_and_leaves_nothing(library: Library, tmp_path: Path):
    """A folder without a circuit, a file that is none; no library is made."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.json").write_text("{")
    for source, said in (("empty", "has no circuit.json"), ("text.json", "not JSON"), ("nowhere", "nowhere")):
        with pytest.raises(InputError, match=said):
            library.add(tmp_path / source)
    assert not library.path.exists()


# ---- searching


def use_of(graph: Graph, circuit: Circuit, head: str) -> tuple[set[str], set[str]]:
    """The oracle: edges into and out of a head. What a group shares is read by those of its heads that write, or by all if none does."""
    layer, index = (int(number) for number in head[1:].split(".h"))
    share = graph.n_heads // graph.n_kv_heads
    group = {f"a{layer}.h{other}" for other in range(index // share * share, index // share * share + share)}
    owner = head if share == 1 else f"a{layer}.kv{index // share}"
    writing = {writer for writer, _ in circuit.edges} & group
    readers = {f"{head}<q>"} | ({f"{owner}<k>", f"{owner}<v>"} if head in writing or not writing else set())
    into = {f"{u}->{v}" for u, v in circuit.edges if v in readers}
    return into, {f"{u}->{v}" for u, v in circuit.edges if u == head}


@pytest.mark.parametrize("graph", [Graph(2, 4, 4), Graph(2, 4, 2), Graph(3, 4, 1)], ids=str)
def test_every_head_is_found_with_its_edges(library: Library, make_run: MakeRun, graph: Graph):
    """In random circuits, those that have edges into it or out of it, and these edges."""
    rng, circuits = random.Random(0), {}
    for seed in range(4):
        edges = rng.sample(list(graph.edges(graph.mask)), 12)
        entry = library.add(make_run(f"run-{seed}", edges, graph=graph, seed=seed)).entry
        circuits[entry.id] = Circuit.from_edges(graph, edges)
    for head in [name for name in graph.writers if ".h" in name]:
        uses = {each.entry.id: each.uses[0] for each in library.search(head=head)}
        found = {
            key: tuple({edge.name for edge in edges} for edges in (use.incoming, use.outgoing))
            for key, use in uses.items()
        }
        expected = {key: use_of(graph, circuit, head) for key, circuit in circuits.items()}
        assert found == {key: edges for key, edges in expected.items() if any(edges)}


@pytest.mark.parametrize("spelling", ["a1.h2", "1.2", "L1H2", "A1.2", "blocks.1.attn.hook_z.2"])
def test_a_head_is_found_in_every_spelling(library: Library, make_run: MakeRun, spelling: str):
    """Those that names.py knows; its inputs are those of its own and of its group's ports."""
    library.add(make_run(roles={"a1.h2": "copying"}))
    (match,) = library.search(head=spelling)
    (use,) = match.uses
    assert (use.node, use.role) == ("a1.h2", "copying")
    assert {edge.name for edge in use.incoming} == {"embed->a1.kv1<k>", "a0.h1->a1.h2<q>"}
    assert use.outgoing == (Edge("a1.h2->logits", None),)


@pytest.mark.parametrize(
    ("edge", "found"),
    [
        ("a0.h1->a1.h2<q>", ["a0.h1->a1.h2<q>"]),
        ("0.1->1.2", ["a0.h1->a1.h2<q>"]),
        ("input->a1.h2", ["embed->a1.kv1<k>"]),
        ("input->1.2<k>", ["embed->a1.kv1<k>"]),
        ("embed->a1.kv1<k>", ["embed->a1.kv1<k>"]),
        ("embed->a1.h2<v>", None),
        ("L1H2->logits", ["a1.h2->logits"]),
        ("m0->output", ["m0->logits"]),
        ("a1.h3->logits", None),
    ],
)
def test_an_edge_is_found_in_every_spelling(library: Library, make_run: MakeRun, edge: str, found: list[str] | None):
    """A head as reader stands for all its ports; a port of a group is that of each of its heads."""
    library.add(make_run())
    assert [[each.name for each in match.edges] for match in library.search(edge=edge)] == (
        [] if found is None else [found]
    )


def test_nodes_of_spans_are_found_by_component_and_by_span(library: Library, make_run: MakeRun):
    """a0.h1 is any of its spans, a0.h1@END one."""
    graph = Graph(1, 2, 2, granularity=cs.Granularity(spans=("IO", "END")))
    edges = [("embed@IO", "a0.h1<v>@IO"), ("a0.h1@END", "logits"), ("a0.h0@IO", "logits")]
    library.add(make_run(edges=edges, graph=graph))
    assert {use.node for use in library.search(head="0.1")[0].uses} >= {"a0.h1@END"}
    assert [use.node for use in library.search(head="0.1@END")[0].uses] == ["a0.h1@END"]
    assert not library.search(head="0.0@END") and library.search(edge="0.0@IO->logits")


def test_conditions_on_circuits(library: Library, make_run: MakeRun):
    """Model, task, size, faithfulness with its low end; all of them together."""
    library.add(make_run("one", faithfulness=(0.95, 0.90, 0.99)), model="small")
    library.add(make_run("two", COPY[3:], seed=1, task="induction", weights="x" * 64, faithfulness=(0.95, 0.70, 1.2)))
    assert ids(library.search(model="small")) == [1] and ids(library.search(model="x" * 8)) == [2]
    assert ids(library.search(task="INDUCTION")) == [2] and ids(library.search(size="3..")) == [1]
    assert ids(library.search(size=(2, 2))) == [2] and ids(library.search(size="2")) == [2]
    assert ids(library.search(faithfulness="0.9..1")) == [1, 2] and ids(
        library.search(faithfulness="0.9..", low=0.8)
    ) == [1]
    assert ids(library.search(ids=(2, 7))) == [2] and not library.search(task="ioi", size="..2")


def test_roles_and_words(library: Library, make_run: MakeRun):
    """Roles by a part of them, with a head on this one; words in roles, reports and what the task is."""
    library.add(make_run("one", roles={"a1.h2": "Duplicate token", "a0.h1": "previous token"}))
    library.add(make_run("two", seed=1, task="induction"))
    assert [use.node for use in library.search(role="token")[0].uses] == ["a0.h1", "a1.h2"]
    assert ids(library.search(head="1.2", role="duplicate")) == [1] and not library.search(head="0.1", role="duplicate")
    assert ids(library.search("duplicate token")) == [1] and ids(library.search("a1.h2")) == [1]
    assert ids(library.search("induction")) == [2] and {*ids(library.search("held-out prompts"))} == {1, 2}
    assert not library.search("nonsense") and ids(library.search(" ")) == [1, 2]


@pytest.mark.parametrize(
    "words", ['"', "a AND", "NEAR(", "*", "'; DROP TABLE circuits; --", "task:ioi", "\x00", "(" * 999]
)
def test_no_words_are_syntax(library: Library, make_run: MakeRun, words: str):
    """Whatever is typed is searched for, in texts as in names."""
    library.add(make_run())
    library.search(words)
    assert not library.search(model=words) and not library.search(role=words) and len(library) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"head": "x9"}, {"head": "a1.h2<z>"}, {"edge": "a1.h2"}, {"edge": "a1.h2<q>->logits"}, {"edge": "logits->m0"},
        {"size": "9..2"}, {"size": "many"}, {"size": ""}, {"faithfulness": "nan"}, {"colour": "blue"},
    ],
)  # fmt: skip
def test_wrong_conditions_are_one_sentence(library: Library, make_run: MakeRun, wrong: dict[str, str]):
    """Before the library is read."""
    library.add(make_run())
    with pytest.raises(InputError):
        library.search(**wrong)  # pyright: ignore[reportArgumentType]


def test_the_circuit_comes_back(library: Library, make_run: MakeRun):
    """With its setup; a number that is not in the library is refused."""
    run = make_run()
    identity = library.add(run).entry.id
    assert library.circuit(identity).to_dict() == Circuit.load(run / "circuit.json").to_dict()
    assert library.circuit(identity).graph == GRAPH
    with pytest.raises(InputError, match="unknown circuit of the library '7'"):
        library.circuit(7)
