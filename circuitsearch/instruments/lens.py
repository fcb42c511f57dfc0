"""The logit lens: the model's prediction if it stopped at a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.engine.components import Components
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import checking, read_safetensors, write_whole
from circuitsearch.instruments.columns import Columns, columns_of, in_order, token_name
from circuitsearch.instruments.passes import record_streams
from circuitsearch.instruments.result import Result
from circuitsearch.instruments.subject import Subject, subject
from circuitsearch.models.describe import Described
from circuitsearch.task import Task

DISTRIBUTIONS = 8  # over the whole vocabulary for each token: the lens's and the model's own, and what is made of them
MEANS = 3  # of each layer and column: the sum over all prompts, in float64, and a batch's
_WHAT = "a tuned lens, safetensors with weight and bias"
Likely = tuple[tuple[str, float], ...]  # tokens with their probabilities, the likeliest first
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
    top: tuple[tuple[Likely, ...], ...]
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
    seen, columns = subject(model, task), columns_of(task, spans, tokenizer)
    described = seen.described
    _check(translator, described)
    lens = _Lens(seen, columns, translator)
    layers = (*map(str, range(described.graph.n_layers)), "end")
    numbers = torch.empty(len(layers), len(columns), 4, dtype=torch.float64)
    likely: dict[tuple[int, int], Likely] = {}
    for cells in lens.groups():
        numbers[cells.slices], means = lens.averaged(task, cells)
        likely |= dict(zip(cells, (_likely(mean, top, tokenizer) for mean in means.flatten(0, 1)), strict=True))
    probability, rank, entropy, kl = numbers.unbind(-1)  # (L + 1, C) each
    tops = tuple(tuple(likely[layer, column] for column in range(len(columns))) for layer in range(len(layers)))
    tuned = translator is not None
    return LogitLens(layers, columns.names, probability, rank, entropy, kl, tops, tuned, task.name, len(task))


def _check(translator: Translator | None, described: Described) -> None:
    expected = (described.graph.n_layers, described.d_model, described.d_model)
    if isinstance(translator, TunedLens) and tuple(translator.weight.shape) != expected:
        raise InputError(
            f"the tuned lens has the shape {list(translator.weight.shape)}, and this model needs {list(expected)}"
        )


@dataclass(frozen=True)
class _Cells:
    """Some layers, at some columns."""

    layers: range
    columns: range

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return product(self.layers, self.columns)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The cells among all layers and columns."""
        return slice(self.layers.start, self.layers.stop), slice(self.columns.start, self.columns.stop)


@dataclass(frozen=True)
class _Lens:
    """The distributions over tokens, some layers and tokens at a time: over the vocabulary they are far wider than the stream."""

    subject: Subject
    columns: Columns
    translator: Translator | None

    def groups(self) -> Iterator[_Cells]:
        """All cells in groups whose mean distributions fit into memory; the model is run again for each."""
        layers, columns = range(self.subject.described.graph.n_layers + 1), range(len(self.columns))
        at_once = self.subject.rows_at_once(MEANS)
        high, wide = max(1, at_once // len(columns)), min(len(columns), at_once)
        for first, left in product(range(0, len(layers), high), range(0, len(columns), wide)):
            yield _Cells(layers[first : first + high], columns[left : left + wide])

    def averaged(self, task: Task, cells: _Cells) -> tuple[Tensor, Tensor]:
        """Means over the prompts: the numbers (layers, columns, 4) and the distributions (layers, columns, vocabulary) of some cells."""
        kept: list[tuple[Tensor, Tensor]] = []
        total = None
        for batch, (numbers, summed) in self.subject.over(task, partial(self._read, cells=cells)):
            kept.append((batch.rows, numbers))
            total = summed.cpu().double() if total is None else total.add_(summed.cpu())
        assert total is not None  # a task has prompts
        return in_order(kept, len(task)).mean(0), total.div_(len(task))

    @torch.no_grad()
    def _read(self, batch: Batch, cells: _Cells) -> tuple[Tensor, Tensor]:
        """The numbers of some cells (B, layers, columns, 4), and their distributions summed over prompts (layers, columns, vocabulary)."""
        described = self.subject.described
        run = record_streams(described, batch.clean, batch.position)
        components, end = Components(described, batch.clean, None), run.streams[-1].flatten(0, 1)  # (B * T, D)
        of_prompts = self.columns.shares(batch, run.logits)[:, cells.slices[1]]  # (B, columns, T)
        shares = rearrange(of_prompts, "b c t -> c (b t)")
        numbers = run.logits.new_zeros(len(cells.layers), len(end), 4)
        summed = run.logits.new_zeros(len(cells.layers), len(cells.columns), run.logits.shape[-1])
        used = shares.any(0).nonzero().flatten()  # tokens in any of the columns
        for tokens in used.split(self.subject.rows_at_once(DISTRIBUTIONS)):
            own = _distribution(components, end[tokens])
            answers = batch.answers[tokens // batch.clean.shape[1]]
            for place, layer in enumerate(cells.layers):
                stream = run.streams[layer].flatten(0, 1)[tokens]
                last = layer == len(run.streams) - 1
                predicted = own if last else _distribution(components, self._translated(layer, stream))
                probabilities = predicted.exp()
                numbers[place, tokens] = _numbers(predicted, probabilities, own, answers)
                summed[place].addmm_(shares[:, tokens], probabilities)
        return torch.einsum("bct,lbtx->blcx", of_prompts, numbers.unflatten(1, batch.clean.shape)), summed

    def _translated(self, layer: int, stream: Tensor) -> Tensor:
        return stream if self.translator is None else self.translator(layer, stream)


def _distribution(components: Components, stream: Tensor) -> Tensor:
    """Log probabilities (R, vocabulary), in at least float32, of a stream (R, D) by the model's final norm and unembedding."""
    return components.unembed(stream).log_softmax(-1)


def _numbers(predicted: Tensor, probabilities: Tensor, own: Tensor, answers: Tensor) -> Tensor:
    """Probability, rank, entropy and KL divergence (R, 4) of log probabilities (R, vocabulary), for answers (R, k)."""
    at = predicted.gather(-1, answers.clamp(min=0)).masked_fill(answers < 0, -torch.inf)  # (R, k)
    rank = (predicted > at.amax(-1, keepdim=True)).sum(-1).to(predicted)
    entropy = -(probabilities * predicted).sum(-1)
    kl = (own.exp() * (own - predicted)).sum(-1)
    return torch.stack([at.exp().sum(-1), rank, entropy, kl], -1)


def _likely(mean: Tensor, count: int, tokenizer: Any) -> Likely:
    """The likeliest tokens of a distribution (vocabulary,)."""
    values, tokens = mean.topk(min(count, len(mean)))
    return tuple(
        (token_name(token, tokenizer), value) for token, value in zip(tokens.tolist(), values.tolist(), strict=True)
    )
