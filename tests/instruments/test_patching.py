"""Activation patching and causal tracing against runs patched by hand, and where they must change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.instruments.patching import SITES, Site
from circuitsearch.instruments.tracing import ROLES, probability
from tests.conftest import blind_to, mixed_task, random_task, tiny_model

LOOK = cs.instruments
BOTH = pytest.mark.parametrize("noising", [False, True], ids=["denoising", "noising"])


def there(experiment: cs.Experiment, site: Site) -> bool:
    """Whether a model has the site at all."""
    try:
        LOOK.activation_patching(experiment, random_task(1), site)
    except cs.InputError:
        return False
    return True


@BOTH
def test_a_run_patched_into_itself_changes_nothing(any_model, noising: bool):
    """Where the model does not tell clean and corrupt prompts apart every site's effects are nought."""
    task = random_task(2, 6)
    experiment = cs.Experiment(blind_to(any_model, task), task)
    for site in SITES.values():
        if there(experiment, site):
            found = LOOK.activation_patching(experiment, task, site, noising=noising)
            assert float(found.effects.abs().max()) < 1e-9, site.name


@BOTH
def test_the_whole_stream_carries_the_whole_effect(any_model, noising: bool):
    """At the end where the metric reads, and at the beginning where the prompts differ, all of it is restored."""
    task = random_task()
    found = LOOK.activation_patching(any_model, task, noising=noising)
    whole = found.clean - found.corrupt
    assert abs(found["end", found.columns[-1]] - whole) < 1e-9
    assert abs(found["0", found.columns[3]] - whole) < 1e-9
    assert float(found.effects[0, :3].abs().max()) < 1e-9  # the prompts are the same there


Cut = Callable[[Tensor, Tensor], Tensor]  # (this run's, the other's) -> what goes on


def by_hand(model: Any, task: cs.Task, module: Any, before: bool, cut: Cut) -> float:
    """Mean rise of the metric when part of what goes into, or comes out of, a module is the clean run's."""
    batch, kept = next(iter(task.batches(share_prefix=False))), {}
    last = len(task.clean[0]) - 1

    def keep(*args: Any) -> None:
        kept["clean"] = args[1][0] if before else args[2]

    def swap(*args: Any) -> Any:
        return (cut(args[1][0], kept["clean"]), *args[1][1:]) if before else cut(args[2], kept["clean"])

    register = module.register_forward_pre_hook if before else module.register_forward_hook
    handle = register(keep)
    model(batch.clean)
    handle.remove()
    corrupt = task.metric(model(batch.corrupt).logits[:, last], batch)
    handle = register(swap)
    patched = task.metric(model(batch.corrupt).logits[:, last], batch)
    handle.remove()
    return float((patched - corrupt).mean())


def at(place: int) -> Cut:
    """One position."""
    return lambda own, other: torch.cat([own[:, :place], other[:, place : place + 1], own[:, place + 1 :]], 1)


def features(first: int, width: int) -> Cut:
    """Some features, at all positions."""
    return lambda own, other: torch.cat(
        [own[..., :first], other[..., first : first + width], own[..., first + width :]], -1
    )


def test_positions_by_hand(gpt2):
    """Stream, attention and MLP at one position are what plain hooks on GPT-2's own modules give."""
    task, block = random_task(), gpt2.transformer.h[1]
    for site, row, module, before in (
        (LOOK.Stream(), "1", block.ln_1, None),
        (LOOK.AttentionOut(), "a1", block.attn.c_proj, True),
        (LOOK.MLPOut(), "m1", block.mlp, False),
    ):
        found = LOOK.activation_patching(gpt2, task, site)
        hooked = (
            gpt2.transformer.h[0] if before is None else module
        )  # what block 0 puts out is the stream before block 1
        for place in (3, 8):
            expected = by_hand(gpt2, task, hooked, bool(before), at(place))
            assert abs(found[row, found.columns[place]] - expected) < 1e-12, site.name


def test_heads_by_hand(grouped):
    """Heads, queries, and the groups' keys and values are what plain hooks on Llama's own projections give."""
    task, attention = random_task(), grouped.model.layers[0].self_attn
    for site, column, module, before, first in (
        (LOOK.HeadOut(), "2", attention.o_proj, True, 16),
        (LOOK.Query(), "3", attention.q_proj, False, 24),
        (LOOK.Key(), "1", attention.k_proj, False, 8),
        (LOOK.Value(), "1", attention.v_proj, False, 8),
    ):
        found = LOOK.activation_patching(grouped, task, site)
        assert len(found.columns) == (2 if site.name in "kv" else 4)
        assert abs(found["a0", column] - by_hand(grouped, task, module, before, features(first, 8))) < 1e-12, site.name


def test_patterns_by_hand(gpt2):
    """The clean pattern of one head weighs the corrupt run's values, in GPT-2's own plain code."""
    task, plain = random_task(), tiny_model("gpt2")
    plain.set_attn_implementation("eager")
    clean = plain(torch.stack(task.clean), output_attentions=True).attentions[0][:, 1]  # (B, T, T)
    block, values = gpt2.transformer.h[0].attn, {}
    handle = block.c_attn.register_forward_hook(lambda _, __, output: values.update(v=output[..., 64 + 8 : 64 + 16]))

    def cut(own: Tensor, other: Tensor) -> Tensor:
        return torch.cat([own[..., :8], clean @ values["v"], own[..., 16:]], -1)

    expected = by_hand(gpt2, task, block.c_proj, True, cut)
    handle.remove()
    assert abs(LOOK.activation_patching(gpt2, task, LOOK.Pattern())["a0", "1"] - expected) < 1e-12


@pytest.mark.rounded
def test_one_prompt_and_its_counterfactual(pico):
    """'The capital of France is' against Italy: what the country's token carries at the start, the last carries at the end."""
    model, tokenizer = pico
    pair = ("The capital of France is", "The capital of Italy is", " Paris", " Rome")
    task = LOOK.prompt_pair(tokenizer, *pair, subject="France")
    found = LOOK.activation_patching(model, task, tokenizer=tokenizer)
    assert [name.strip() for name in found.columns] == ["<bos>", "The", "capital", "of", "France", "is"]
    shares = found.shares
    assert abs(float(shares[0, 4]) - 1) < 1e-4 and abs(float(shares[-1, 5]) - 1) < 1e-4
    assert float(shares[:, :4].abs().max()) < 1e-4
    with pytest.raises(cs.InputError, match="Spain"):
        LOOK.prompt_pair(tokenizer, *pair, subject="Spain")


@pytest.mark.rounded
def test_spans_stand_for_positions(pico):
    """Prompts of several lengths need spans; without them the sentence names those that there are."""
    model, tokenizer = pico
    task = cs.tasks.ioi(tokenizer, n=12, seed=0)
    with pytest.raises(cs.InputError, match=r"S1, IO, place, S2.*of_length"):
        LOOK.activation_patching(model, task)
    found = LOOK.activation_patching(model, task, spans=["IO", "END"])
    assert found.columns == ("IO", "END") and abs(found["end", "END"] - (found.clean - found.corrupt)) < 1e-4
    with pytest.raises(cs.InputError, match="name spans in the task"):
        LOOK.logit_lens(tiny_model("gpt2"), mixed_task())


def test_what_is_not_there_is_refused():
    """A model of mixers alone has no heads, queries or patterns to patch."""
    for site in (LOOK.HeadOut(), LOOK.Key(), LOOK.Pattern()):
        with pytest.raises(cs.InputError, match=site.name):
            LOOK.activation_patching(tiny_model("mamba"), random_task(), site)


# ---- causal tracing


def with_subject(n: int = 3, places: tuple[int, ...] = (2, 3)) -> cs.Task:
    """Random prompts whose subject is two tokens long."""
    return replace(random_task(n), spans=({"subject": places},) * n)


@pytest.mark.parametrize("site", [LOOK.Stream(), LOOK.MLPOut(), LOOK.AttentionOut()], ids=lambda site: site.name)
def test_zero_noise_changes_nothing(any_model, site: Site):
    """Without noise nothing is lost, so nothing can come back."""
    found = LOOK.causal_trace(any_model, with_subject(), "subject", site=site, noise=0.0, seeds=1)
    assert abs(found.clean - found.corrupted) < 1e-12
    assert float(found.effects.abs().max()) < 1e-12


def test_all_of_it_comes_back_at_the_end(any_model):
    """The clean stream at the last token's end is the clean answer, whatever noise there was."""
    found = LOOK.causal_trace(any_model, with_subject(), "subject", seeds=2)
    assert found.columns == ROLES[:2] + ROLES[3:]  # no middle: the subject has two tokens
    assert abs(float(found.effects[-1, -1]) - (found.clean - found.corrupted)) < 1e-9
    assert float(found.effects[:, 0].abs().max()) < 1e-12  # before the subject nothing was changed
    assert found.corrupted != found.clean and found.noise > 0


def test_one_state_restored_by_hand(gpt2):
    """Noise at the subject and the clean stream back at one place, with plain hooks."""
    task = with_subject(1)
    found = LOOK.causal_trace(gpt2, task, "subject", noise=0.7, seeds=1, by_role=False)
    noise = 0.7 * torch.randn(2, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch, blocks, clean = next(iter(task.batches(share_prefix=False))), gpt2.transformer.h, {}

    def blur(_: Any, args: Any) -> Any:
        stream = args[0].clone()
        stream[0, 2:4] += noise
        return stream, *args[1:]

    handle = blocks[1].register_forward_pre_hook(lambda _, args: clean.update(stream=args[0]))
    gpt2(batch.clean)
    handle.remove()
    handles = [blocks[0].register_forward_pre_hook(blur)]
    corrupted = probability(gpt2(batch.clean).logits[:, -1], batch)
    handles.append(blocks[1].register_forward_pre_hook(lambda _, args: (at(3)(args[0], clean["stream"]), *args[1:])))
    restored = probability(gpt2(batch.clean).logits[:, -1], batch)
    for handle in handles:
        handle.remove()
    assert abs(float(found.effects[1, 3]) - float(restored - corrupted)) < 1e-12


def test_windows_restore_neighbours(gpt2):
    """A window over all blocks restores what restoring each MLP together does, whatever block it stands at."""
    found = LOOK.causal_trace(gpt2, with_subject(), "subject", site=LOOK.MLPOut(), window=8, seeds=1)
    assert torch.allclose(found.effects[0], found.effects[1])
    alone = LOOK.causal_trace(gpt2, with_subject(), "subject", site=LOOK.MLPOut(), window=1, seeds=1)
    assert not torch.allclose(alone.effects[0], alone.effects[1])


@pytest.mark.rounded
def test_country_facts_say_where_they_are(pico):
    """The verdict agrees with the numbers: pico's MLPs do not recall at the subject's last token, and it says so."""
    model, tokenizer = pico
    task = cs.tasks.country_facts(tokenizer, n=24, seed=0)
    found = LOOK.causal_trace(model, task, "country", site=LOOK.MLPOut(), seeds=2)
    assert found.clean > 0.9 and found.corrupted < 0.5
    assert found.at_subjects_last_token == (found.peak[1] == "subject, last")
    assert ("does not localise" in found.verdict) == (not found.at_subjects_last_token)
    stream = LOOK.causal_trace(model, task, "country", seeds=2)
    early = float(stream.effects[1, stream.columns.index("subject, last")])
    assert early > 0.5 * (stream.clean - stream.corrupted)  # the early site of the paper, in the stream


def test_tracing_refuses_what_makes_no_sense(gpt2):
    """Heads are no state at a token, a span must be there, noise cannot be negative."""
    wrong: dict[str, Any]
    for wrong in ({"site": LOOK.HeadOut()}, {"noise": -1.0}, {"seeds": 0}):
        with pytest.raises(cs.InputError):
            LOOK.causal_trace(gpt2, with_subject(), "subject", **wrong)
    with pytest.raises(cs.InputError, match="'country'"):
        LOOK.causal_trace(gpt2, with_subject(), "country")
