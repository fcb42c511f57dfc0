"""What all instruments share: a verified model, its task in batches, one recorded pass, and the pass with activations swapped.

Legend of shapes: B prompts, C copies of them, R = C * B rows, T positions, S positions seen, D stream width, H heads, G heads
of keys or values, K head width, L blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.engine.trace import Taps, run, tap_before
from circuitsearch.engine.verify import check_fit, verified
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.granularity import Granularity
from circuitsearch.models.describe import Described, describe
from circuitsearch.models.parts import Heads
from circuitsearch.names import PORTS
from circuitsearch.task import Task

DEFAULT_MEMORY = 1 << 28  # bytes of working memory for one pass, beside the model itself


def subject(model: Any, task: Task) -> Described:
    """The model with its parts named, verified with its task; an experiment's model is verified already.

    Attention whose heads are not separate is read as a mixer.
    """
    nodes = Granularity(merged_heads=True)
    if not isinstance(model, Experiment):
        return verified(model, task, nodes)
    described = describe(model.described.model, nodes)
    check_fit(described, task)
    return described


def rows_at_once(described: Described, length: int, memory: int = DEFAULT_MEMORY) -> int:
    """How many prompts of a length one pass may hold: everything that is recorded of them fits into the memory."""
    widths = sum(4 if isinstance(part, Heads) else 2 for part in described.parts) + 8
    attention = sum(part.n_heads for _, part in described.heads) * length  # patterns
    each = length * (widths * described.d_model + attention) + 3 * described.model.config.vocab_size
    return max(1, memory // (each * described.dtype.itemsize))


def batches(described: Described, task: Task) -> Iterator[Batch]:
    """The task's prompts, whole, in batches of one length."""
    for batch in task.batches(rows_at_once(described, task.max_length), share_prefix=False):
        yield batch.to(described.device)


class StreamTaps(Taps):
    """Taps that also read and change the residual stream itself, where a block begins."""

    def block(self, layer: int, stream: Tensor) -> Tensor | None:
        """The stream (B, T, D) as it enters a block, branch and all."""


@torch.no_grad()
def run_tapped(described: Described, ids: Tensor, position: Tensor, taps: StreamTaps) -> Tensor:
    """Run ``ids`` (B, T) through the engine's hooked pass; logits (B, vocabulary) at ``position`` (B,)."""
    with ExitStack() as hooks:
        for layer, block in enumerate(described.blocks):
            hooks.callback(tap_before(block, partial(taps.block, layer)).remove)
        return run(described, ids, position, taps)


# ---- recording


@dataclass
class Recording(StreamTaps):
    """Keep what a pass computes.

    Attributes
    ----------
    start : Tensor
        (B, T, D), what ``embed`` writes: not in every family what enters the first block.
    streams : list
        L + 1 tensors (B, T, D): as each block begins, and the end.
    gives : dict
        Of each part what it gives: heads' ready values (B, T, H, K), else what it adds to the stream (B, T, D).
    values : dict
        Of each attention its heads' values (B, T, H, K), as the attention left them.
    ports : dict
        Of each attention and port ``q``, ``k`` or ``v`` its heads (B, T, G, K).
    patterns : dict
        Of each attention (B, H, T, S), where they were asked for.
    """

    described: Described
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    start: Tensor = field(default_factory=lambda: torch.empty(0))
    streams: list[Tensor] = field(default_factory=list)
    gives: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    ports: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    patterns: dict[int, Tensor] = field(default_factory=dict)

    def embed(self, stream: Tensor) -> None:
        self.start = stream.clone()

    def block(self, layer: int, stream: Tensor) -> None:
        self.streams.append(stream.clone())  # some blocks add to it in place

    def final_stream(self, stream: Tensor) -> None:
        self.streams.append(stream)

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> None:
        part = heads_of(self.described, index)
        for port in ports:
            self.ports[index, port] = part.projection(port).take(output).clone()

    def head_values(self, index: int, values: Tensor) -> None:
        self.values[index] = values

    def part_output(self, index: int, value: Tensor) -> None:
        self.gives[index] = value.clone()

    def read_values(self, index: int) -> Tensor:
        """The values (B, T, G, K) that an attention's patterns weigh."""
        return clipped(self.described, self.ports[index, "v"])

    def write(self, index: int) -> Tensor:
        """What a part adds to the stream (B, T, D), biases and all."""
        return self.described.parts[index].write(self.gives[index])


def record(described: Described, ids: Tensor, position: Tensor | None = None, *, patterns: bool = False) -> Recording:
    """Run ``ids`` (B, T) and keep everything; logits are read at ``position`` (B,), by default the last one."""
    kept = Recording(described)
    last = torch.full((len(ids),), ids.shape[1] - 1, device=ids.device) if position is None else position
    with watched(described, kept.patterns) if patterns else ExitStack():
        kept.logits = run_tapped(described, ids, last, kept)
    if len(kept.streams) != len(described.blocks) + 1:
        raise InputError("the stream of this model was not seen at every block: it cannot be looked into")
    return kept


def heads_of(described: Described, index: int) -> Heads:
    """An attention, by its place among the parts."""
    part = described.parts[index]
    assert isinstance(part, Heads)
    return part


@contextmanager
def watched(described: Described, patterns: dict[int, Tensor]) -> Iterator[None]:
    """Let the model attend by its own plain ("eager") code, which knows its patterns, and fill in ``patterns`` (B, H, T, S).

    The model's setting is restored afterwards. A column that is no token, an attention sink, is left out, so the rows
    of such a model add up to less than 1.
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
    """Have a base model called with ``output_attentions``, which some families need to keep a pattern at all."""

    def ask(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return args, {**kwargs, "output_attentions": True}

    handle = base.register_forward_pre_hook(ask, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def patterns_of(recording: Recording, index: int) -> Tensor:
    """The patterns (B, H, T, S) of an attention, checked: pattern times value is what the heads give.

    Where a sink scales what a head gives afterwards (Granite's sliding windows), its rows are scaled likewise.

    Raises
    ------
    InputError
        If it is not, or the model's code hands no pattern out.
    """
    layer = recording.described.graph.base.parts[index].layer
    if index not in recording.patterns:
        raise InputError(f"the attention of block {layer} hands out no pattern: it cannot be shown")
    pattern, values = recording.patterns[index], recording.values[index]
    mixed = mix(pattern, recording.read_values(index))
    if not _close(mixed, values):
        scale = (mixed * values).sum(-1, keepdim=True) / mixed.square().sum(-1, keepdim=True).clamp(
            min=1e-30
        )  # (B, T, H, 1)
        mixed, pattern = mixed * scale, pattern * scale.transpose(1, 2)
    if not _close(mixed, values):
        raise InputError(
            f"the heads of block {layer} do more to a value than weigh it by the pattern (they differ by"
            f" {float((mixed - values).abs().max()):.1e} of {float(values.abs().max()):.1e}): patterns cannot be patched,"
            " nor a write traced to the token it comes from"
        )
    return pattern


def _close(mixed: Tensor, values: Tensor) -> bool:
    """Whether two tensors differ by rounding alone; softmaxes are often of float32."""
    rounding = max(torch.finfo(mixed.dtype).eps, torch.finfo(torch.float32).eps)
    return float((mixed - values).abs().max()) <= 1e3 * rounding * max(float(values.abs().max()), 1e-6)


def clipped(described: Described, values: Tensor) -> Tensor:
    """Values as projected, after the clipping that some families (MPT, DBRX, OLMo) do between projection and attention."""
    config = described.model.config
    clip = getattr(config, "clip_qkv", None) or getattr(getattr(config, "attn_config", None), "clip_qkv", None)
    return values.clamp(-clip, clip) if clip else values


def mix(pattern: Tensor, values: Tensor) -> Tensor:
    """Values (B, S, G, K) weighed by patterns (B, H, T, S): (B, T, H, K)."""
    shared = pattern.shape[1] // values.shape[2]
    return torch.einsum("bhts,bshk->bthk", pattern.to(values.dtype), values.repeat_interleave(shared, 2))


# ---- swapping

Sources = dict[int, Tensor]  # by place, what takes the place of what is there: (B, T, ...)


@dataclass
class Swap(StreamTaps):
    """Put another run's activations in place of this one's, each copy of the batch at places of its own.

    Attributes
    ----------
    sources : dict
        By block or part, the other run's activations (B, T, ...).
    inside : Tensor
        Boolean, broadcast to (C, B, T, ...): where each copy takes the other run's.
    noise : Tensor, optional
        (B, T, D), added to the stream as it enters the first block, before anything is swapped.
    """

    described: Described
    sources: Sources
    inside: Tensor
    noise: Tensor | None = None

    def swapped(self, index: int, value: Tensor) -> Tensor | None:
        """``value`` (R, T, ...) with the other run's activations in it."""
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
    """The residual stream; the place after the last block is its end."""

    def block(self, layer: int, stream: Tensor) -> Tensor | None:
        noised = super().block(layer, stream)
        changed = self.swapped(layer, stream if noised is None else noised)
        return noised if changed is None else changed

    def final_stream(self, stream: Tensor) -> Tensor | None:
        return self.swapped(len(self.described.blocks), stream)


class SwapGiven(Swap):
    """What parts give: all heads' values, or what any other part adds."""

    def part_output(self, index: int, value: Tensor) -> Tensor | None:
        return self.swapped(index, value)


@dataclass
class SwapPort(Swap):
    """Queries, keys or values, as their projections give them."""

    port: str = PORTS[0]

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> Tensor | None:
        if self.port not in ports or index not in self.sources:
            return None
        projection = heads_of(self.described, index).projection(self.port)
        changed = self.swapped(index, projection.take(output))
        return None if changed is None else projection.put(output, changed)


@dataclass
class SwapPattern(Swap):
    """Where heads look: the other run's pattern weighs this run's values. Sources are patterns as (B, T, H, S)."""

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
    """The batch so many times over, its spans too."""
    return batch if copies == 1 else batch.repeat(copies)


Progress = Callable[[int, int], None]  # (passes done, passes in all)


def silent(done: int, total: int) -> None:
    """Say nothing of the progress."""
