"""Verification that a model is read correctly, run before anything is computed with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from circuitsearch.engine.components import Components, recorded_calls
from circuitsearch.engine.kernels import writes
from circuitsearch.engine.trace import Activations, Record, run
from circuitsearch.errors import InputError
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.models.describe import Described, describe
from circuitsearch.models.parts import Heads
from circuitsearch.task import Task


@dataclass
class _Streams(Record):
    """Record the writers, the stream at every reader, and what each part reads and hands on."""

    streams: dict[int, Tensor] = field(default_factory=dict)
    outputs: dict[int, dict[tuple[str, ...], Tensor]] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)
    ends: list[Tensor] = field(default_factory=list)

    def stream(self, index: int, stream: Tensor) -> None:
        self.streams[index] = stream

    def projected(self, index: int, ports: tuple[str, ...], output: Tensor) -> None:
        self.outputs.setdefault(index, {})[ports] = output

    def attended(self, index: int, values: Tensor) -> None:
        self.values[index] = values

    def entered(self, index: int, normed: Tensor) -> None:
        self.inputs[index] = normed

    def final(self, stream: Tensor) -> None:
        self.ends.append(stream)


def verified(model: Any, task: Task | None = None, granularity: Granularity = WHOLE) -> Described:
    """Describe a model, in nodes of a granularity, and verify the description on a short prompt.

    Verified are: the writers' sum equals the stream at every reader; the norms are what their description says; each part,
    run by itself on what its ports read, gives what it gives in the model, so that nothing else of the stream enters it;
    the hooked run gives the model's own logits.

    Raises
    ------
    InputError
        If the family is unknown, the model is in training mode, a check fails (the difference is named), logits are
        not finite, the task's ids or lengths do not fit the model, or the granularity does not fit the model or the task.
    """
    described = describe(model, granularity)
    if model.training:
        raise InputError("the model is in training mode, where dropout changes every run: call model.eval() first")
    if task is not None:
        _check_fit(described, task)
        task.check_spans(granularity.spans)
        if granularity.positions:
            task.check_length(granularity.positions)
    ids = torch.arange(6, device=described.device)[None] * 7 % model.config.vocab_size
    try:
        _verify(described, ids)
    except InputError as error:
        if not granularity.experts:
            raise
        raise InputError(f"the experts of this model cannot be nodes, or it cannot be read at all: {error}") from None
    return described


def _check_fit(described: Described, task: Task) -> None:
    task.check_vocabulary(described.model.config.vocab_size)
    limit = described.n_positions
    if limit is not None and task.max_length > limit:
        row = next(row for row, ids in enumerate(task.clean, 1) if len(ids) > limit)
        raise InputError(
            f"task {task.name!r}, row {row}: the prompt has {len(task.clean[row - 1])} tokens,"
            f" more than the {limit} positions that the model can read: shorten it"
        )


def _verify(described: Described, ids: Tensor) -> None:
    taps = _Streams()
    position = torch.tensor([ids.shape[1] - 1], device=ids.device)
    with torch.no_grad():
        plain = _own_logits(described, ids)
        with recorded_calls(described) as calls:
            hooked = run(described, ids, position, taps)
        if not plain.isfinite().all():
            raise InputError("the model's logits are not finite (NaN or infinite): check its weights and dtype")
        _agree("the logits of the hooked run differ from the model's own", hooked, plain)
        _writers_sum_to_stream(described, taps.activations, taps)
        _norms_as_described(described, taps)
        _parts_by_themselves(Components(described, ids, None, calls), taps)
        _weights_as_read(described, taps)


def _own_logits(described: Described, ids: Tensor) -> Tensor:
    """The model's logits (1, vocabulary) at the last position, as it gives them itself."""
    try:
        return described.model(input_ids=ids, use_cache=False).logits[:, -1]
    except RuntimeError as error:
        raise InputError(
            f"the model itself cannot be run in {str(described.dtype).removeprefix('torch.')} ({str(error).partition(chr(10))[0]}):"
            " try another dtype, and for a mixture of experts model.set_experts_implementation('eager')"
        ) from None


def _writers_sum_to_stream(described: Described, activations: Activations, taps: _Streams) -> None:
    written = writes(described, activations)  # (U, B, T, D)
    constants = [torch.zeros_like(activations.embed)]  # after each part
    constants += [constants[0] if part.output_bias is None else part.output_bias for part in described.parts]
    places = described.graph.base.parts
    for index, place in enumerate(places):
        before = sum(1 for other in places if other.rows.stop <= place.seen)
        summed = written[: place.seen].sum(0) + sum(constants[: before + 1])
        problem = f"the writers do not add up to the stream before the {place.kind} of block {place.layer}"
        _agree(problem, summed, taps.streams[index], additions=index + 2)
    summed = written.sum(0) + sum(constants)
    _agree("the writers do not add up to the stream at the end", summed, taps.ends[0], len(places) + 2)


def _norms_as_described(described: Described, taps: _Streams) -> None:
    for index, (place, part) in enumerate(zip(described.graph.base.parts, described.parts, strict=True)):
        if index not in taps.inputs:
            continue
        problem = f"the norm of block {place.layer} is not the one described"
        least = torch.finfo(torch.float32).eps  # some norms work in float32
        _agree(problem, part.norm.described(taps.streams[index]), taps.inputs[index], least=least)


def _parts_by_themselves(components: Components, taps: _Streams) -> None:
    described, gave = components.described, taps.activations.parts
    for index, (place, part) in enumerate(zip(described.graph.base.parts, described.parts, strict=True)):
        if isinstance(part, Heads):
            outputs = {module: taps.outputs[index][ports] for module, ports in part.projections.items()}
            problem = f"the attention of block {place.layer} reads the stream elsewhere than at its q, k and v ports"
            _agree(problem, components.attend(index, outputs), taps.values[index])
        else:
            problem = f"the {place.kind} of block {place.layer} gives something else by itself than in the model"
            _agree(problem, components.run(index, taps.inputs[index]), gave[index])


def _weights_as_read(described: Described, taps: _Streams) -> None:
    """A projection must give what the weight that is read of it gives: one that is quantised, say, may do otherwise."""
    places = described.graph.base.parts
    for index, part in described.heads:
        normed = part.norm(taps.streams[index])
        for module, ports in part.projections.items():
            for port in ports:
                projection = part.projection(port)
                gives = torch.einsum("btd,hkd->bthk", normed, projection.weight.to(normed)) + projection.bias
                problem = (
                    f"the {port} projection of block {places[index].layer} ({type(module).__name__}) is not its weight"
                )
                _agree(problem, gives, projection.take(taps.outputs[index][ports]))


def _agree(problem: str, value: Tensor, expected: Tensor, additions: int = 1, least: float = 0.0) -> None:
    """Raise unless two tensors agree to the rounding of so many additions, relative to the largest entry.

    ``least`` is the least rounding to allow for, where the model computes in a narrower dtype than its own.
    """
    difference = float((value - expected).abs().max())
    scale = max(float(expected.abs().max()), 1e-6)
    if not difference <= 64 * additions * max(torch.finfo(expected.dtype).eps, least) * scale:
        raise InputError(
            f"this model cannot be read as its family is described: {problem}, by {difference:.2e} of {scale:.2e};"
            " circuitsearch refuses it rather than give wrong scores"
        )
