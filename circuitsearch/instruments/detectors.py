"""Detectors of heads' roles: each scores every head, and has a definition, a paper and a null.

Legend of shapes: B prompts, T positions, D stream width, H heads, G groups that share keys and values, K head width, A
attentions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.instruments.attribution import LogitMap, answer_weights, at_position
from circuitsearch.instruments.passes import Recording, batches, heads_of, patterns_of, record
from circuitsearch.methods.paths import direct_effect, direct_sweep
from circuitsearch.models.describe import Described
from circuitsearch.models.weights import read_weight
from circuitsearch.task import Task

INDIRECT, FIRST_SUBJECT, SECOND_SUBJECT, END = "IO", "S1", "S2", "END"
LEAST_ATTENTION = 0.1  # least attention of a head that attends to a position


@dataclass(frozen=True)
class Inputs:
    """The input of detectors: prompts of repeated random tokens and a task, or shuffled copies of them.

    Attributes
    ----------
    model
        A Hugging Face causal language model, or an experiment.
    described : Described
        The same with its parts named.
    twice : Task
        Prompts of ``half`` random tokens, repeated once, after ``start`` others.
    positions : tuple of Tensor
        For each prompt of ``twice`` the positions of its tokens: in order, unless they are shuffled.
    task : Task, optional
        Movers and inhibition need one with the spans of indirect object identification.
    difference : float, optional
        The model's mean logit difference, of which movers' scores are shares; by default that on the task's prompts.
    seed : int, optional
        Of the shuffle; None if nothing is shuffled.
    """

    model: Any
    described: Described
    twice: Task
    start: int
    half: int
    positions: tuple[Tensor, ...]
    task: Task | None
    difference: float | None = None
    seed: int | None = None

    @cached_property
    def patterns(self) -> list[Tensor]:
        """For each attention its patterns on the repeated random tokens: (N, H, T, T), on the CPU."""
        kept = [torch.empty(0)] * len(list(self.described.heads))
        for batch in batches(self.described, self.twice):  # all of one length, so the rows are in order
            run = record(self.described, batch.clean, batch.position, patterns=True)
            for place, (index, _) in enumerate(self.described.heads):
                seen = patterns_of(run, index).cpu()
                kept[place] = torch.cat([kept[place], seen]) if len(kept[place]) else seen
        return kept

    @cached_property
    def moved(self) -> tuple[Tensor, Tensor]:
        """What each head writes at END from the IO token, and from both subjects: (A, H), shares of the logit difference."""
        assert self.task is not None
        total, logit = torch.zeros(2, *self.shape, dtype=torch.float64), 0.0
        for batch in batches(self.described, self.task):
            run = record(self.described, batch.clean, batch.position, patterns=True)
            logit_map = LogitMap.out_of(self.described, at_position(run.streams[-1], batch), batch.clean)
            weights = answer_weights(logit_map.raw, batch)
            direction = logit_map.direction(weights)
            logit += float((logit_map.raw * weights).sum())
            for side, spans in enumerate(((INDIRECT,), (FIRST_SUBJECT, SECOND_SUBJECT))):
                for place, (index, _) in enumerate(self.described.heads):
                    for span in spans:
                        there = last_of(batch, span)
                        written = _written(run, index, batch, batch.position, there, direction, logit_map)
                        total[side, place] += written.double().sum(0).cpu()
        scale = abs(logit) if self.difference is None else self.difference * len(self.task)
        return total[0] / scale, total[1] / scale

    @property
    def shape(self) -> tuple[int, int]:
        """Attentions, and heads in each."""
        return len(list(self.described.heads)), self.described.graph.n_heads


def last_of(batch: Batch, span: str) -> Tensor:
    """The last position of each prompt's span: (B,)."""
    return torch.tensor([spans[span][-1] for spans in batch.spans], device=batch.clean.device)


class Detector:
    """A role of heads, and how it is measured.

    Attributes
    ----------
    name, definition, null, paper, unit : str
        The role, the definition of its score and of the null, the paper that describes it, and the unit of the score.
    least : float
        Least excess of the score over the null of a head with the role.
    spans : tuple of str
        Spans that the task must name.
    """

    name: ClassVar[str]
    definition: ClassVar[str]
    null: ClassVar[str] = "the same, in prompts whose tokens are shuffled"
    paper: ClassVar[str]
    unit: ClassVar[str] = "attention"
    least: ClassVar[float]
    spans: ClassVar[tuple[str, ...]] = ()

    def score(self, inputs: Inputs) -> Tensor:
        """Score of each head: (A, H), float64."""
        raise NotImplementedError


# ---- attention on repeated random tokens


class _Attends(Detector):
    """Mean attention from some tokens to some other tokens of the repeated random tokens."""

    def marks(self, inputs: Inputs, row: int) -> tuple[Tensor, Tensor]:
        """Query positions and the key positions that they attend to: (M,) each."""
        raise NotImplementedError

    def score(self, inputs: Inputs) -> Tensor:
        marks = [self.marks(inputs, row) for row in range(len(inputs.twice))]
        here, there = (torch.stack(side) for side in zip(*marks, strict=True))  # (N, M)
        each = torch.arange(len(here))[:, None]
        seen = [patterns.transpose(0, 1)[:, each, here, there] for patterns in inputs.patterns]  # (H, N, M) each
        return torch.stack([attention.double().mean((1, 2)) for attention in seen])


class PreviousToken(_Attends):
    """Attends to the previous token."""

    name = "previous token"
    definition = "mean attention from each of many random tokens to the one before it"
    null = "the same pairs of tokens, in prompts whose tokens are shuffled: attention from a token to the one that was before it"
    paper = "Elhage et al. 2021; Olsson et al. 2209.11895"
    least = 0.3

    def marks(self, inputs: Inputs, row: int) -> tuple[Tensor, Tensor]:
        positions = inputs.positions[row][inputs.start :]
        return positions[1:], positions[:-1]


class DuplicateToken(_Attends):
    """Attends to an earlier occurrence of the same token."""

    name = "duplicate token"
    definition = "mean attention from each of n repeated random tokens to its first occurrence"
    paper = "Wang et al. 2211.00593"
    least = 0.1

    def marks(self, inputs: Inputs, row: int) -> tuple[Tensor, Tensor]:
        again = torch.arange(inputs.half) + inputs.start + inputs.half
        return again, again - inputs.half


class Induction(_Attends):
    """Attends to the token after an earlier occurrence of the same token."""

    name = "induction"
    definition = "mean attention from each of n repeated random tokens to the token after its first occurrence"
    paper = "Olsson et al. 2209.11895"
    least = 0.1

    def marks(self, inputs: Inputs, row: int) -> tuple[Tensor, Tensor]:
        again = torch.arange(inputs.half) + inputs.start + inputs.half
        return again, again - inputs.half + 1


# ---- weights


class Copying(Detector):
    """Raises the logit of the token that it reads."""

    name = "copying"
    definition = (
        "sum of the eigenvalues of the path token -> value -> output -> logits, over the sum of their magnitudes:"
        " 1 if the token that is read is raised, -1 if it is lowered"
    )
    null = "the same, with the unembedding's tokens shuffled"
    paper = "Elhage et al. 2021"
    unit = "share, -1 ... 1"
    least = 0.5

    def score(self, inputs: Inputs) -> Tensor:
        described = inputs.described
        return torch.stack([_positive(described, index, inputs.seed) for index, _ in described.heads])


@torch.no_grad()
def _positive(described: Described, index: int, seed: int | None) -> Tensor:
    """Sum of the eigenvalues over the sum of magnitudes, of each head: (H,).

    The eigenvalues of the path's matrix (vocabulary, vocabulary) are zero and those of a (K, K) matrix.
    """
    part = heads_of(described, index)
    through = _through_vocabulary(described, part.norm.gain, part.norm.centred, seed)  # (D, D)
    shared = part.n_heads // len(part.v.features)
    values = part.v.weight.double().repeat_interleave(shared, 0)  # (H, K, D)
    small = torch.einsum("hkd,de,hje->hkj", values, through, part.output_weight.double())
    eigenvalues = torch.linalg.eigvals(small)
    return (eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1).clamp(min=1e-12)).cpu()


def _through_vocabulary(described: Described, gain: Tensor | float, centred: bool, seed: int | None) -> Tensor:
    """Embedding times unembedding, summed over the vocabulary, with the gains of the norms: (D, D).

    Means over the vocabulary are subtracted: what all tokens share does not copy any of them.
    """
    embedding = read_weight(described.model.get_input_embeddings()).double()
    unembedding = read_weight(described.model.get_output_embeddings()).double()
    embedding = embedding[: len(unembedding)] - embedding[: len(unembedding)].mean(0)
    unembedding = unembedding[: len(embedding)] - unembedding[: len(embedding)].mean(0)
    if centred:
        embedding = embedding - embedding.mean(-1, keepdim=True)
    if described.final_norm.centred:
        unembedding = unembedding * described.final_norm.gain
        unembedding = unembedding - unembedding.mean(-1, keepdim=True)
    else:
        unembedding = unembedding * described.final_norm.gain
    if seed is not None:
        order = torch.randperm(len(unembedding), generator=torch.Generator().manual_seed(seed))
        unembedding = unembedding[order.to(unembedding.device)]
    return (embedding * gain).T @ unembedding


# ---- what a head writes from the tokens that it attends to


def _written(
    run: Recording, index: int, batch: Batch, here: Tensor, there: Tensor, direction: Tensor, logit_map: LogitMap
) -> Tensor:
    """What each head writes at ``here`` (B,) from the token ``there`` (B,) alone, along a direction of logits (B, D): (B, H)."""
    part, each = heads_of(run.described, index), torch.arange(len(batch), device=here.device)
    attention = patterns_of(run, index)[each, :, here, there]  # (B, H)
    values = run.read_values(index)[each, there].repeat_interleave(part.n_heads // len(part.v.features), 1)  # (B, H, K)
    scale = _post_scale(run, index)[each, here]  # (B, 1)
    written = torch.einsum("bh,bhk,hkd->hbd", attention.to(values) * scale.to(values), values, part.output_weight)
    return logit_map.effect(written, direction)


def _post_scale(run: Recording, index: int) -> Tensor:
    """The inverse scale of a norm after the attention, at each token (B, T, 1); 1 if there is none."""
    part, values = heads_of(run.described, index), run.values[index]
    if part.post is None:
        return torch.ones_like(values[..., 0, :1])
    return part.post.normalise(part.o.forward(values.flatten(-2)))[1]


class CopySuppression(Detector):
    """Lowers the logit of a token of the prompt that the stream already predicts."""

    name = "copy suppression"
    definition = (
        "for prompts where the stream before the block predicts a token of the prompt: minus what the head writes from that token"
        " to its logit; mean over those prompts, zero if there are none"
    )
    paper = "McDougall et al. 2310.04625"
    unit = "logits"
    least = 0.1

    def score(self, inputs: Inputs) -> Tensor:
        task = inputs.task or inputs.twice
        found = torch.zeros(inputs.shape, dtype=torch.float64)
        count = torch.zeros(len(found), 1, dtype=torch.float64)
        for batch in batches(inputs.described, task):
            run = record(inputs.described, batch.clean, batch.position, patterns=True)
            logit_map = LogitMap.out_of(inputs.described, at_position(run.streams[-1], batch), batch.clean)
            for place, (index, _) in enumerate(inputs.described.heads):
                lowered, predicted = _suppressed(run, index, batch, logit_map)
                found[place] += lowered.double().cpu()
                count[place] += predicted
        return found / count.clamp(min=1)


def _suppressed(run: Recording, index: int, batch: Batch, logit_map: LogitMap) -> tuple[Tensor, int]:
    """Sum of what each head subtracts from predicted tokens of the prompt (H,), and the number of prompts with one."""
    layer = run.described.graph.base.parts[index].layer
    before = LogitMap.out_of(run.described, at_position(run.streams[layer], batch), batch.clean).raw
    first, second = before.topk(2).values.T
    predicted = before.argmax(-1)  # (B,)
    earlier = torch.arange(batch.clean.shape[1], device=predicted.device) < batch.position[:, None]
    occurs = (batch.clean == predicted[:, None]) & earlier  # (B, T)
    occurs &= (first > second + 1e-6 * first.abs())[:, None]  # if all logits are equal, no token is predicted
    weights = (
        torch.zeros_like(before).scatter_(1, predicted[:, None], 1.0) - 1 / before.shape[1]
    )  # minus the mean logit
    direction = logit_map.direction(weights)
    lowered = before.new_zeros(len(predicted), heads_of(run.described, index).n_heads)
    for place in occurs.any(0).nonzero().flatten().tolist():
        there = torch.full_like(batch.position, place)
        lowered -= _written(run, index, batch, batch.position, there, direction, logit_map) * occurs[:, place, None]
    return lowered.sum(0), int(occurs.any(1).sum())


class NameMover(Detector):
    """Attends to the answer rather than to the other name, and raises its logit."""

    name = "name mover"
    definition = (
        "what the head adds at END to the logit difference (right answer minus wrong one) from the IO token, minus what it"
        " subtracts from the subject tokens if it copies them too, as a share of the logit difference"
    )
    null = "the same, in prompts whose tokens but the last are shuffled"
    paper = "Wang et al. 2211.00593"
    unit = "share of the logit difference"
    least = 0.05
    spans = (INDIRECT, FIRST_SUBJECT, SECOND_SUBJECT, END)
    sign: ClassVar[float] = 1.0

    def score(self, inputs: Inputs) -> Tensor:
        indirect, subject = inputs.moved
        return self.sign * indirect + (self.sign * subject).clamp(max=0)


class NegativeMover(NameMover):
    """Attends to the answer and lowers its logit."""

    name = "negative mover"
    definition = "the same as for name movers, with the opposite sign"
    sign = -1.0


@dataclass(frozen=True)
class SInhibition(Detector):
    """Attends to the second subject, and moves the attention of name movers away from it, through their queries.

    Attributes
    ----------
    movers : tuple of str
        The name movers.
    together : float
        How much the metric falls if their queries read the corrupt outputs of all writers, of which scores are shares.
    """

    movers: tuple[str, ...] = ()
    together: float = 1.0

    name = "S-inhibition"
    definition = (
        "how much the metric falls when only the name movers' queries read the head's corrupt output, as a share of the fall when"
        " they read that of all writers; zero for heads whose attention from END to S2 is less than a tenth"
    )
    null = "the same, in prompts whose tokens but the last are shuffled"
    paper = "Wang et al. 2211.00593"
    unit = "share of the queries' effect"
    least = 0.02
    spans = NameMover.spans

    def score(self, inputs: Inputs) -> Tensor:
        assert inputs.task is not None
        described = inputs.described
        effects = direct_sweep(inputs.model, inputs.task, [f"{mover}<q>" for mover in self.movers]).values
        graph = described.graph.base
        of_heads = torch.stack([effects[graph.parts[index].rows] for index, _ in described.heads]) / self.together
        return torch.where(
            attention_between(described, inputs.task, END, SECOND_SUBJECT) >= LEAST_ATTENTION, of_heads, 0.0
        )


def inhibition(model: Any, described: Described, task: Task, movers: Sequence[str]) -> SInhibition | None:
    """The detector of heads that change the queries of these name movers; None if nothing does."""
    graph = described.graph.base
    ports = [f"{mover}<q>" for mover in movers]
    first = min(graph.visible_writers(graph.reader_index[port]) for port in ports)
    together = direct_effect(model, task, graph.writers[:first], ports)
    return SInhibition(tuple(movers), together) if together > 0 else None


def attention_between(described: Described, task: Task, source: str, target: str) -> Tensor:
    """Mean attention from one span's last token to another's: (A, H)."""
    total: list[Tensor] = []
    for batch in batches(described, task):
        run = record(described, batch.clean, batch.position, patterns=True)
        here, there = last_of(batch, source), last_of(batch, target)
        each = torch.arange(len(batch), device=here.device)
        total.append(
            torch.stack([patterns_of(run, i)[each, :, here, there].double().sum(0).cpu() for i, _ in described.heads])
        )
    return torch.stack(total).sum(0) / len(task)


DETECTORS: tuple[Detector, ...] = (
    PreviousToken(),
    DuplicateToken(),
    Induction(),
    Copying(),
    CopySuppression(),
    NameMover(),
    NegativeMover(),
)


def usable(task: Task | None, detectors: Sequence[Detector] = DETECTORS) -> list[Detector]:
    """The detectors whose spans the task names."""
    names = () if task is None else task.span_names
    return [each for each in detectors if all(span in names for span in each.spans)]
