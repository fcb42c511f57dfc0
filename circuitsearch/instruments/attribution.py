"""Direct logit attribution: what each writer adds to the answer's logit by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.engine.components import Components
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.instruments.columns import in_order
from circuitsearch.instruments.passes import Recording, record
from circuitsearch.instruments.result import Result
from circuitsearch.instruments.subject import subject
from circuitsearch.models.describe import Described
from circuitsearch.models.precision import widened
from circuitsearch.models.weights import read_weight
from circuitsearch.task import Task

BIAS = "bias"


@dataclass(frozen=True, eq=False)
class DirectLogit(Result):
    """What every writer adds directly to the answer's logit, or to its difference from the wrong answer's logit.

    Attributes
    ----------
    writers : tuple of str
        ``embed``, every head, MLP and mixer, and ``bias``: the constants that belong to no head, the final norm's shift and
        the unembedding's bias.
    values : Tensor
        (W,), float64, averaged over prompts, in logits: positive if the writer raises the answer.
    per_prompt : Tensor
        (N, W); each row sums to the prompt's logit.
    logit : Tensor
        (N,), the model's own logit, or logit difference; before the soft cap, if there is one.
    error : float
        The largest difference, over prompts, between the sum of a row and the logit.
    target : str
        ``"logit difference"`` (mean of right answers minus mean of wrong ones) or ``"logit"`` of the right ones.
    capped : bool
        Whether the model applies a soft cap to its logits (Gemma 2). A capped logit is not a sum over writers, so the
        attribution is to the logit before the cap.
    """

    writers: tuple[str, ...]
    values: Tensor
    per_prompt: Tensor
    logit: Tensor
    error: float
    target: str
    capped: bool
    graph: Graph
    task: str

    def __getitem__(self, writer: str) -> float:
        """One writer's attribution: ``result["a9.h9"]``."""
        at = len(self.writers) - 1 if writer == BIAS else self.graph.find_writer(writer)
        return float(self.values[at])

    def to_dict(self) -> dict[str, Any]:
        """All numbers; the graph is left out, since the writers' names contain it."""
        values = dict(zip(self.writers, self.values.tolist(), strict=True))
        return {
            "task": self.task,
            "target": self.target,
            "capped": self.capped,
            "error": self.error,
            "values": values,
            "logit": self.logit.tolist(),
            "per_prompt": self.per_prompt.tolist(),
        }

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        order = self.values.abs().sort(descending=True, stable=True).indices[:10].tolist()
        return ("writer", f" {self.target}"), [(self.writers[at], f"{float(self.values[at]):+.4f}") for at in order]


def direct_logit(model: Any, task: Task, *, against_wrong: bool = True) -> DirectLogit:
    """Attribute the answer's logit to the writers, with the final norm's scale fixed at its value in each run.

    With a fixed scale the map from the residual stream to a logit is linear, so the contributions of the writers and the
    constants sum to the logit exactly. A factor by which the model multiplies its logits (Cohere, Granite) is part of the
    map. (The logit lens applied to each writer: nostalgebraist 2020; Elhage et al. 2021; as used for heads by Wang et al.,
    2211.00593.)

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Prompts, their answers, and the position at which they are read.
    against_wrong : bool
        Attribute the difference from the wrong answers' mean logit; else the right answers' logit alone.

    Raises
    ------
    InputError
        If model and task do not fit, or the model's logits are not a multiple or soft cap of its unembedding's output.
    """
    seen = subject(model, task)

    def attributed(batch: Batch) -> tuple[Tensor, bool]:  # (B, W + 1), last the logit
        run = record(seen.described, batch.clean, batch.position)
        logit_map = LogitMap.out_of(seen.described, at_position(run.streams[-1], batch), batch.clean)
        weights = answer_weights(logit_map.raw, batch, against_wrong)
        direction = logit_map.direction(weights)
        constant = _constant(run, logit_map, direction) + logit_map.bias(weights)
        logit = (logit_map.raw * weights).sum(-1, keepdim=True)
        return torch.cat([_written(run, batch, logit_map, direction), constant, logit], 1), logit_map.capped

    kept: list[tuple[Tensor, Tensor]] = []
    capped = False
    for batch, (values, is_capped) in seen.over(task, attributed):
        kept.append((batch.rows, values))
        capped = is_capped
    found, graph = in_order(kept, len(task)), seen.described.graph.base
    per_prompt, logit = found[:, :-1], found[:, -1]
    return DirectLogit(
        writers=(*graph.writers, BIAS),
        values=per_prompt.mean(0),
        per_prompt=per_prompt,
        logit=logit,
        error=float((per_prompt.sum(1) - logit).abs().max()),
        target="logit difference" if against_wrong else "logit",
        capped=capped,
        graph=graph,
        task=task.name,
    )


@dataclass(frozen=True)
class LogitMap:
    """The map from the final residual stream to the logits of R rows, linear since each row's norm is frozen.

    Attributes
    ----------
    described : Described
    inverse_scale : Tensor
        (R, 1), of the final norm.
    factor : float
        Multiplier of the logits.
    raw : Tensor
        (R, vocabulary), the model's logits before a soft cap.
    capped : bool
    """

    described: Described
    inverse_scale: Tensor
    factor: float
    raw: Tensor
    capped: bool

    @classmethod
    def out_of(cls, described: Described, end: Tensor, ids: Tensor) -> LogitMap:
        """From the final residual stream (R, D) of a run of ``ids``."""
        norm = described.final_norm
        made = Components(described, ids, None).unembed(end)
        raw = described.model.get_output_embeddings().forward(norm(end))
        factor, capped = _factor(described, raw, made)
        return cls(described, norm.normalise(end)[1], factor, raw * factor, capped)

    def logits(self, stream: Tensor) -> Tensor:
        """The logits (R, vocabulary) of another stream (R, D), before a soft cap; the logit lens."""
        return self._unembedding.forward(self.described.final_norm(stream)) * self.factor

    def direction(self, weights: Tensor) -> Tensor:
        """Direction of the normed stream that gives a sum of the logits with weights (R, vocabulary): (R, D)."""
        weight = read_weight(self._unembedding)
        return widened(weights.to(weight) @ weight) * self.factor

    def bias(self, weights: Tensor) -> Tensor:
        """What the unembedding's own bias adds to a sum of the logits with weights (R, vocabulary): (R, 1)."""
        bias = getattr(self._unembedding, "bias", None)
        return torch.zeros_like(weights[:, :1]) if bias is None else (weights @ widened(bias) * self.factor)[:, None]

    @property
    def _unembedding(self) -> Any:
        return self.described.model.get_output_embeddings()

    def effect(self, written: Tensor, direction: Tensor) -> Tensor:
        """What ``written`` (W, R, D) adds to the logits along a ``direction`` (R, D): (R, W)."""
        return torch.einsum("wrd,rd->rw", widened(written), self.into_stream(direction))

    def normed(self, written: Tensor) -> Tensor:
        """What ``written`` (W, R, D) adds to the normed stream of each row: (W, R, D)."""
        norm = self.described.final_norm
        centred = written - written.mean(-1, keepdim=True) if norm.centred else written
        return centred * self.inverse_scale * norm.gain

    def unembedded(self, normed: Tensor) -> Tensor:
        """The logits (..., vocabulary) of what is added to the normed stream (..., D)."""
        weight = read_weight(self._unembedding)
        return normed.to(weight) @ weight.T * self.factor

    def into_stream(self, direction: Tensor) -> Tensor:
        """A direction (R, D) of the normed stream as one of the stream."""
        norm = self.described.final_norm
        pulled = direction * norm.gain * self.inverse_scale
        return pulled - pulled.mean(-1, keepdim=True) if norm.centred else pulled  # as if the write were centred


_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")  # its names in different families


def _factor(described: Described, raw: Tensor, made: Tensor) -> tuple[float, bool]:
    """How the model changes its unembedding's output (R, vocabulary): the factor, and whether there is a soft cap."""
    scale = float(made.abs().max().clamp(min=1e-6))
    near = 256 * torch.finfo(raw.dtype).eps * scale
    # The factor is needed exactly, and not every device has float64.
    own, changed = raw.cpu().double(), made.cpu().double()
    factor = float((changed * own).sum() / own.square().sum().clamp(min=1e-30))
    named = getattr(described.model.config, "logit_scale", None)
    factor = float(named) if isinstance(named, float) and abs(named - factor) <= 1e-4 * abs(factor) else factor
    factor = 1.0 if abs(factor - 1) < 64 * torch.finfo(raw.dtype).eps else factor
    if float((raw * factor - made).abs().max()) <= near:
        return factor, False
    cap = next((cap for name in _CAPS if (cap := getattr(described.model.config, name, None))), None)
    if cap and float((torch.tanh(raw / cap) * cap - made).abs().max()) <= 64 * near:
        return 1.0, True
    raise InputError(
        f"the logits of a {described.model.config.model_type!r} model are neither its unembedding's output, nor a multiple"
        " of it, nor a soft cap of it: they cannot be attributed to the writers"
    )


def at_position(tensor: Tensor, batch: Batch) -> Tensor:
    """Select the position that the metric reads: (B, T, ...) -> (B, ...)."""
    return tensor[torch.arange(len(tensor), device=tensor.device), batch.position]


def answer_weights(like: Tensor, batch: Batch, against_wrong: bool = True) -> Tensor:
    """Weights (B, vocabulary) whose sum is the mean logit of the right answers minus that of the wrong ones."""
    right = _means(like, batch.answers)
    return right - _means(like, batch.wrong) if against_wrong else right


def _means(like: Tensor, tokens: Tensor) -> Tensor:
    """Weights (B, vocabulary) of the mean over ``tokens`` (B, k); -1 is padding."""
    there = (tokens >= 0).to(like)
    shares = there / there.sum(-1, keepdim=True).clamp(min=1)
    return torch.zeros_like(like).scatter_add_(-1, tokens.clamp(min=0), shares)


def _written(run: Recording, batch: Batch, logit_map: LogitMap, direction: Tensor) -> Tensor:
    """What each writer of the graph adds: (B, U)."""
    effects = [logit_map.effect(at_position(run.start, batch)[None], direction)]
    for index, part in enumerate(run.described.parts):
        output = at_position(run.outputs[index], batch)
        if part.output_weight is None:
            effects.append(logit_map.effect(output[None], direction))
        else:
            effects.append(logit_map.effect(torch.einsum("bhk,hkd->hbd", output, part.output_weight), direction))
    return torch.cat(effects, 1)


def _constant(run: Recording, logit_map: LogitMap, direction: Tensor) -> Tensor:
    """What the attentions' output biases and the final norm's shift add: (B, 1)."""
    total, shift = torch.zeros_like(direction[:, :1]), run.described.final_norm.shift
    for part in run.described.parts:
        if part.output_bias is not None:
            total = total + logit_map.effect(part.output_bias.expand_as(direction)[None], direction)
    return total if shift is None else total + (direction @ widened(shift))[:, None]
