"""Path patching equals plain runs of one prompt, written as the papers define them."""

from __future__ import annotations

import pytest
import torch

import circuitsearch as cs
from circuitsearch.ablation import Zero
from circuitsearch.engine.pair import bytes_per_prompt
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.graph import Graph
from circuitsearch.methods import direct_effect, direct_sweep, path_effect, paths, sender_effect, sender_sweep
from circuitsearch.methods.exact import Exact
from circuitsearch.methods.path_names import path_edges
from circuitsearch.models.describe import describe
from circuitsearch.task import Task
from tests.conftest import blind_to, mixed_task, random_task, slow_but
from tests.engine.plain import PlainRun, described, plain_circuit, plain_writes
from tests.methods.by_hand_paths import two_hooked_runs

LONG = ["a0.h1->m0->a1.h2<k>->logits", "embed->a0.h3<v>->a1.h0<v>->m1->logits", "m0->a1.h3<q>->logits"]
PARALLEL = ["a0.h1->a1.h2<k>->logits", "embed->m0->a1.h0<v>->logits", "m0->a1.h3<k>->logits"]
SENDERS = [("a0.h1",), ("embed",), ("m0",), ("a0.h0", "a0.h3"), ("a0.h2", "m0", "a1.h1")]
RECEIVERS = [
    ("logits",),
    ("a1.h2<k>",),
    ("a1.h0<q>", "a1.h3<v>", "m1"),
    ("a0.h1<v>", "a1.h2<k>"),  # m0, between them, has one value for the second, and another for all others
    ("a0.h1<v>", "m0", "a1.h2<k>", "logits"),
]


def one_after_another(model, task: Task, edges: list[tuple[int, int]], ablated_of=None) -> torch.Tensor:
    """Metric (N,) with one path patched: each edge cut in a run of its own, whose result the next one carries."""
    values = []
    graph = described(model).graph
    for row in range(len(task)):
        carried = plain_writes(model, task.corrupt[row]) if ablated_of is None else ablated_of(row)
        for place, (writer, reader) in enumerate(edges):
            kept = graph.mask.clone()
            kept[writer, reader] = False
            run = PlainRun(model, task.clean[row], kept, carried)
            carried = torch.zeros_like(carried)
            if place + 1 < len(edges):
                following = edges[place + 1][0]
                carried[following] = run.writes[following]
        batch = next(iter(task.subset([row]).batches()))
        values.append(task.metric(run.logits[task.position[row]][None], batch))
    return torch.cat(values)


def clean_metric(model, task: Task) -> torch.Tensor:
    return plain_circuit(model, task, described(model).graph.mask)


# ---- one path


def test_a_path_is_one_run_an_edge(any_model):
    """Paths of two to four edges, through heads and MLPs, alone: each run hands on one write (Goldowsky-Dill et al.)."""
    experiment = cs.Experiment(any_model, task := random_task(n=2, length=6, differs_at=2))
    graph, clean = experiment.graph, clean_metric(any_model, task)
    for path in PARALLEL if graph.parallel else LONG:
        slow = clean - one_after_another(any_model, task, path_edges(graph, path))
        assert path_effect(experiment, task, path) == pytest.approx(float(slow.mean()), abs=1e-10), path
        assert slow.abs().max() > 1e-3


def test_a_path_that_ends_at_a_port_goes_on_every_way(any_model):
    """Above its last port everything answers; what its components give elsewhere is held still."""
    experiment = cs.Experiment(any_model, task := random_task(n=2, length=6, differs_at=2))
    graph, clean = experiment.graph, clean_metric(any_model, task)
    for path in ("embed->a0.h3<k>", "embed->a0.h1<k>->a1.h0<v>", "embed->m0->a1.h2<k>"):
        slow = clean - one_after_another(any_model, task, path_edges(graph, path))
        assert path_effect(experiment, task, path) == pytest.approx(float(slow.mean()), abs=1e-10), path


def test_a_path_of_one_edge_is_its_exact_score(gpt2):
    """One edge, into a port or the logits, and other tools' spellings of it."""
    task = mixed_task()
    edges = (("a0.h1", "a1.h2<k>"), ("m0", "logits"))
    scores = score(gpt2, task, Exact(edges=edges))
    for edge in edges:
        assert path_effect(gpt2, task, [edge]) == pytest.approx(scores[edge], abs=1e-10)
        assert direct_effect(gpt2, task, *edge) == pytest.approx(scores[edge], abs=1e-10)
    assert path_effect(gpt2, task, "0.1 -> 1.2<k>") == pytest.approx(scores[edges[0]], abs=1e-10)
    assert path_effect(gpt2, task, "L0H1->blocks.1.hook_k_input[:, :, 2]") == pytest.approx(scores[edges[0]], abs=1e-10)


def test_a_shared_port_goes_on_through_the_head_that_is_named(grouped):
    """Two heads share the port: the paths through them differ, and name the same port."""
    graph = describe(grouped).graph
    assert path_edges(graph, "a0.h0->a1.h2<k>->logits")[0] == path_edges(graph, "a0.h0->a1.h3<k>->logits")[0]
    task = random_task(n=2, length=6)
    one, other = (path_effect(grouped, task, f"a0.h0->a1.{head}<k>->logits") for head in ("h2", "h3"))
    assert abs(one - other) > 1e-6
    assert path_effect(grouped, task, [("a0.h0", "a1.kv1<k>"), ("a1.h3", "logits")]) == other


# ---- senders and receivers


def test_direct_edges_are_one_plain_run(any_model):
    """The edges from senders to receivers cut, everything above them computed anew."""
    task = random_task(n=2, length=6, differs_at=2)
    graph = describe(any_model).graph
    senders, receivers = ["embed", "a0.h1"], ["a1.h2<k>", "a1.h0<q>", "logits"]
    kept = graph.mask & ~graph.edge_mask((sender, receiver) for sender in senders for receiver in receivers)
    slow = clean_metric(any_model, task) - plain_circuit(any_model, task, kept)
    assert direct_effect(any_model, task, senders, receivers) == pytest.approx(float(slow.mean()), abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("receivers", slow_but(RECEIVERS[2:4], RECEIVERS), ids="+".join)
def test_sender_effects_are_two_hooked_runs(any_model, receivers):
    """Wang et al.'s two runs, with receivers in one layer and in several, between which MLPs have two values."""
    experiment = cs.Experiment(any_model, task := random_task(n=2, length=6, differs_at=2))
    graph, clean = experiment.graph, clean_metric(any_model, task)
    for senders in SENDERS:
        last = max(graph.find_reader(name) for name in receivers)
        if not all(graph.mask[graph.find_writer(name), last] for name in senders):
            continue
        slow = clean - two_hooked_runs(any_model, task, senders, receivers)
        assert sender_effect(experiment, task, senders, receivers) == pytest.approx(float(slow.mean()), abs=1e-10)


def test_other_ablations_travel_as_well(gpt2):
    """With zeros in place of the corrupt prompt's values, along a path and by two runs."""
    task = random_task(n=2, length=6)
    path = "a0.h1->m0->a1.h2<k>->logits"
    zero = torch.zeros_like(plain_writes(gpt2, task.clean[0]))
    clean = clean_metric(gpt2, task)
    slow = clean - one_after_another(gpt2, task, path_edges(describe(gpt2).graph, path), lambda _: zero)
    assert path_effect(gpt2, task, path, ablation=Zero()) == pytest.approx(float(slow.mean()), abs=1e-10)
    slow = clean - two_hooked_runs(gpt2, task, ["a0.h1"], ["a1.h2<k>", "logits"], zero=True)
    found = sender_effect(gpt2, task, "a0.h1", ["a1.h2<k>", "logits"], ablation=Zero())
    assert found == pytest.approx(float(slow.mean()), abs=1e-10)


@pytest.mark.parametrize(("sweep", "single"), [(direct_sweep, direct_effect), (sender_sweep, sender_effect)])
def test_a_sweep_is_its_senders_one_by_one(any_model, sweep, single):
    """Every writer that stands before a receiver has its own effect, every other one has none."""
    task, receivers = mixed_task(), ["a1.h2<k>", "m0", "a1.h1<q>"]
    experiment = cs.Experiment(any_model, task)
    effects = sweep(experiment, task, receivers)
    graph = effects.graph
    for writer in ("embed", "a0.h0", "a0.h2", "m0", "a1.h3"):
        if effects.connected[graph.find_writer(writer)]:
            assert effects[writer] == pytest.approx(single(experiment, task, writer, receivers), abs=1e-10)
            assert effects[writer] != 0
        else:
            assert effects[writer] == 0
    assert effects.heads.shape == (2, 4) and effects.mlps.shape == (2,)
    assert effects.heads[0, 2] == effects["a0.h2"] and effects.mlps[0] == effects["m0"]


def test_a_sweep_of_some_senders(gpt2):
    """They have the effects of the whole sweep, and all other writers none."""
    task, some = mixed_task(), ["a0.h2", "m0"]
    whole, part = (direct_sweep(gpt2, task, "a1.h2<k>", senders=senders).values for senders in (None, some))
    chosen = [verified(gpt2).graph.find_writer(name) for name in some]
    assert part[chosen].tolist() == pytest.approx(whole[chosen].tolist(), abs=1e-12)
    assert part.count_nonzero() == 2 < whole.count_nonzero()


@pytest.mark.parametrize("sweep", [direct_sweep, sender_sweep])
def test_memory_and_order_change_nothing(sweep, gpt2, monkeypatch):
    """Any memory, any number of senders at once and any order of prompts give the same effects."""
    task, receivers = mixed_task(), ["a0.h1<v>", "a1.h2<k>", "logits"]
    reference = sweep(gpt2, task, receivers).values
    shuffled = task.subset([5, 0, 8, 3, 7, 1, 6, 2, 4])
    monkeypatch.setattr(paths, "SENDERS_AT_ONCE", 4)
    for rows in (1, 3):
        memory = rows * bytes_per_prompt(verified(gpt2), task.max_length)
        assert (sweep(gpt2, shuffled, receivers, memory=memory).values - reference).abs().max() < 1e-10


def test_nothing_travels_where_clean_is_corrupt(gpt2):
    """With no change at the sender there is no effect, along whatever path."""
    same = random_task(1)
    model = blind_to(gpt2, same)
    assert abs(path_effect(model, same, "a0.h1->a1.h2<k>->logits")) < 1e-12
    assert direct_sweep(model, same, "a1.h2<k>").values.abs().max() < 1e-12
    assert sender_sweep(model, same, ["a1.h2<k>", "logits"]).values.abs().max() < 1e-12


# ---- results and errors


def test_progress_runs_to_the_end(gpt2):
    """Steps grow, and the last one is all."""
    steps: list[tuple[int, int]] = []
    sender_sweep(gpt2, mixed_task(), "logits", progress=lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps) and steps[-1][0] == steps[-1][1]


def test_effects_name_their_senders(gpt2):
    """The strongest come first, and only those from which a path leads are named."""
    effects = sender_sweep(gpt2, random_task(), "a1.h2<k>")
    values = [abs(value) for _, value in effects.top()]
    assert values == sorted(values, reverse=True) and len(values) == len(effects.to_dict()) == 6
    assert dict(effects.top()) == effects.to_dict()
    assert effects.top(1)[0][1] == effects[effects.top(1)[0][0]]
    assert "a1.h2<k>" in repr(effects) and "without another head" in repr(effects)


def test_the_model_is_left_as_it_was(gpt2):
    """No hook and no forward of ours stays."""
    sender_sweep(gpt2, random_task(), "logits")
    assert not any("forward" in vars(module) for module in gpt2.modules())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("a0.h0", "is not a path"),
        ("a0.h0->", "is not a path"),
        ([], "has no edge"),
        ("a0.h0->a1.h2", "a1.h2 is a head"),
        ("a0.h0->a1.h2->logits", "a1.h2 is a head"),
        ("a0.h0->embed", "unknown reader 'embed'"),
        ("a9.h0->logits", "unknown writer 'a9.h0'"),
        ("a1.h0->a0.h1<k>->logits", "must come later"),
        ("a0.h0->a1.h2<k>->m0->logits", "must come later"),
        ("a0.h0->logits->logits", "nothing comes after"),
        ([("a0.h0", "a1.h2<k>"), ("a1.h0", "logits")], "cannot continue from a1.kv1<k> to a1.h0: the port feeds a1.h2, a1.h3"),
        ([("a0.h0", "logits"), ("a1.h0", "logits")], "the port feeds nothing"),
        ("a0.h0->a1.kv1<k>->logits", "feeds a1.h2, a1.h3: name the one .* as in a1.h2<k>"),
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(path, sentence):
    """With one sentence that says why."""
    with pytest.raises(InputError, match=sentence):
        path_edges(Graph(2, 4, 2), path)


@pytest.mark.parametrize(
    ("senders", "receivers", "sentence"),
    [
        ([], "logits", "there is no sender"),
        ("a0.h0", (), "there is no receiver"),
        ("a1.h0", ["a0.h1<k>", "a1.h1<q>"], "a1.h0 comes before none of the receivers"),
        ("a0.h0", "a1.h1", "a1.h1 is a head"),
        ("a0.h0<q>", "logits", "unknown writer"),
    ],
)
@pytest.mark.parametrize("effect", [direct_effect, sender_effect])
def test_senders_and_receivers_must_make_sense(gpt2, effect, senders, receivers, sentence):
    """With one sentence that says why."""
    with pytest.raises(InputError, match=sentence):
        effect(gpt2, random_task(), senders, receivers)


# ---- the bundled model


@pytest.mark.rounded
def test_the_previous_token_head_works_through_the_keys_of_induction_heads():
    """In pico a0.h0 is the strongest head into the induction heads' keys, by both definitions, and a path's sign is ours."""
    model, tokenizer = cs.load("pico")
    task = cs.tasks.induction(tokenizer, n=16, seed=0)
    keys = [f"{head}<k>" for head in ("a1.h2", "a1.h3", "a1.h6")]
    for sweep in (direct_sweep, sender_sweep):
        effects = sweep(model, task, keys)
        assert int(effects.heads.argmax()) == 0 and effects["a0.h0"] > 0.5
    paths = [path_effect(model, task, f"a0.h0->{key}->logits") for key in keys]
    assert max(paths) > 0.1
