"""Each instrument's numbers against what a plain run of the Hugging Face model gives, in every kind of architecture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.engine.working_memory import MemoryWarning, WorkingMemory
from circuitsearch.instruments import passes
from circuitsearch.instruments.attribution import _CAPS, LogitMap
from circuitsearch.instruments.lens import TunedLens
from circuitsearch.instruments.subject import Subject, subject
from circuitsearch.instruments.words import writes
from tests.conftest import mixed_task, random_task, tiny_model

LENS = cs.instruments


def clean_logits(model: Any, task: cs.Task) -> Tensor:
    """(N, vocabulary) where the metric reads, of the model itself."""
    rows = [
        model(input_ids=ids[None], use_cache=False).logits[0, at]
        for ids, at in zip(task.clean, task.position, strict=True)
    ]
    return torch.stack(rows)


# ---- residual decomposition


def test_the_parts_add_up_to_the_stream(any_model):
    """x0 and what all parts add is the stream's end, and their shares of it add up to 1."""
    found = LENS.decompose(any_model, random_task())
    assert found.error < 1e-12
    assert float((found.shares.sum(0) - 1).abs().max()) < 1e-9


def test_stream_lengths_are_the_models_own(grouped):
    """The stream after each block is as long as Hugging Face's hidden state."""
    task = random_task()
    found = LENS.decompose(grouped, task)
    states = grouped(torch.stack(task.clean), output_hidden_states=True).hidden_states
    assert torch.allclose(found.streams[0], states[0].norm(dim=-1).mean(0))
    assert torch.allclose(found.streams[found.parts.index("m0")], states[1].norm(dim=-1).mean(0))


# ---- direct logit attribution


def test_attributions_sum_to_the_logit(every_family):
    """In every family all writers and constants sum to the logit difference, and to the logit alone, to 1e-9."""
    task = mixed_task()
    logits = clean_logits(every_family, task)
    cap = next((cap for name in _CAPS if (cap := getattr(every_family.config, name, None))), None)
    logits = logits if not cap else torch.atanh(logits / cap) * cap
    answers, wrong = torch.cat(task.answers), torch.cat(task.wrong)
    right = logits.gather(1, answers[:, None])[:, 0]
    for against, expected in ((True, right - logits.gather(1, wrong[:, None])[:, 0]), (False, right)):
        found = LENS.direct_logit(every_family, task, against_wrong=against)
        assert found.capped == bool(cap)
        assert float((found.per_prompt.sum(1) - expected).abs().max()) < 1e-9
        assert found.error < 1e-9


def test_one_heads_attribution(gpt2):
    """A head's share is its own slice of the output projection through the frozen final norm, computed by hand."""
    task, kept = random_task(1), {}
    block = gpt2.transformer.h[1].attn
    hooks = [
        block.c_proj.register_forward_pre_hook(lambda _, args: kept.update(z=args[0])),
        gpt2.transformer.ln_f.register_forward_pre_hook(lambda _, args: kept.update(end=args[0])),
    ]
    gpt2(task.clean[0][None])
    for hook in hooks:
        hook.remove()
    written = kept["z"][0, -1, 16:24] @ block.c_proj.weight[16:24]
    end, norm = kept["end"][0, -1], gpt2.transformer.ln_f
    pulled = (written - written.mean()) / (end.var(unbiased=False) + norm.eps).sqrt() * norm.weight
    direction = gpt2.lm_head.weight[task.answers[0][0]] - gpt2.lm_head.weight[task.wrong[0][0]]
    assert abs(LENS.direct_logit(gpt2, task)["a1.h2"] - float(pulled @ direction)) < 1e-12


# ---- lenses


def test_the_lens_at_the_end_is_the_model(any_model):
    """Probability, rank and entropy at the last place are those of the model's output; there is no divergence from it."""
    task = random_task()
    found = LENS.logit_lens(any_model, task)
    logits = any_model(input_ids=torch.stack(task.clean), use_cache=False).logits.log_softmax(-1)
    answers = torch.cat(task.answers)[:, None, None].expand(-1, logits.shape[1], 1)
    at = logits.gather(-1, answers)
    assert torch.allclose(found.probability[-1], at.exp()[..., 0].mean(0))
    assert torch.equal(found.rank[-1], (logits > at).sum(-1).double().mean(0))
    assert torch.allclose(found.entropy[-1], -(logits.exp() * logits).sum(-1).mean(0))
    assert float(found.kl[-1].abs().max()) == 0
    best = logits.exp().mean(0).argmax(-1).tolist()
    assert [cell[0][0] for cell in found.top[-1]] == [f"[{token}]" for token in best]


def test_the_lens_of_a_model_whose_logits_are_float32_in_any_dtype():
    """As those of Mamba, whose own code makes them so."""
    task, model = random_task(), tiny_model("mamba")
    logits = model(input_ids=torch.stack(task.clean), use_cache=False).logits.log_softmax(-1)
    assert logits.dtype == torch.float32 and next(model.parameters()).dtype == torch.float64
    found = LENS.logit_lens(model, task).entropy[-1]
    assert torch.allclose(found, -(logits.exp() * logits).sum(-1).mean(0).double(), atol=1e-5)


def test_the_lens_in_between(grouped):
    """At block 1 it is the final norm and unembedding of the hidden state there."""
    task = random_task()
    state = grouped(torch.stack(task.clean), output_hidden_states=True).hidden_states[1]
    expected = grouped.lm_head(grouped.model.norm(state)).softmax(-1)
    answers = torch.cat(task.answers)[:, None, None].expand(-1, state.shape[1], 1)
    found = LENS.logit_lens(grouped, task).probability[1]
    assert torch.allclose(found, expected.gather(-1, answers)[..., 0].mean(0))


def test_a_tuned_lens_translates(grouped):
    """A translator of noughts changes nothing; one that adds the rest of the stream makes the lens the model"""
    task, layers, width = random_task(1), 2, grouped.config.hidden_size
    plain = LENS.logit_lens(grouped, task)
    still = LENS.logit_lens(
        grouped, task, translator=TunedLens(torch.zeros(layers, width, width), torch.zeros(layers, width))
    )
    assert still.tuned and torch.equal(still.probability, plain.probability)
    streams = passes.record(subject(grouped, task).described, torch.stack(task.clean)).streams
    perfect = LENS.logit_lens(
        grouped, task, translator=lambda layer, stream: stream + (streams[-1] - streams[layer])[0]
    )
    assert float(perfect.kl.abs().max()) < 1e-12
    with pytest.raises(cs.InputError, match="tuned lens"):
        LENS.logit_lens(grouped, task, translator=TunedLens(torch.zeros(1, width, width), torch.zeros(1, width)))


@pytest.mark.rounded
def test_a_tuned_lens_is_kept_in_a_file(tmp_path):
    """It is read back as it was; a file that is none is refused."""
    lens = TunedLens(torch.randn(2, 8, 8), torch.randn(2, 8))
    lens.save(tmp_path / "lens.safetensors")
    assert torch.equal(TunedLens.load(tmp_path / "lens.safetensors").weight, lens.weight)
    with pytest.raises(cs.InputError, match="give a tuned lens"):
        TunedLens.load(tmp_path / "nowhere.safetensors")


# ---- attention patterns


def test_patterns_are_the_models_own(grouped):
    """Patterns are those that the model's plain code gives, and its setting is as it was afterwards."""
    task, own = random_task(), grouped.config._attn_implementation
    found = LENS.attention(grouped, task)
    assert grouped.config._attn_implementation == own != "eager"
    plain = tiny_model("llama-grouped")
    plain.set_attn_implementation("eager")
    expected = torch.cat(plain(torch.stack(task.clean), output_attentions=True).attentions, 1).mean(0)
    assert found.heads == tuple(f"a{layer}.h{head}" for layer in range(2) for head in range(4))
    assert torch.allclose(found.patterns, expected)


def test_patterns_of_each_prompt_are_its_own(grouped):
    """Prompts of any length in one batch: each pattern is that of the prompt alone."""
    task = mixed_task()
    found = LENS.attention_by_prompt(grouped, task, ["1.2", "a0.h0"])
    assert len({len(ids) for ids in task.clean}) > 1
    for row, patterns in enumerate(found):
        alone = LENS.attention(grouped, task.subset([row]))
        assert list(patterns) == ["a1.h2", "a0.h0"]
        assert all(torch.allclose(pattern, alone[head].to(pattern)) for head, pattern in patterns.items())


# ---- words


def test_words_are_those_of_the_mean_logits(any_model):
    """Tokens and numbers are those of each prompt's own lens, averaged; all writers but constants are there."""
    task, count = random_task(5), 3
    said = LENS.written_words(any_model, task, count=count)
    described = subject(any_model, task).described
    assert tuple(said) == described.graph.base.writers
    alone = torch.stack([_lens_of_writers(any_model, task.subset([row])) for row in range(len(task))]).mean(0)
    for logits, words in zip(alone - alone.mean(-1, keepdim=True), said.values(), strict=True):
        for pairs, order in ((words.raised, logits.argsort(descending=True)), (words.lowered, logits.argsort())):
            assert [token for token, _ in pairs] == order[:count].tolist()
            assert [value for _, value in pairs] == pytest.approx(logits[order[:count]].tolist())


def _lens_of_writers(model, task: Any) -> Tensor:
    """Logits (W, vocabulary) that each writer adds on the one prompt, one by one through the final norm at its scale."""
    seen = subject(model, task)
    described, (batch,) = seen.described, seen.batches(task)
    ids = torch.stack(task.clean)
    run = passes.record(described, ids)
    logit_map = LogitMap.out_of(described, run.streams[-1][:, -1], ids)
    identity = torch.eye(model.config.vocab_size, dtype=torch.float64)
    directions = logit_map.into_stream(logit_map.direction(identity))  # (vocabulary, D)
    return writes(run, batch)[:, 0].double() @ directions.T.double()


def test_likeliest_tokens_are_the_models(grouped):
    """On each prompt, of any length, at the position that is read."""
    task = mixed_task()
    for row, said in enumerate(LENS.likeliest_tokens(grouped, task, count=2)):
        own = grouped(task.clean[row][None]).logits[0, task.position[row]].softmax(-1)
        assert [token for token, _ in said] == own.argsort(descending=True)[:2].tolist()
        assert [value for _, value in said] == pytest.approx(own.sort(descending=True).values[:2].tolist())


def test_patterns_weigh_values_in_every_family(every_family):
    """In every family that has heads, pattern times value is what a head gives, and rows look at nothing that comes later."""
    task = random_task(2, 7)
    described = subject(every_family, task).described
    run = passes.record(described, torch.stack(task.clean), patterns=True)
    for index, _ in described.heads:
        pattern = passes.patterns_of(run, index)
        assert float(pattern.triu(1).abs().max()) == 0
        assert float(pattern.sum(-1).max()) < 1 + 1e-9


def test_numbers_do_not_depend_on_the_memory(grouped):
    """One prompt, token, layer and copy at a time gives what all at once give."""
    task = random_task()
    named = replace(task, spans=({"subject": (2, 3)},) * len(task))

    def look(model: Any) -> list[Tensor]:
        patched = [LENS.activation_patching(model, task, site).effects for site in (LENS.Stream(), LENS.Pattern())]
        lens, words = LENS.logit_lens(model, task), LENS.written_words(model, task)
        likely = [[value for _, value in cell] for layer in lens.top for cell in layer]
        raised = [[value for _, value in each.raised] for each in words.values()]
        return [
            *patched,
            LENS.causal_trace(model, named, "subject", seeds=1).effects,
            LENS.direct_logit(model, task).values,
            LENS.decompose(model, task).shares,
            LENS.attention(model, task).patterns,
            LENS.head_roles(model, task, shuffles=1).scores,
            torch.stack([lens.probability, lens.rank, lens.entropy, lens.kl]),
            torch.tensor(likely),
            torch.tensor(raised),
        ]

    sparing = cs.Experiment(grouped, task, memory=1)
    assert subject(sparing, task).prompts_at_once(8) == subject(sparing, task).rows_at_once(1) == 1
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(look(grouped), look(sparing), strict=True))


def test_running_out_of_memory_changes_no_numbers(grouped, monkeypatch):
    """A batch that does not fit is halved, said once, and nothing of it is counted twice."""
    task = random_task()
    whole = LENS.logit_lens(grouped, task), LENS.head_roles(grouped, task, shuffles=1)
    run = passes.run

    def short(described: Any, ids: Tensor, *rest: Any) -> Tensor:
        if len(ids) > 2:
            raise MemoryError
        return run(described, ids, *rest)

    monkeypatch.setattr(passes, "run", short)
    with pytest.warns(MemoryWarning):
        halved = LENS.logit_lens(grouped, task), LENS.head_roles(grouped, task, shuffles=1)
    assert torch.allclose(whole[0].entropy, halved[0].entropy, atol=1e-12)
    assert torch.allclose(whole[1].scores, halved[1].scores, atol=1e-12)


def test_copies_are_halved_before_prompts(grouped, monkeypatch):
    """Where memory holds no copy of all prompts, fewer prompts are patched together; progress does not go back."""
    task = random_task(4)
    whole = LENS.activation_patching(grouped, task).effects
    run = passes.run
    for most in (6, 3):
        seen = []

        def short(described: Any, ids: Tensor, *rest: Any, most: int = most) -> Tensor:
            if len(ids) > most:
                raise MemoryError
            return run(described, ids, *rest)

        monkeypatch.setattr(passes, "run", short)
        with pytest.warns(MemoryWarning):
            found = LENS.activation_patching(
                grouped, task, progress=lambda done, total, seen=seen: seen.append(done / total)
            )
        assert torch.allclose(found.effects, whole, atol=1e-12)
        assert seen == sorted(seen) and seen[-1] == 1


@pytest.mark.parametrize(("length", "runs"), [(8, 1), (24, 1), (24, 2)])
def test_a_batch_takes_no_more_than_its_chunk(grouped, length: int, runs: int):
    """What a recorded run holds, counted tensor by tensor, is within the bytes that batches are made by."""
    task = random_task(2, length)
    seen = Subject(subject(grouped, task).described, WorkingMemory(4_000_000))
    run = passes.record(seen.described, torch.stack(task.clean), patterns=True)
    kept = [run.start, *run.streams, *run.outputs.values(), *run.values.values(), *run.ports.values()]
    held = sum(each.nbytes for each in [*kept, *run.patterns.values()]) / len(task)
    at_once = seen.prompts_at_once(length, runs)
    assert runs * at_once * held <= seen.memory.chunk
    assert (at_once + 1) * runs * held > seen.memory.chunk / 20  # and not far less is taken than may be
