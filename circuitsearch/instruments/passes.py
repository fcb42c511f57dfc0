"""Shared by all instruments: a recorded pass, and a pass with patched activations.

Legend of shapes: B prompts, C copies of them, R = C * B rows, T query positions, S key positions, D stream width, H heads,
G key-value heads, K head width, L blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.engine.trace import Taps, run, tap_before
from circuitsearch.errors import InputError
from circuitsearch.models.describe import Described
from circuitsearch.models.parts import Heads
from circuitsearch.names import PORTS


class StreamTaps(Taps):
    """Taps that also read and change the residual stream at the input of each block."""

    def block(self, layer: int, stream: Tensor) -> Tensor | None:
        """Called with the stream (B, T, D) at the input of a block; a returned tensor replaces it."""


@torch.no_grad()
def run_tapped(described: Described, ids: Tensor, position: Tensor, taps: StreamTaps) -> Tensor:
    """Run ``ids`` (B, T) with taps; logits (B, vocabulary) at ``position`` (B,).

    Raises
    ------
    InputError
        If the prompts have several positions each, those of long answers.
    """
    if position.dim() > 1:
        raise InputError(
            "instruments read the logits at one position a prompt: give a task whose answers are one token"
        )
    with ExitStack() as hooks:
        for layer, block in enumerate(described.blocks):
            hooks.callback(tap_before(block, partial(taps.block, layer)).remove)
        return run(described, ids, position, taps)


# ---- recording


@dataclass
class Streams(StreamTaps):
    """The residual stream of a pass.

    Attributes
    ----------
    described : Described
    logits : Tensor
        (B, vocabulary), at the position that was asked for.
    streams : list
        L + 1 tensors (B, T, D): the input of each block, and the final stream.
    """

    described: Described
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    streams: list[Tensor] = field(default_factory=list)

    def block(self, layer: int, stream: Tensor) -> None:
        self.streams.append(stream.clone())  # some blocks add to it in place

    def final_stream(self, stream: Tensor) -> None:
        self.streams.append(stream)


@dataclass
class Recording(Streams):
    """All activations of a pass, the residual stream and these.

    Attributes
    ----------
    start : Tensor
        (B, T, D), what ``embed`` writes; in some families this is not the input of the first block.
    outputs : dict
        For each part its output: scaled head values (B, T, H, K), or what it adds to the stream (B, T, D).
    values : dict
        For each attention its heads' values (B, T, H, K), before the output projection.
    ports : dict
        For each attention and port ``q``, ``k`` or ``v`` its heads (B, T, G, K).
    patterns : dict
        For each attention (B, H, T, S), if patterns are recorded.
    """

    start: Tensor = field(default_factory=lambda: torch.empty(0))
    outputs: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    ports: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    patterns: dict[int, Tensor] = field(default_factory=dict)

    def embed(self, stream: Tensor) -> None:
        self.start = stream.clone()

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> None:
        part = heads_of(self.described, index)
        for port in ports:
            self.ports[index, port] = part.projection(port).take(output).clone()

    def head_values(self, index: int, values: Tensor) -> None:
        self.values[index] = values

    def part_output(self, index: int, value: Tensor) -> None:
        self.outputs[index] = value.clone()

    def read_values(self, index: int) -> Tensor:
        """The values (B, T, G, K) that an attention's patterns multiply."""
        return clipped(self.described, self.ports[index, "v"])

    def write(self, index: int) -> Tensor:
        """What a part adds to the stream (B, T, D), with its biases."""
        return self.described.parts[index].write(self.outputs[index])


Kept = TypeVar("Kept", bound=Streams)


def record(described: Described, ids: Tensor, position: Tensor | None = None, *, patterns: bool = False) -> Recording:
    """Run ``ids`` (B, T) and record all activations; logits are read at ``position`` (B,), by default the last one."""
    kept = Recording(described)
    with watched(described, kept.patterns) if patterns else ExitStack():
        return _kept(kept, ids, position)


def record_streams(described: Described, ids: Tensor, position: Tensor | None = None) -> Streams:
    """The same, but of the activations only the residual stream."""
    return _kept(Streams(described), ids, position)


def _kept(kept: Kept, ids: Tensor, position: Tensor | None) -> Kept:
    last = torch.full((len(ids),), ids.shape[1] - 1, device=ids.device) if position is None else position
    kept.logits = run_tapped(kept.described, ids, last, kept)
    if len(kept.streams) != len(kept.described.blocks) + 1:
        raise InputError(
            "hooks did not see the residual stream of this model at every block: instruments cannot read it"
        )
    return kept


def heads_of(described: Described, index: int) -> Heads:
    """An attention, by its part index."""
    part = described.parts[index]
    assert isinstance(part, Heads)
    return part


@contextmanager
def watched(described: Described, patterns: dict[int, Tensor]) -> Iterator[None]:
    """Use the model's "eager" attention, which returns patterns, for the ``with`` block, and record ``patterns`` (B, H, T, S).

    The model's setting is restored afterwards. An attention sink, a column that is no token, is left out, so the rows
    of such a model sum to less than 1.
    """
    config = described.model.config
    own = config._attn_implementation

    def keep(index: int, _: Any, args: Any, output: Any) -> None:
        width = heads_of(described, index).n_heads
        made = [each for each in _tensors(output) if each.dim() == 4 and each.shape[1] == width]
        if made:
            patterns[index] = made[-1]

    with ExitStack() as undo:
        undo.callback(setattr, config, "_attn_implementation", own)
        config._attn_implementation = "eager"
        for index, part in described.heads:
            undo.callback(part.attention.register_forward_hook(partial(keep, index)).remove)
        undo.enter_context(_asked_for_attentions(described.base_model))
        yield


def _tensors(output: Any) -> list[Tensor]:
    return [each for each in output if isinstance(each, Tensor)] if isinstance(output, tuple | list) else []


@contextmanager
def _asked_for_attentions(base: Any) -> Iterator[None]:
    """Call the base model with ``output_attentions``, without which some families do not return patterns."""

    def ask(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return args, {**kwargs, "output_attentions": True}

    handle = base.register_forward_pre_hook(ask, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def patterns_of(recording: Recording, index: int) -> Tensor:
    """The patterns (B, H, T, S) of an attention, checked: pattern times value is the output of the heads.

    If a sink scales a head's output afterwards (Granite's sliding windows), its rows are scaled in the same way.

    Raises
    ------
    InputError
        If the check fails, or the model's code returns no pattern.
    """
    layer = recording.described.graph.base.parts[index].layer
    if index not in recording.patterns:
        raise InputError(f"the attention of block {layer} returns no pattern: its patterns cannot be shown or patched")
    pattern, values = recording.patterns[index], recording.values[index]
    mixed = mix(pattern, recording.read_values(index))
    if not _close(mixed, values):
        scale = (mixed * values).sum(-1, keepdim=True) / mixed.square().sum(-1, keepdim=True).clamp(
            min=1e-30
        )  # (B, T, H, 1)
        mixed, pattern = mixed * scale, pattern * scale.transpose(1, 2)
    if not _close(mixed, values):
        raise InputError(
            f"the heads of block {layer} do more to values than multiply them by the pattern (they differ by"
            f" {float((mixed - values).abs().max()):.1e} of {float(values.abs().max()):.1e}): patterns cannot be patched,"
            " and outputs of heads cannot be attributed to tokens"
        )
    return pattern


def _close(mixed: Tensor, values: Tensor) -> bool:
    """Whether two tensors differ by rounding only; softmaxes are often computed in float32."""
    rounding = max(torch.finfo(mixed.dtype).eps, torch.finfo(torch.float32).eps)
    return float((mixed - values).abs().max()) <= 1e3 * rounding * max(float(values.abs().max()), 1e-6)


def clipped(described: Described, values: Tensor) -> Tensor:
    """Projected values after the clipping that some families (MPT, DBRX, OLMo) apply before attention."""
    config = described.model.config
    clip = getattr(config, "clip_qkv", None) or getattr(getattr(config, "attn_config", None), "clip_qkv", None)
    return values.clamp(-clip, clip) if clip else values


def mix(pattern: Tensor, values: Tensor) -> Tensor:
    """Values (B, S, G, K) multiplied by patterns (B, H, T, S): (B, T, H, K)."""
    shared = pattern.shape[1] // values.shape[2]
    return torch.einsum("bhts,bshk->bthk", pattern.to(values.dtype), values.repeat_interleave(shared, 2))


# ---- patching

Sources = dict[int, Tensor]  # by block or part index, the activations of the other run: (B, T, ...)


@dataclass
class Swap(StreamTaps):
    """Patch another run's activations into this run, in each copy of the batch at different positions or heads.

    Attributes
    ----------
    sources : dict
        By block or part, the other run's activations (B, T, ...).
    inside : Tensor
        Boolean, broadcast to (C, B, T, ...): where each copy is patched.
    noise : Tensor, optional
        (B, T, D), added to the stream at the input of the first block, before anything is patched.
    """

    described: Described
    sources: Sources
    inside: Tensor
    noise: Tensor | None = None

    def swapped(self, index: int, value: Tensor) -> Tensor | None:
        """``value`` (R, T, ...) patched with the other run's activations."""
        if index not in self.sources:
            return None
        copies = self.inside.shape[0]
        here = value.unflatten(0, (copies, -1))  # (C, B, T, ...)
        return torch.where(self.inside, self.sources[index], here).flatten(0, 1)

    def block(self, layer: int, stream: Tensor) -> Tensor | None:
        if layer or self.noise is None:
            return None
        return stream + self.noise.repeat(len(stream) // len(self.noise), 1, 1)


class SwapStream(Swap):
    """Patch the residual stream; the index after the last block is the final stream."""

    def block(self, layer: int, stream: Tensor) -> Tensor | None:
        noised = super().block(layer, stream)
        changed = self.swapped(layer, stream if noised is None else noised)
        return noised if changed is None else changed

    def final_stream(self, stream: Tensor) -> Tensor | None:
        return self.swapped(len(self.described.blocks), stream)


class SwapGiven(Swap):
    """Patch outputs of parts: head values, or what any other part adds."""

    def part_output(self, index: int, value: Tensor) -> Tensor | None:
        return self.swapped(index, value)


@dataclass
class SwapPort(Swap):
    """Patch queries, keys or values, the outputs of their projections."""

    port: str = PORTS[0]

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> Tensor | None:
        if self.port not in ports or index not in self.sources:
            return None
        projection = heads_of(self.described, index).projection(self.port)
        changed = self.swapped(index, projection.take(output))
        return None if changed is None else projection.put(output, changed)


@dataclass
class SwapPattern(Swap):
    """Patch attention patterns: the other run's pattern multiplies this run's values. Sources are patterns (B, T, H, S)."""

    values: dict[int, Tensor] = field(default_factory=dict)

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> None:
        if "v" in ports and index in self.sources:
            values = heads_of(self.described, index).projection("v").take(output)
            self.values[index] = clipped(self.described, values)

    def head_values(self, index: int, values: Tensor) -> Tensor | None:
        if index not in self.sources:
            return None
        here = values.unflatten(0, (self.inside.shape[0], -1))
        pattern = self.sources[index].transpose(1, 2).repeat(self.inside.shape[0], 1, 1, 1)  # (R, H, T, S)
        there = mix(pattern, self.values.pop(index)).view_as(here)
        return torch.where(self.inside, there, here).flatten(0, 1)


def repeated(batch: Batch, copies: int) -> Batch:
    """``copies`` copies of the batch and its spans."""
    return batch if copies == 1 else batch.repeat(copies)
