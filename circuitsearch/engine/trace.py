"""Run a Hugging Face model with hooks that read or replace what its readers see and its writers write.

Legend of shapes: B prompts, T positions computed, D stream width, H heads, K head width, U writers, V readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from transformers import Cache

from circuitsearch.models.describe import Described
from circuitsearch.models.parts import Experts, Heads, Neurons, Shared, Whole, tensor_of
from circuitsearch.models.precision import widened


class Taps:
    """What a pass reads or replaces. A method may return a replacement; None leaves the value unchanged.

    ``index`` is the part index, the part's number among the model's parts.
    """

    def embed(self, stream: Tensor) -> Tensor | None:
        """The residual stream (B, T, D) before the first block."""

    def stream(self, index: int, stream: Tensor) -> None:
        """The stream (B, T, D) that a part's ports read, before any norm."""

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> Tensor | None:
        """The output (B, T, features) of the projection module that holds these ports of an attention."""

    def head_values(self, index: int, values: Tensor) -> Tensor | None:
        """The head values (B, T, H, K) that enter an attention's output projection."""

    def part_input(self, index: int, normed: Tensor) -> Tensor | None:
        """The normalised stream (B, T, D) that enters a part other than attention."""

    def port_input(self, index: int, port: int, normed: Tensor) -> Tensor | None:
        """The input (B, T, D) of one port of a mixture of experts: one port an expert, then the router's."""

    def part_output(self, index: int, value: Tensor) -> Tensor | None:
        """A part's output: heads' scaled values (B, T, H, K), or what it adds to the stream (B, T, D)."""

    def final_stream(self, stream: Tensor) -> Tensor | None:
        """The stream (B, T, D) that the final norm and the unembedding read."""


@dataclass(frozen=True)
class Activations:
    """What every writer adds to the stream, in the form in which the model computes it.

    ``embed`` (B, T, D); ``parts``, each part's output: heads' scaled values (B, T, H, K), otherwise (B, T, D).
    """

    embed: Tensor
    parts: tuple[Tensor, ...]

    def map(self, change: Callable[..., Tensor], *others: Activations) -> Activations:
        """Apply ``change`` to each tensor, together with the corresponding tensors of ``others``."""
        return Activations(
            change(self.embed, *(other.embed for other in others)),
            tuple(change(*tensors) for tensors in zip(self.parts, *(other.parts for other in others), strict=True)),
        )

    def __sub__(self, other: Activations) -> Activations:
        return self.map(torch.sub, other)


@dataclass
class Record(Taps):
    """Record what every writer adds to the stream."""

    _embed: list[Tensor] = field(default_factory=list)
    _part_outputs: dict[int, Tensor] = field(default_factory=dict)

    def embed(self, stream: Tensor) -> None:
        self._embed.append(stream.detach())

    def part_output(self, index: int, value: Tensor) -> None:
        self._part_outputs[index] = value.detach()

    @property
    def activations(self) -> Activations:
        """The writers' activations in the pass that was run."""
        return Activations(self._embed[0], tuple(self._part_outputs[index] for index in range(len(self._part_outputs))))


def run_blocks(described: Described, ids: Tensor, taps: Taps, cache: Cache | None = None) -> None:
    """Run the model's blocks on ``ids`` (B, T) without computing logits; keys and values are added to ``cache``."""
    with tapped(described, taps):
        described.base_model(input_ids=ids, past_key_values=cache, use_cache=cache is not None)


def run(described: Described, ids: Tensor, position: Tensor, taps: Taps, cache: Cache | None = None) -> Tensor:
    """Run the model on ``ids`` (B, T), after the prefix in ``cache`` if there is one, and return logits (B, vocabulary).

    ``position`` (B,) is the position in ``ids`` at which each prompt's logits are read; no others are computed. Of K positions
    a prompt, (B, K), they are (B, K, vocabulary). Logits have at least float32 precision, so that metrics do not round more
    than the model does.
    """
    read = Reading(position)
    with tapped(described, taps), ExitStack() as stack:
        stack.callback(tap_before(described.model.get_output_embeddings(), read.of_each_prompt).remove)
        logits = described.model(
            input_ids=ids, logits_to_keep=read.positions, past_key_values=cache, use_cache=cache is not None
        ).logits
    return widened(logits if position.dim() == 2 else logits.squeeze(1))


class Reading:
    """Where logits are read: a model is asked for all positions that any prompt needs, and of each prompt its own are taken.

    Attributes
    ----------
    positions : Tensor
        (P,), for ``logits_to_keep``.
    """

    def __init__(self, position: Tensor) -> None:
        self._position = position  # (B,) or (B, K)
        self.positions, self._which = position.unique(return_inverse=True)

    def of_each_prompt(self, values: Tensor) -> Tensor:
        """From values (B, P, ...), or (B, T, ...) of a model that keeps all positions, to those at its own K positions (B, K, ...)."""
        at = self._which if values.shape[1] == len(self.positions) else self._position
        rows = torch.arange(len(values), device=values.device)[:, None]
        return values[rows, at.view(len(values), -1).to(values.device)]


Tap = Callable[[Tensor], Tensor | None]


@contextmanager
def tapped(described: Described, taps: Taps) -> Iterator[None]:
    """Register hooks for ``taps`` on the model for the duration of a ``with`` block."""
    with ExitStack() as stack:
        for _, part in described.heads:
            stack.enter_context(part.ungrouped())
        for handle in _hooks(described, taps):
            stack.callback(handle.remove)
        yield


def _hooks(described: Described, taps: Taps) -> Iterator[Any]:
    start, end = described.blocks[0], described.blocks[-1]
    batched = _Batched(taps.embed)
    yield (
        tap_before(start, batched.tap_embed)
        if described.embedding is None
        else tap_after(described.embedding, batched.tap_embed)
    )
    for index, part in enumerate(described.parts):
        yield tap_before(part.entry, batched(partial(taps.stream, index)))
        if isinstance(part, Heads):
            yield from _attention_hooks(index, part, taps, described.in_place)
        elif isinstance(part, Neurons):
            yield from _neuron_hooks(index, part, taps, batched)
        elif isinstance(part, Experts):
            yield from _expert_hooks(index, part, taps, batched)
        elif isinstance(part, Shared):
            yield from _shared_expert_hooks(index, part, taps, batched)
        else:
            yield from _part_hooks(index, part, taps, described.in_place, batched)
    ended: list[bool] = []  # some models run the final norm on the embeddings too
    yield end.register_forward_hook(lambda *_: ended.append(True))
    yield tap_before(described.last, lambda stream: taps.final_stream(stream) if ended else None)


class _Batched:
    """Taps that see (B, T, D) also where a model flattens its prompts to (B * T, D), as OPT's MLPs do."""

    def __init__(self, embed: Tap) -> None:
        self._embed = embed

    def tap_embed(self, stream: Tensor) -> Tensor | None:
        """Tap the stream before the first block, and remember its batch shape (B, T)."""
        self._shape = stream.shape[:2]
        return self._embed(stream)

    def unflatten(self, values: Tensor) -> Tensor:
        """Restore the batch shape: (B * T, ...) -> (B, T, ...)."""
        return values.unflatten(0, self._shape)

    def __call__(self, tap: Tap) -> Tap:
        def reshaped(value: Tensor) -> Tensor | None:
            if value.dim() > 2:
                return tap(value)
            changed = tap(value.unflatten(0, self._shape))
            return None if changed is None else changed.flatten(0, 1)

        return reshaped


def _attention_hooks(index: int, part: Heads, taps: Taps, in_place: bool) -> Iterator[Any]:
    for module, ports in part.projections.items():
        yield tap_after(module, partial(taps.projection_output, index, ports), in_place)
    if part.post is None:
        yield tap_before(part.o, partial(_heads_tap, index, part, taps))
        return
    scaled: list[Tensor] = []

    def before(joined: Tensor) -> Tensor | None:
        values = rearrange(joined, "b t (h k) -> b t h k", h=part.n_heads)
        changed = taps.head_values(index, values)
        values = values if changed is None else changed
        scaled[:] = [part.scaled(values)]
        return None if changed is None else changed.flatten(-2)

    def after(_: Tensor) -> Tensor | None:
        changed = taps.part_output(index, scaled.pop())
        return None if changed is None else part.write(changed) / part.factor

    yield tap_before(part.o, before)
    yield tap_after(part.post.module, after)


def _heads_tap(index: int, part: Heads, taps: Taps, joined: Tensor) -> Tensor | None:
    """Tap heads whose values (B, T, H * K) need no scaling, as they enter the output projection."""
    values = rearrange(joined, "b t (h k) -> b t h k", h=part.n_heads)
    first = taps.head_values(index, values)
    second = taps.part_output(index, values if first is None else first)
    changed = first if second is None else second
    return None if changed is None else changed.flatten(-2)


def _neuron_hooks(index: int, part: Neurons, taps: Taps, batched: _Batched) -> Iterator[Any]:
    def output_tap(neurons: Tensor) -> Tensor | None:
        changed = taps.part_output(index, neurons[..., None])
        return None if changed is None else changed.flatten(-2)

    assert part.down is not None
    yield tap_before(part.chain[0], batched(partial(taps.part_input, index)))
    yield tap_before(part.down, batched(output_tap))


def _expert_hooks(index: int, part: Experts, taps: Taps, batched: _Batched) -> Iterator[Any]:
    def read(port: int, normed: Tensor) -> Tensor:
        changed = batched(partial(taps.port_input, index, port))(normed)
        return normed if changed is None else changed

    def ran(_: nn.Module, args: tuple[Tensor, ...], __: Tensor) -> Tensor:
        tokens, chosen, weights = args
        values = part.values([read(expert, tokens) for expert in range(part.size)], chosen, weights)  # (N, E, D)
        changed = taps.part_output(index, batched.unflatten(values if part.factor == 1 else values * part.factor))
        if changed is not None:
            values = (changed if part.factor == 1 else changed / part.factor).flatten(0, 1)
        return values.sum(1)

    yield tap_before(part.chain[0], batched(partial(taps.part_input, index)))
    yield tap_before(part.router, partial(read, part.size))
    yield part.experts.register_forward_hook(ran)


def _shared_expert_hooks(index: int, part: Shared, taps: Taps, batched: _Batched) -> Iterator[Any]:
    shared = _ParallelModule(batched(partial(taps.part_input, index)))

    def gated(gate: Tensor) -> None:
        shared.other = torch.sigmoid(gate) * shared.other

    def output_tap(whole: Tensor) -> Tensor | None:
        output = shared.other.view(whole.shape)
        changed = taps.part_output(index, output if part.factor == 1 else output * part.factor)
        return None if changed is None else whole - output + (changed if part.factor == 1 else changed / part.factor)

    yield tap_before(part.chain[0], shared.read_first)
    yield tap_after(part.chain[0], shared.keep_output)
    if part.gate is not None:
        yield tap_before(part.gate, shared.read_again)
        yield tap_after(part.gate, gated)
    yield tap_after(part.mixture, batched(output_tap))


def _part_hooks(index: int, part: Whole, taps: Taps, in_place: bool, batched: _Batched) -> Iterator[Any]:
    if part.beside is None:
        yield tap_before(part.chain[0], batched(partial(taps.part_input, index)))
    else:
        beside = _ParallelModule(partial(taps.part_input, index))
        yield tap_before(part.beside, beside.read_first)
        yield tap_after(part.beside, beside.keep_output)
        yield tap_before(part.chain[0], beside.read_again)

    def output_tap(output: Tensor) -> Tensor | None:
        whole = output if part.beside is None else output + beside.other
        changed = taps.part_output(index, whole if part.factor == 1 else whole * part.factor)
        if changed is None:
            return None
        changed = changed if part.factor == 1 else changed / part.factor
        return changed if part.beside is None else changed - beside.other

    yield tap_after(part.chain[-1], batched(output_tap), in_place)


class _ParallelModule:
    """A module that a part runs before its chain, on the same input; their outputs are added."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    def read_first(self, normed: Tensor) -> Tensor | None:
        """Tap the input where the first of the two reads it."""
        changed = self._tap(normed)
        self._read = normed if changed is None else changed
        return changed

    def keep_output(self, output: Tensor) -> None:
        """Record the module's output."""
        self.other = output

    def read_again(self, _: Tensor) -> Tensor:
        """The same input, for the second."""
        return self._read


def tap_before(module: nn.Module, tap: Tap) -> Any:
    """Tap the first argument of ``module``, positional or named ``hidden_states``."""

    def hook(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        value: Any = args[0] if args else kwargs["hidden_states"]
        changed = tap(value)
        if changed is None:
            return None
        return ((changed, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": changed})

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def tap_after(module: nn.Module, tap: Tap, in_place: bool = False) -> Any:
    """Tap the output of ``module``; a copy is passed on if the model changes the output ``in_place``."""

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        value = tensor_of(output)
        changed = tap(value)
        if changed is None and not in_place:
            return None
        changed = value.clone() if changed is None else changed.clone() if in_place else changed
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return module.register_forward_hook(hook)
