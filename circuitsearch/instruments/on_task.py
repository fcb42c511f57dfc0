"""What the heads do on a task's prompts, for several detectors, from one pass of each prompt.

Legend of shapes: B prompts, T positions, D stream width, H heads, G groups that share keys and values, K head width, A
attentions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.instruments.attribution import LogitMap, answer_weights, at_position
from circuitsearch.instruments.passes import Recording, heads_of, patterns_of, record
from circuitsearch.instruments.subject import Subject
from circuitsearch.models.precision import row_mean, widened
from circuitsearch.models.weights import read_weight
from circuitsearch.task import Task

TENSORS = 4  # over the whole vocabulary for each stream: its logits, and what finding the largest takes
INDIRECT, FIRST_SUBJECT, SECOND_SUBJECT, END = SPANS = ("IO", "S1", "S2", "END")


@dataclass(frozen=True)
class OnTask:
    """Sums or means over a task's prompts.

    Attributes
    ----------
    difference : float
        Magnitude of the mean logit difference.
    suppressed : Tensor
        (A, H), how much a head lowers the logit of a token of the prompt that the stream before it predicts; a mean over the
        prompts where it does.
    moved : Tensor
        (2, A, H), what a head writes at END to the logit difference, from IO and from both subjects: means, in logits; zero
        without these spans.
    to_subject : Tensor
        (A, H), mean attention from END to S2; zero without these spans.
    """

    difference: float
    suppressed: Tensor
    moved: Tensor
    to_subject: Tensor


def on_task(seen: Subject, task: Task, has_spans: bool) -> OnTask:
    """Run a task's prompts, and measure what heads write at the position that the metric reads."""
    mean_unembedding = row_mean(read_weight(seen.described.model.get_output_embeddings()))  # (D,)
    tally = _Tally(seen, mean_unembedding)

    def tallied(batch: Batch) -> _Tally:
        found = _Tally(seen, mean_unembedding)
        found.add(batch, has_spans)
        return found

    for _, found in seen.over(task, tallied):
        tally.join(found)
    n = len(task)
    return OnTask(
        difference=max(abs(tally.logit) / n, 1e-12),
        suppressed=tally.suppressed / tally.predicted.clamp(min=1),
        moved=tally.moved / n,
        to_subject=tally.to_subject / n,
    )


class _Tally:
    """Sums over batches."""

    def __init__(self, seen: Subject, mean_unembedding: Tensor) -> None:
        shape = len(list(seen.described.heads)), seen.described.graph.n_heads
        self.described, self.logit = seen.described, 0.0
        self.streams_at_once = seen.rows_at_once(TENSORS)
        self.suppressed, self.to_subject = torch.zeros(2, *shape, dtype=torch.float64)
        self.moved = torch.zeros(2, *shape, dtype=torch.float64)
        self.predicted = torch.zeros(shape[0], 1, dtype=torch.float64)
        self.mean_unembedding = mean_unembedding

    def join(self, other: _Tally) -> None:
        """Add the sums over other batches."""
        self.logit += other.logit
        self.suppressed += other.suppressed
        self.moved += other.moved
        self.to_subject += other.to_subject
        self.predicted += other.predicted

    def add(self, batch: Batch, has_spans: bool) -> None:
        """Run a batch."""
        run = record(self.described, batch.clean, batch.position, patterns=True)
        logit_map = LogitMap.out_of(self.described, at_position(run.streams[-1], batch), batch.clean)
        weights = answer_weights(logit_map.raw, batch)
        self.logit += float((logit_map.raw * weights).sum())
        direction = logit_map.direction(weights)
        written = [_Written(run, index) for index, _ in self.described.heads]
        predicted, occurs = _predicted_tokens(run, logit_map, batch, self.streams_at_once)
        for place, each in enumerate(written):
            self._suppress(place, each, batch, logit_map, predicted[place], occurs[place])
            if has_spans:
                self._move(place, each, batch, logit_map, direction)

    def _suppress(
        self, place: int, written: _Written, batch: Batch, logit_map: LogitMap, predicted: Tensor, occurs: Tensor
    ) -> None:
        self.predicted[place] += int(occurs.any(1).sum())
        rows = read_weight(self.described.model.get_output_embeddings())[predicted]
        direction = widened(rows - self.mean_unembedding) * logit_map.factor  # (B, D), of a logit less the mean logit
        for there in occurs.any(0).nonzero().flatten():
            each = written.at(batch.position, there.expand_as(batch.position), direction, logit_map)  # (B, H)
            self.suppressed[place] -= (each * occurs[:, there, None]).cpu().double().sum(0)

    def _move(self, place: int, written: _Written, batch: Batch, logit_map: LogitMap, direction: Tensor) -> None:
        for side, spans in enumerate(((INDIRECT,), (FIRST_SUBJECT, SECOND_SUBJECT))):
            for span in spans:
                each = written.at(batch.position, last_of(batch, span), direction, logit_map)
                self.moved[side, place] += each.cpu().double().sum(0)
        prompts = torch.arange(len(batch), device=batch.clean.device)
        seen = written.pattern[prompts, :, last_of(batch, END), last_of(batch, SECOND_SUBJECT)]  # (B, H)
        self.to_subject[place] += seen.cpu().double().sum(0)


def _predicted_tokens(run: Recording, logit_map: LogitMap, batch: Batch, at_once: int) -> tuple[Tensor, Tensor]:
    """The token that the stream before each attention predicts (A, B), and at which earlier positions it is: (A, B, T)."""
    layers = [run.described.graph.base.parts[index].layer for index, _ in run.described.heads]
    streams = torch.stack([at_position(run.streams[layer], batch) for layer in layers])  # (A, B, D)
    found = [logit_map.logits(rows).topk(2) for rows in streams.flatten(0, 1).split(at_once)]
    values, tokens = (torch.cat(each).view(*streams.shape[:2], 2) for each in zip(*found, strict=True))  # (A, B, 2)
    predicted, (first, second) = tokens[..., 0], values.unbind(-1)
    earlier = torch.arange(batch.clean.shape[1], device=predicted.device) < batch.position[:, None]
    occurs = (batch.clean == predicted[..., None]) & earlier
    return predicted, occurs & (first > second + 1e-6 * first.abs())[..., None]  # of equal logits none is predicted


def last_of(batch: Batch, span: str) -> Tensor:
    """The last position of each prompt's span: (B,)."""
    return torch.tensor([spans[span][-1] for spans in batch.spans], device=batch.clean.device)


class _Written:
    """What the heads of one attention write from single tokens."""

    def __init__(self, run: Recording, index: int) -> None:
        part = heads_of(run.described, index)
        self.run, self.index, self.part = run, index, part
        self.pattern = patterns_of(run, index)  # (B, H, T, S)
        self.values = run.read_values(index)  # (B, S, G, K)
        self.scale = _post_scale(run, index)  # (B, T, 1)

    def at(self, here: Tensor, there: Tensor, direction: Tensor, logit_map: LogitMap) -> Tensor:
        """What is written at ``here`` (B,) from the token ``there`` (B,) alone, along a direction of logits (B, D): (B, H)."""
        part, each = self.part, torch.arange(len(here), device=here.device)
        attention = self.pattern[each, :, here, there] * self.scale[each, here]  # (B, H)
        values = self.values[each, there].repeat_interleave(part.n_heads // len(part.v.features), 1)  # (B, H, K)
        pulled = torch.einsum("hkd,bd->bhk", part.output_weight, logit_map.into_stream(direction).to(values))
        return torch.einsum("bh,bhk,bhk->bh", *(widened(value) for value in (attention, values, pulled)))


def _post_scale(run: Recording, index: int) -> Tensor:
    """The inverse scale of a norm after the attention, at each token (B, T, 1); 1 if there is none."""
    part, values = heads_of(run.described, index), run.values[index]
    if part.post is None:
        return torch.ones_like(values[..., 0, :1])
    return part.post.normalise(part.o.forward(values.flatten(-2)))[1]
