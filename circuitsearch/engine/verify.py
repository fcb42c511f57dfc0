"""Verification that a model is read correctly, run before anything is computed with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from circuitsearch.ablation import Resample
from circuitsearch.engine.components import Components, recorded_calls
from circuitsearch.engine.kernels import writes
from circuitsearch.engine.pair import pairs
from circuitsearch.engine.prefix import run_whole
from circuitsearch.engine.reference import ReplayContext, run_reference
from circuitsearch.engine.trace import Activations, Reading, Record, run
from circuitsearch.errors import InputError
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.models.describe import Described, describe
from circuitsearch.models.parts import Heads
from circuitsearch.models.precision import CoarsestRounding
from circuitsearch.models.weights import all_weights, is_finite
from circuitsearch.task import Task

LENGTH_SCALED = {"dynamic", "longrope"}  # rotary positions whose frequencies depend on the length of the whole prompt
FIXED_LENGTH = 6  # tokens of the prompt that every model is run on
REPLAYED = 2  # prompts of a task, and their corrupt ones, on which the full graph is compared with the model
MEMORY = 1 << 28  # bytes of the chunks in which they run
LARGEST = 1 / 8  # whatever the dtype, no difference above this share of the largest entry is rounding
LARGEST_ROUTED = 1 / 2  # but where rounding in half precision may make a router choose another expert


@dataclass
class _Streams(Record):
    """Record the writers, the stream at every reader, and every part's input and output."""

    streams: dict[int, Tensor] = field(default_factory=dict)
    outputs: dict[int, dict[tuple[str, ...], Tensor]] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)
    ends: list[Tensor] = field(default_factory=list)

    def stream(self, index: int, stream: Tensor) -> None:
        self.streams[index] = stream

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> None:
        self.outputs.setdefault(index, {})[ports] = output

    def head_values(self, index: int, values: Tensor) -> None:
        self.values[index] = values

    def part_input(self, index: int, normed: Tensor) -> None:
        self.inputs[index] = normed

    def final_stream(self, stream: Tensor) -> None:
        self.ends.append(stream)


def verified(model: Any, task: Task | None = None, granularity: Granularity = WHOLE) -> Described:
    """Describe a model, in nodes of a granularity, and verify the description by running the model.

    It is run on a short fixed prompt and, if there is a task, on the task's first prompts. Verified are: the writers' sum
    equals the stream at every reader; the norms are what their description says; each part, run by itself on what its
    ports read, computes what it computes in the model, so that nothing else of the stream enters it; the hooked run gives the
    model's own logits, and so does the circuit that keeps every edge. A difference counts as rounding up to what the
    narrowest dtype explains that the model itself works in. Whether later tokens change the activations of earlier ones
    is measured; only if they do not are prompts of different lengths padded into one batch.

    Raises
    ------
    InputError
        If the family is unknown, the model is in training mode, a check fails (the difference is named), logits are
        not finite, the task's ids or lengths do not fit the model, or the granularity does not fit the model or the task.
    """
    described = describe(model, granularity)
    _check_state(described.model)
    if task is not None:
        check_fit(described, task)
    with torch.no_grad(), _explained(granularity):
        ids = _fixed_ids(described)
        with CoarsestRounding() as rounding:
            plain = _own_logits(described, ids, _last(ids))
        described = replace(described, causal=_verify_parts(described, ids, plain, rounding.eps))
        if task is not None:
            ids = torch.as_tensor(task.clean[0], device=described.device)[None]
            _verify_parts(described, ids, _own_logits(described, ids, _last(ids)), rounding.eps)
            _verify_full_graph(described, task.subset(range(min(REPLAYED, len(task)))), rounding.eps)
        elif not described.graph.spans:  # whose places only a task knows
            _verify_full_graph(described, _fixed_task(described), rounding.eps)
    return described


def _check_state(model: Any) -> None:
    if model.training:
        raise InputError("the model is in training mode, where dropout changes every run: call model.eval() first")
    hooked = next((module for module in model.modules() if module._backward_hooks or module._backward_pre_hooks), None)
    if hooked is not None:
        raise InputError(
            f"a {type(hooked).__name__} of the model has a backward hook, which may change the gradients that edges are"
            " scored by: remove it first"
        )


def check_fit(described: Described, task: Task) -> None:
    """Raise an InputError that names the row unless a task's ids, lengths and token spans fit a model and its granularity."""
    granularity = described.graph.granularity
    task.check_spans(granularity.spans)
    if granularity.positions:
        task.check_length(granularity.positions)
    task.check_vocabulary(described.vocabulary_size)
    task.check_prompts_differ()
    limit = described.n_positions
    if limit is not None and task.max_length > limit:
        lengths = [max(map(len, pair)) for pair in zip(task.clean, task.corrupt, strict=True)]
        row = next(row for row, length in enumerate(lengths, 1) if length > limit)
        raise InputError(
            f"task {task.name!r}, row {row}: the prompt has {lengths[row - 1]} tokens,"
            f" more than the {limit} positions that the model can read: shorten it"
        )


@contextmanager
def _explained(granularity: Granularity) -> Iterator[None]:
    """Say of an error that nodes by expert may be its cause."""
    try:
        yield
    except InputError as error:
        if not granularity.experts:
            raise
        raise InputError(f"the experts of this model cannot be nodes, or it cannot be read at all: {error}") from None


def _fixed_ids(described: Described) -> Tensor:
    """(1, T), T being less than usual where the model reads fewer positions."""
    length, vocabulary = min(FIXED_LENGTH, described.n_positions or FIXED_LENGTH), described.model.config.vocab_size
    step = 7 if vocabulary % 7 else 5
    return torch.arange(length, device=described.device)[None] * step % vocabulary


def _fixed_task(described: Described) -> Task:
    """The fixed prompt, and one that differs from it at every token."""
    clean = _fixed_ids(described)
    return Task.from_ids(clean, (clean + 1) % described.model.config.vocab_size, [0], [1], name="verification")


# ---- the description, part by part


def _verify_parts(described: Described, ids: Tensor, plain: Tensor, eps: float) -> bool:
    """Compare what the description says with what the model does on one prompt (1, T); return whether it is causal there.

    ``plain`` (1, vocabulary) are the model's own logits at the last token.
    """
    taps = _Streams()
    with recorded_calls(described) as calls, _hooks_named():
        hooked = run(described, ids, _last(ids), taps)
    agree = _Agreement(eps)
    agree("the logits of the hooked run differ from the model's own", hooked, plain)
    _writers_sum_to_stream(described, taps.activations, taps, agree)
    _norms_as_described(described, taps, agree)
    _parts_by_themselves(Components(described, ids, None, calls), taps, agree)
    _weights_as_read(described, taps, agree)
    return _is_causal(described, ids, taps.activations, agree)


def _last(ids: Tensor) -> Tensor:
    """The last position (1,) of a prompt (1, T)."""
    return torch.tensor([ids.shape[1] - 1], device=ids.device)


def _own_logits(described: Described, ids: Tensor, position: Tensor) -> Tensor:
    """The model's logits (B, vocabulary), as it gives them itself for ``ids`` (B, T), at a position (B,) of each, or K of them."""
    read = Reading(position)
    try:
        logits = described.model(input_ids=ids, use_cache=False, logits_to_keep=read.positions).logits
    except RuntimeError as error:
        raise InputError(
            f"the model itself cannot be run in {_name(described.dtype)} ({str(error).partition(chr(10))[0]}):"
            " try another dtype, and for a mixture of experts model.set_experts_implementation('eager')"
        ) from None
    logits = read.of_each_prompt(logits)
    if not logits.isfinite().all():
        raise InputError(_not_finite(described))
    return logits if position.dim() == 2 else logits.squeeze(1)


def _not_finite(described: Described) -> str:
    """Why logits are not finite: a weight that is not, or numbers too large for the dtype."""
    broken = next((name for name, each in all_weights(described.model) if not is_finite(each)), None)
    if broken is not None:
        return f"the model's logits are not finite (NaN or infinite), and neither are its weights in {broken}: load it again"
    largest = torch.finfo(described.dtype).max
    return (
        f"the model's logits are not finite (NaN or infinite), though its weights are: its own activations exceed {largest:.4g},"
        f" the largest number in {_name(described.dtype)}; load it with dtype='bfloat16' or 'float32'"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _writers_sum_to_stream(described: Described, activations: Activations, taps: _Streams, agree: _Agreement) -> None:
    written = writes(described, activations)  # (U, B, T, D)
    constants = [torch.zeros_like(activations.embed)]  # after each part
    constants += [constants[0] if part.output_bias is None else part.output_bias for part in described.parts]
    parts = described.graph.base.parts
    for index, nodes in enumerate(parts):
        before = sum(1 for other in parts if other.rows.stop <= nodes.seen)
        summed = written[: nodes.seen].sum(0) + sum(constants[: before + 1])
        problem = f"the writers do not add up to the stream before the {nodes.kind} of block {nodes.layer}"
        agree(problem, summed, taps.streams[index], additions=index + 2)
    summed = written.sum(0) + sum(constants)
    agree("the writers do not add up to the stream at the end", summed, taps.ends[0], len(parts) + 2)


def _norms_as_described(described: Described, taps: _Streams, agree: _Agreement) -> None:
    for index, (nodes, part) in enumerate(zip(described.graph.base.parts, described.parts, strict=True)):
        if index in taps.inputs:
            problem = f"the norm of block {nodes.layer} is not the one described"
            agree(problem, part.norm.described(taps.streams[index]), taps.inputs[index])


def _parts_by_themselves(components: Components, taps: _Streams, agree: _Agreement) -> None:
    described = components.described
    for index, (nodes, part) in enumerate(zip(described.graph.base.parts, described.parts, strict=True)):
        if isinstance(part, Heads):
            outputs = {module: taps.outputs[index][ports] for module, ports in part.projections.items()}
            problem = f"the attention of block {nodes.layer} reads the stream elsewhere than at its q, k and v ports"
            agree(problem, components.attend(index, outputs), taps.values[index])
        else:
            problem = f"the {nodes.kind} of block {nodes.layer} computes something else by itself than in the model"
            agree(problem, components.run(index, taps.inputs[index]), taps.activations.parts[index])


def _weights_as_read(described: Described, taps: _Streams, agree: _Agreement) -> None:
    """Check that a projection's output is that of its weight; that of a quantised one, for instance, may differ."""
    parts = described.graph.base.parts
    for index, part in described.heads:
        normed = part.norm(taps.streams[index])
        for module, ports in part.projections.items():
            for port in ports:
                projection = part.projection(port)
                output = torch.einsum("btd,hkd->bthk", normed, projection.weight.to(normed)) + projection.bias
                problem = (
                    f"the {port} projection of block {parts[index].layer} ({type(module).__name__}) is not its weight"
                )
                # A sum of D products, most of which cancel where a large direction of the stream is not read.
                terms = isqrt(projection.weight.shape[-1])
                agree(problem, output, projection.take(taps.outputs[index][ports]), additions=terms)


def _is_causal(described: Described, ids: Tensor, activations: Activations, agree: _Agreement) -> bool:
    """Whether the first half of a prompt (1, T), run alone, has the activations that it has in the whole prompt."""
    if LENGTH_SCALED & set(_rotary_types(described.model)):
        return False
    half = max(1, ids.shape[1] // 2)
    alone, _ = run_whole(described, ids[:, :half], 0)
    pairs_of_values = [(alone.embed, activations.embed), *zip(alone.parts, activations.parts, strict=True)]
    additions = len(described.parts) + 2  # every part reads what all before it have rounded
    return all(agree.holds(value, whole[:, :half], additions) for value, whole in pairs_of_values)


def _rotary_types(model: Any) -> Iterator[str]:
    """The kinds of rotary positions that a model has, which some models choose by layer."""
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        yield from kinds.values() if isinstance(kinds, dict) else filter(None, [kinds])


# ---- the full graph


def _verify_full_graph(described: Described, task: Task, eps: float) -> None:
    """Compare the logits of the circuit that keeps every edge with the model's own, on clean and on corrupt prompts."""
    problem = "the circuit that keeps every edge does not give the model's own logits"
    for pair in pairs(described, _both_ways(task), Resample(), MEMORY):
        own = _own_logits(described, pair.batch.clean, pair.batch.position)
        with _hooks_named():
            full = run_reference(ReplayContext(pair), described.graph.mask).logits
        agree = _Agreement(eps, LARGEST_ROUTED if _routes(described) else LARGEST)
        agree(problem, full, own, additions=len(described.parts) + 2)


def _both_ways(task: Task) -> Task:
    """The task, and then its pairs with clean and corrupt prompts exchanged, if these are of equal lengths."""
    if task.aligned:
        return task
    twice = task.subset([*range(len(task))] * 2)
    return replace(twice, clean=(*task.clean, *task.corrupt), corrupt=(*task.corrupt, *task.clean))


def _routes(described: Described) -> bool:
    """Whether a router chooses experts anywhere in the model."""
    return any(name.endswith("experts") for name, _ in described.model.named_modules())


@contextmanager
def _hooks_named() -> Iterator[None]:
    """Whatever a model's own forward pass survives and the engine's does not comes of code that was put into the model."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the model runs, but not with its parts called one by one ({type(error).__name__}:"
            f" {str(error).partition(chr(10))[0][:80]}): remove hooks and patched functions from it"
        ) from error


@dataclass(frozen=True)
class _Agreement:
    """Raises unless two tensors agree to the rounding ``eps`` of so many additions, relative to the largest entry."""

    eps: float
    largest: float = LARGEST

    def __call__(self, problem: str, value: Tensor, expected: Tensor, additions: int = 1) -> None:
        if not self.holds(value, expected, additions):
            raise InputError(
                f"this model cannot be read as its family is described: {problem}, by {_difference(value, expected):.2e} of"
                f" {_scale(expected):.2e}; circuitsearch refuses it rather than give wrong scores"
            )

    def holds(self, value: Tensor, expected: Tensor, additions: int = 1) -> bool:
        """Whether the tensors agree."""
        bound = min(64 * additions * self.eps, self.largest) * _scale(expected)
        return _difference(value, expected) <= bound


def _difference(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).abs().max())


def _scale(expected: Tensor) -> float:
    return max(float(expected.abs().max()), 1e-6)
