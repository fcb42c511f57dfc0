"""Names, order, edges, pruning."""

from __future__ import annotations

import json
from dataclasses import asdict

import networkx as nx
import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.reachability import components, digraph, prune


@pytest.mark.parametrize(
    ("shape", "edges"),
    [((12, 12, 12), 32_491), ((3, 4, 4), 262), ((32, 32, 8), 805_681), ((80, 64, 8), 16_654_201)],
)
def test_edge_counts_of_known_models(shape, edges):
    """GPT-2 small, the reference model, and the shapes of Llama-3 8B and 70B at their native key-value groups."""
    assert Graph(*shape).n_edges == edges


@pytest.mark.parametrize("graph", [Graph(3, 4, 4), Graph(2, 4, 2), Graph(2, 4, 1), Graph(3, 2, 2, parallel=True)])
def test_places_and_names_agree(graph):
    """Slices over rows and columns find the nodes that the names say."""
    for layer in range(graph.n_layers):
        assert graph.writers[graph.part("a", layer).rows] == tuple(f"a{layer}.h{h}" for h in range(graph.n_heads))
        assert graph.writers[graph.part("m", layer).rows] == (f"m{layer}",)
        assert graph.readers[graph.part("m", layer).columns] == (f"m{layer}<in>",)
        for port in "qkv":
            names = graph.readers[graph.port_readers(layer, port)]
            assert len(names) == graph.port_heads(port) and all(name.endswith(f"<{port}>") for name in names)
    assert graph.readers[-1] == "logits" and len(set(graph.readers)) == len(graph.readers)
    assert graph.n_edges == int(graph.mask.sum()) == len(list(graph.edges(graph.mask)))


def test_a_parallel_mlp_does_not_read_its_own_attention():
    """Beside its attention an MLP sees the stream before both; after it, the heads too."""
    edge = ("a0.h0", "m0<in>")
    assert Graph(1, 2, 2).edge_mask([edge]).any()
    with pytest.raises(InputError, match="later in the stream"):
        Graph(1, 2, 2, parallel=True).edge_mask([edge])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("9.9", "a9.h9"), ("L9H9", "a9.h9"), ("A9.H9", "a9.h9"), ("blocks.9.attn.hook_z.9", "a9.h9"),
        ("blocks.9.attn.hook_result[:, :, 9]", "a9.h9"), ("input", "embed"), ("MLP3", "m3"), ("blocks.3.hook_mlp_out", "m3"),
    ],
)  # fmt: skip
def test_other_spellings_of_writers(theirs, ours):
    """Names of EAP-IG, ACDC and TransformerLens are accepted."""
    graph = Graph(12, 12, 12)
    assert graph.writers[graph.find_writer(theirs)] == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("m3", "m3<in>"),
        ("9.9<q>", "a9.h9<q>"),
        ("blocks.9.hook_v_input[:, :, 9]", "a9.h9<v>"),
        ("blocks.11.hook_resid_post", "logits"),
    ],
)
def test_other_spellings_of_readers(theirs, ours):
    """The same for ports; an MLP's bare name is its input."""
    graph = Graph(12, 12, 12)
    assert graph.readers[graph.find_reader(theirs)] == ours


def test_a_heads_key_port_is_its_groups():
    """With grouped keys and values a head's k or v port finds the group's, and the group feeds all its heads."""
    graph = Graph(2, 4, 2)
    assert graph.readers[graph.find_reader("a1.h3<k>")] == "a1.kv1<k>"
    assert components(graph, "a1.kv1<k>") == ["a1.h2", "a1.h3"]


@pytest.mark.parametrize("name", ["a9.h0", "a0.h99", "logitz", "<q>", ""])
def test_an_unknown_node_is_an_error(name):
    """A node that the graph does not have is named, with the known ones."""
    with pytest.raises(InputError, match="unknown reader"):
        Graph(2, 4, 4).find_reader(name)


def test_prune_keeps_what_lies_on_a_path():
    """A dead end, an orphan and what only they fed go; the path stays; the argument is left as it was."""
    graph = Graph(2, 2, 2)
    path = [("embed", "a0.h0<v>"), ("a0.h0", "a1.h1<k>"), ("a1.h1", "logits")]
    dead_end, orphan = ("a0.h0", "a1.h0<q>"), ("m0", "m1<in>")
    mask = graph.edge_mask([*path, dead_end, orphan, ("m1", "logits")])
    before = mask.clone()
    assert torch.equal(prune(graph, mask), graph.edge_mask(path))
    assert torch.equal(mask, before)


def test_prune_passes_through_a_group():
    """A group's key port carries a path to every head of the group."""
    graph = Graph(1, 4, 2)
    mask = graph.edge_mask([("embed", "a0.kv1<v>"), ("a0.h3", "logits"), ("a0.h0", "logits")])
    assert set(graph.edges(prune(graph, mask))) == {("embed", "a0.kv1<v>"), ("a0.h3", "logits")}


GRAPHS = [
    Graph(2, 4, 2),
    Graph(2, 4, 4, parallel=True),
    Graph(3, 4, 2, blocks=("mixer>mlp", "heads+mixer>experts:3", "heads>neurons:5")),
    Graph(2, 4, 2, granularity=Granularity(merged_heads=True)),
    Graph(2, 4, 2, granularity=Granularity(spans=("S1", "END"))),
]


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("graph", GRAPHS, ids=repr)
def test_pruning_is_what_networkx_finds(graph, share):
    """The sweeps over blocks keep what NetworkX calls descendants of the embedding and ancestors of the logits."""
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(graph.mask.shape, generator=generator) < share) & graph.mask
    edges = digraph(graph, mask)
    sources = {name for name in graph.writers if name.startswith("embed")}
    after = sources.union(*(nx.descendants(edges, source) for source in sources))
    alive = after & (nx.ancestors(edges, "logits") | {"logits"})
    expected = {(writer, reader) for writer, reader in graph.edges(mask) if writer in alive and reader in alive}
    assert set(graph.edges(prune(graph, mask))) == expected
    assert expected


@pytest.mark.parametrize("graph", GRAPHS, ids=repr)
def test_edges_are_counted_without_the_mask(graph):
    """The number of edges is a sum over readers."""
    assert graph.n_edges == int(graph.mask.sum())


@pytest.mark.parametrize("graph", GRAPHS, ids=repr)
def test_a_graph_is_rebuilt_from_json(graph):
    """What a file holds of a graph is enough."""
    assert Graph(**json.loads(json.dumps(asdict(graph)))) == graph


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ({"n_layers": 4000}, "52,001 writers and 148,001 readers"),
        ({"n_layers": 10**12}, "1 to 10,000 blocks"),
        ({"n_layers": 0}, "1 to 10,000 blocks"),
        ({"n_heads": 10**9, "n_kv_heads": 1}, "too large"),
        ({"n_kv_heads": 5}, "12 heads cannot share 5"),
        ({"blocks": ("mlp",)}, "2 blocks"),
        ({"blocks": ("mlp", "neurons:999999999")}, "too large"),
        ({"blocks": ("mlp", "neurons:9999999999")}, "'neurons:9999999999' is not valid"),
        ({"blocks": ("mlp", "mlp>mlp")}, "'mlp>mlp' is not valid"),
        ({"blocks": ("mlp", "")}, "'' is not valid"),
        ({"granularity": {"positions": 10**12}}, "too large"),
        ({"granularity": {"neurons": [2]}}, "cannot be nodes: the graph has"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_before_it_takes_memory(graph, words):
    """Sizes are compared with what a mask may take before any name or mask is made."""
    with pytest.raises(InputError) as caught:
        Graph(**{"n_layers": 2, "n_heads": 12, "n_kv_heads": 12} | graph)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", "a@b", "a->b", "<q>", "\ud800", "\x1b", "\u202e", "\ufffe", "rest"])
def test_a_span_has_a_name_that_every_file_can_hold(name):
    """Not what a reader of files would take for something else, nor what steers a terminal or turns the text."""
    with pytest.raises(InputError, match="span"):
        Granularity(spans=("S", name))
    assert Granularity(spans=("Ελληνικά", "名前", "]]&'\"")).spans[1] == "名前"


def test_the_largest_models_have_a_graph():
    """Llama's 70 billion, and its 405 with the neurons of one block as nodes."""
    assert Graph(80, 64, 8).n_edges == 16_654_201
    assert Graph(126, 128, 8, blocks=("heads>neurons:53248", *["heads>mlp"] * 125)).n_edges > 10**9
