"""The logit lens: the model's prediction if it stopped at a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.engine.components import Components
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import checking, read_safetensors, write_whole
from circuitsearch.instruments.columns import Columns, columns_of, in_order, token_name
from circuitsearch.instruments.passes import batches, record, subject
from circuitsearch.instruments.result import Result
from circuitsearch.models.describe import Described
from circuitsearch.task import Task

_WHAT = "a tuned lens, safetensors with weight and bias"
_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
Translator = Callable[
    [int, Tensor], Tensor
]  # (layer, stream (..., D)) -> the stream for the final norm and unembedding


@dataclass(frozen=True, eq=False)
class LogitLens(Result):
    """The unembedding applied to the stream, layer by layer.

    Attributes
    ----------
    layers : tuple of str
        L + 1 rows: the stream before block 0, 1, ..., and ``end``, where the lens is the model itself.
    columns : tuple of str
        Positions or spans.
    probability, rank, entropy : Tensor
        (L + 1, C), averaged over a column's tokens and the prompts: the right answers' probability; the rank of the best of
        them, 0 for the most likely token; and the entropy of the distribution in nats.
    kl : Tensor
        (L + 1, C), KL divergence from the model's own distribution at that token to that of the lens, in nats.
    top : tuple
        (L + 1, C, k) pairs of token and its mean probability, the most likely first.
    tuned : bool
        Whether a translator was applied.
    task : str
    n : int
        Number of prompts.
    """

    layers: tuple[str, ...]
    columns: tuple[str, ...]
    probability: Tensor
    rank: Tensor
    entropy: Tensor
    kl: Tensor
    top: tuple[tuple[tuple[tuple[str, float], ...], ...], ...]
    tuned: bool
    task: str
    n: int

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        rows = [
            (layer, f"{p[-1]:.3f}", f"{r[-1]:.1f}", f"{h[-1]:.2f}", top[-1][0][0])
            for layer, p, r, h, top in zip(
                self.layers, self.probability.tolist(), self.rank.tolist(), self.entropy.tolist(), self.top, strict=True
            )
        ]
        return (f"at {self.columns[-1]!r}", " probability", " rank", " entropy", "most likely"), rows


@dataclass(frozen=True, eq=False)
class TunedLens:
    """Affine translators, one per block: stream + stream @ weight.T + bias (Belrose et al., 2303.08112).

    Attributes
    ----------
    weight : Tensor
        (L, D, D), for the stream before block 0, 1, ...; the final stream is not changed.
    bias : Tensor
        (L, D).
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, layer: int, stream: Tensor) -> Tensor:
        """Translate the stream (..., D) before block ``layer``."""
        if layer >= len(self.weight):
            return stream
        return stream + stream @ self.weight[layer].to(stream).T + self.bias[layer].to(stream)

    def save(self, path: str | Path) -> None:
        """Write ``weight`` and ``bias`` as safetensors."""
        tensors = {"weight": self.weight.contiguous(), "bias": self.bias.contiguous()}
        write_whole(path, lambda part: save_file(tensors, part))

    @classmethod
    def load(cls, path: str | Path) -> TunedLens:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If the file is not a tuned lens.
        """
        tensors, _ = read_safetensors(path, _WHAT)
        with checking(path, _WHAT):
            if tensors.keys() != {"weight", "bias"}:
                raise InputError("it must hold the tensors 'weight' and 'bias'")
            weight, bias = tensors["weight"], tensors["bias"]
            if weight.dim() != 3 or weight.shape[1] != weight.shape[2] or bias.shape != weight.shape[:2]:
                shapes = shortened(f"{list(weight.shape)} and {list(bias.shape)}")
                raise InputError(f"weight must be (L, D, D) and bias (L, D), not {shapes}")
            if not all(each.dtype in _DTYPES and bool(each.isfinite().all()) for each in (weight, bias)):
                raise InputError("its numbers must be finite and of a floating-point type")
            return cls(weight, bias)


def logit_lens(
    model: Any,
    task: Task,
    *,
    spans: Sequence[str] = (),
    translator: Translator | None = None,
    top: int = 5,
    tokenizer: Any = None,
) -> LogitLens:
    """Apply the model's own final norm and unembedding to the stream at every layer of the clean runs.

    nostalgebraist, interpreting GPT: the logit lens, 2020; with a ``translator`` the tuned lens of Belrose et al.,
    2303.08112. At every token the probability is that of the task's answer, although the task reads it at one token only.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Prompts with their answers.
    spans : sequence of str
        Token spans to average over; by default every position, which needs prompts of one length.
    translator : callable, optional
        (layer, stream (..., D)) -> (..., D), before the final norm: a :class:`TunedLens`.
    top : int
        Number of the most likely tokens in each cell.
    tokenizer
        To write tokens as text.

    Raises
    ------
    InputError
        If model, task, spans and translator do not fit.
    """
    described, columns = subject(model, task), columns_of(task, spans, tokenizer)
    _check(translator, described)
    numbers: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(described.graph.n_layers + 1)]
    means = [torch.zeros(len(columns), 0)] * len(numbers)
    for batch in batches(described, task):
        for layer, (cells, mean) in enumerate(_read(described, columns, batch, translator)):
            numbers[layer].append((batch.rows, cells))
            means[layer] = means[layer] + mean if means[layer].numel() else mean
    stacked = torch.stack([in_order(each, len(task)).mean(0) for each in numbers])  # (L + 1, C, 4)
    probability, rank, entropy, kl = stacked.unbind(-1)
    likely = tuple(_likely(mean / len(task), top, tokenizer) for mean in means)
    layers = (*map(str, range(described.graph.n_layers)), "end")
    tuned = translator is not None
    return LogitLens(layers, columns.names, probability, rank, entropy, kl, likely, tuned, task.name, len(task))


def _check(translator: Translator | None, described: Described) -> None:
    expected = (described.graph.n_layers, described.d_model, described.d_model)
    if isinstance(translator, TunedLens) and tuple(translator.weight.shape) != expected:
        raise InputError(
            f"the tuned lens has the shape {list(translator.weight.shape)}, and this model needs {list(expected)}"
        )


def _read(described: Described, columns: Columns, batch: Batch, translator: Translator | None):
    """For each layer the numbers (B, C, 4), and the summed distribution over tokens (C, vocabulary)."""
    run = record(described, batch.clean, batch.position)
    components = Components(described, batch.clean, None)
    own = _distribution(components, run.streams[-1])
    for layer, stream in enumerate(run.streams):
        seen = (
            own if layer == len(run.streams) - 1 else _distribution(components, _translated(translator, layer, stream))
        )
        cells = columns.average(_numbers(seen, own, batch.answers), batch)
        yield cells, columns.average(seen.exp(), batch).sum(0).cpu().double()


def _translated(translator: Translator | None, layer: int, stream: Tensor) -> Tensor:
    return stream if translator is None else translator(layer, stream)


@torch.no_grad()
def _distribution(components: Components, stream: Tensor) -> Tensor:
    """Log probabilities (B, T, vocabulary) from a stream (B, T, D), by the model's final norm and unembedding."""
    logits = components.unembed(stream.flatten(0, 1))
    wide = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(wide).log_softmax(-1).unflatten(0, stream.shape[:2])


def _numbers(seen: Tensor, own: Tensor, answers: Tensor) -> Tensor:
    """Probability, rank, entropy and KL divergence (B, T, 4) of log probabilities (B, T, vocabulary)."""
    at = seen.gather(-1, answers.clamp(min=0)[:, None].expand(-1, seen.shape[1], -1))  # (B, T, k)
    at = at.masked_fill((answers < 0)[:, None], -torch.inf)
    rank = (seen > at.amax(-1, keepdim=True)).sum(-1).to(seen)
    entropy = -(seen.exp() * seen).sum(-1)
    kl = (own.exp() * (own - seen)).sum(-1)
    return torch.stack([at.exp().sum(-1), rank, entropy, kl], -1)


def _likely(mean: Tensor, count: int, tokenizer: Any) -> tuple[tuple[tuple[str, float], ...], ...]:
    found = mean.topk(min(count, mean.shape[-1]))
    return tuple(
        tuple((token_name(token, tokenizer), value) for token, value in zip(tokens, values, strict=True))
        for tokens, values in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    )
