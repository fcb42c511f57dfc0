"""Detectors find the heads that are known to play a role, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.engine.working_memory import WorkingMemory
from circuitsearch.granularity import Granularity
from circuitsearch.instruments.detectors import Copying, Inputs, Vocabulary
from circuitsearch.instruments.prompts import drawn_twice
from circuitsearch.instruments.subject import Subject
from circuitsearch.models.describe import describe
from circuitsearch.models.planted import induction_model
from tests.conftest import tiny_model
from tests.instruments import by_hand

HEADS = cs.instruments.head_roles


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        # An induction head and a name mover say what they look at: by their definitions they are copying heads as well.
        (induction_model, {"a0.h0": {"previous token"}, "a1.h1": {"induction", "copying"}}),
        (by_hand.duplicate, {"a0.h1": {"duplicate token"}}),
        (by_hand.copier, {"a0.h1": {"copying"}}),
        (lambda: by_hand.mover(1.0), {"a1.h0": {"name mover", "copying"}}),
        (lambda: by_hand.mover(-1.0), {"a1.h0": {"negative mover"}}),
        (by_hand.suppressor, {"a0.h0": {"copying"}, "a1.h1": {"copy suppression"}}),
        (by_hand.inhibited, {"a0.h0": {"S-inhibition"}, "a1.h1": {"name mover", "copying"}}),
        (by_hand.blank, {}),
    ],
    ids=["induction", "duplicate", "copier", "mover", "negative", "suppressor", "inhibited", "blank"],
)
def test_heads_set_by_hand_are_found_by_their_own_detector(make: Callable[[], Any], expected: dict[str, set[str]]):
    """Each role, played by weights set for it, is given to that head and to no other."""
    found = HEADS(make(), by_hand.names(), shuffles=3)
    assert {head: set(roles) for head, roles in found.by_head.items()} == expected


@pytest.fixture(scope="module")
def pico_roles(pico: Any):
    """The bundled model's heads."""
    model, tokenizer = pico
    return HEADS(model, cs.tasks.ioi(tokenizer, n=32, seed=0), tokenizer=tokenizer, shuffles=2)


@pytest.mark.parametrize(
    ("role", "heads"),
    [
        ("previous token", {"a0.h0"}),
        ("induction", {"a1.h2", "a1.h3", "a1.h6"}),
        ("name mover", {"a2.h0"}),
        ("S-inhibition", {"a1.h0", "a1.h1", "a1.h4", "a1.h5", "a1.h7"}),
    ],
)
def test_pico_heads_rank_first(pico_roles: Any, role: str, heads: set[str]):
    """The heads that pico's card and its circuits name come first in their detector, and are given the role."""
    assert {head for head, _ in pico_roles.ranked(role)[: len(heads)]} == heads
    assert all(role in pico_roles.by_head[head] for head in heads)


@pytest.mark.parametrize(
    "nodes", [Granularity(merged_heads=True), Granularity(spans=("IO", "END")), Granularity(neurons=(0,))], ids=str
)
def test_roles_are_of_heads_whatever_the_nodes(nodes: Granularity):
    """An experiment of merged heads, spans or neurons gives the same scores, S-inhibition among them."""
    model, task = by_hand.inhibited(), by_hand.names()
    plain = HEADS(model, task, shuffles=1)
    found = HEADS(cs.Experiment(model, task, granularity=nodes), task, shuffles=1)
    assert "S-inhibition" in found.roles
    assert torch.equal(found.scores, plain.scores)


def test_each_role_says_what_it_means(pico_roles: Any):
    """Every score comes with its definition, its null's, its paper and its unit; nothing was left out."""
    told = (pico_roles.definitions, pico_roles.null_definitions, pico_roles.papers, pico_roles.units)
    assert all(len(each) == len(pico_roles.roles) == 8 and all(each) for each in told)
    assert pico_roles.left_out == ()
    with pytest.raises(cs.InputError, match="induction"):
        pico_roles.ranked("inductoin")


def test_without_spans_movers_are_left_out():
    """A task that names no spans shows what needs none, and says what it could not look for."""
    found = HEADS(induction_model(), shuffles=1)
    assert "induction" in found.roles and "name mover" not in found.roles
    assert any("name mover" in line and "IO" in line for line in found.left_out)


@pytest.mark.parametrize("name", ["llama-grouped", "gemma2", "falcon_h1", "bloom"])
def test_other_architectures(name: str):
    """Grouped heads, norms after attention, mixers beside it and alibi are scored too."""
    found = HEADS(tiny_model(name), by_hand_ids(), shuffles=1)
    assert found.scores.shape[2] == 4 and found.scores.isfinite().all()


def by_hand_ids() -> Any:
    """The task of names, whose ids fit any tiny model."""
    return by_hand.names(n=6)


def test_no_heads_are_refused():
    """A model of mixers alone has no heads to look at, and a null needs a shuffle."""
    with pytest.raises(cs.InputError, match="no heads"):
        HEADS(tiny_model("mamba"))
    with pytest.raises(cs.InputError, match="shuffle"):
        HEADS(induction_model(), shuffles=0)


@pytest.mark.parametrize("name", ["gpt2", "llama-grouped", "gemma2"])
def test_copying_is_what_the_whole_path_does_to_every_token(name: str):
    """From the matrix of all tokens' logits on all tokens: the mean of its diagonal, over the root mean square of its entries."""
    described = describe(tiny_model(name))
    norm, model = described.final_norm, described.model
    read, written = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    _, part = next(described.heads)
    found = Vocabulary.of(described).raised(part)
    for head in range(part.n_heads):
        weights = part.v.weight[head // (part.n_heads // len(part.v.features))]  # (K, D)
        normed = (read - read.mean(-1, keepdim=True) if part.norm.centred else read) * part.norm.gain
        stream = normed @ weights.T @ part.output_weight[head]
        stream = (stream - stream.mean(-1, keepdim=True) if norm.centred else stream) * norm.gain
        logits = stream @ written.T  # (vocabulary, vocabulary)
        logits = logits - logits.mean(0) - logits.mean(1, keepdim=True) + logits.mean()
        expected = logits.diagonal().mean() / logits.square().mean().sqrt()
        torch.testing.assert_close(found[head], expected.detach())


def test_the_null_of_copying_is_the_largest_of_many_random_logits():
    """Of 40 normal numbers the largest is above it in two samples of three, as its chance is 1 - (1 - 1/40)^40."""
    described = describe(tiny_model("gpt2"))
    twice, start, half = drawn_twice(described, 1)
    chance = Copying().chance(Inputs(Subject(described, WorkingMemory()), twice, start, half, (), None))
    samples = torch.randn(20_000, 40, generator=torch.Generator().manual_seed(0)).amax(1)
    assert chance.shape == (2, 4) and len(chance.unique()) == 1
    assert float((samples > chance[0, 0]).double().mean()) == pytest.approx(1 - (1 - 1 / 40) ** 40, abs=0.01)
