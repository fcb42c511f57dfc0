"""Detectors of heads' roles: each scores every head, and has a definition, a paper and a null.

Legend of shapes: B prompts, T positions, D stream width, H heads, G groups that share keys and values, K head width, A
attentions.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, ClassVar

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.experiment import Experiment
from circuitsearch.granularity import WHOLE
from circuitsearch.instruments.on_task import SPANS, OnTask, on_task
from circuitsearch.instruments.passes import heads_of, patterns_of, record
from circuitsearch.instruments.subject import Subject
from circuitsearch.methods.paths import direct_effect, direct_sweep
from circuitsearch.models.describe import Described
from circuitsearch.models.norm import NoNorm, Norm
from circuitsearch.models.parts import Heads
from circuitsearch.models.precision import ROWS, row_mean, widened
from circuitsearch.models.weights import read_weight
from circuitsearch.task import Task

LEAST_ATTENTION = 0.1  # least attention of a head that attends to a position
N_PATCHED = 16  # prompts on which heads are patched, one after another


@dataclass(frozen=True)
class Inputs:
    """The input of detectors: prompts of repeated random tokens and a task, or shuffled copies of them.

    Attributes
    ----------
    subject : Subject
        The model with its parts named.
    twice : Task
        Prompts of ``half`` random tokens, repeated once, after ``start`` others.
    positions : tuple of Tensor
        For each prompt of ``twice`` the positions of its tokens: in order, unless they are shuffled.
    task : Task, optional
        Movers and inhibition need one with the spans of indirect object identification.
    difference : float, optional
        The model's mean logit difference, of which movers' scores are shares; by default that on the task's prompts.
    """

    subject: Subject
    twice: Task
    start: int
    half: int
    positions: tuple[Tensor, ...]
    task: Task | None
    difference: float | None = None

    @property
    def described(self) -> Described:
        """The model with its parts named."""
        return self.subject.described

    @cached_property
    def attending(self) -> dict[str, Tensor]:
        """For each role that is told by attention on the repeated random tokens its score of each head (A, H): of one pass."""
        sums = torch.zeros(len(ATTENDING), *self.shape, dtype=torch.float64)
        for _, found in self.subject.over(self.twice, self._attending):
            sums += found
        return {detector.name: mean for detector, mean in zip(ATTENDING, sums / len(self.twice), strict=True)}

    def _attending(self, batch: Batch) -> Tensor:
        """The scores summed over the prompts of a batch: (roles, A, H)."""
        run = record(self.described, batch.clean, batch.position, patterns=True)
        patterns = [patterns_of(run, index).cpu() for index, _ in self.described.heads]  # (B, H, T, T) each
        return torch.stack([detector.attention(self, batch.rows.tolist(), patterns) for detector in ATTENDING])

    @cached_property
    def on_task(self) -> OnTask:
        """What heads do on the task's prompts, or without a task on the repeated random tokens: of one pass."""
        return on_task(self.subject, self.prompts, usable(self.task, [NameMover()]) != [])

    @property
    def prompts(self) -> Task:
        """The task's prompts, or without a task the repeated random tokens."""
        return self.task or self.twice

    @property
    def moved(self) -> tuple[Tensor, Tensor]:
        """What each head writes at END from the IO token, and from both subjects: (A, H), shares of the logit difference."""
        scale = self.on_task.difference if self.difference is None else self.difference
        indirect, subject = self.on_task.moved / scale
        return indirect, subject

    @property
    def shape(self) -> tuple[int, int]:
        """Attentions, and heads in each."""
        return len(list(self.described.heads)), self.described.graph.n_heads


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

    def chance(self, mixed: Inputs) -> Tensor:
        """Score of each head in the null, here on shuffled copies of the prompts: (A, H), float64."""
        return self.score(mixed)


# ---- attention on repeated random tokens


class _Attends(Detector):
    """Mean attention from some tokens to some other tokens of the repeated random tokens."""

    def marks(self, inputs: Inputs, row: int) -> tuple[Tensor, Tensor]:
        """Query positions and the key positions that they attend to: (M,) each."""
        raise NotImplementedError

    def score(self, inputs: Inputs) -> Tensor:
        return inputs.attending[self.name]

    def attention(self, inputs: Inputs, rows: Sequence[int], patterns: Sequence[Tensor]) -> Tensor:
        """Mean attention between the marks, summed over these prompts: (A, H); of each attention its patterns (B, H, T, T)."""
        marks = [self.marks(inputs, row) for row in rows]
        here, there = (torch.stack(side) for side in zip(*marks, strict=True))  # (B, M)
        each = torch.arange(len(here))[:, None]
        seen = [pattern.transpose(0, 1)[:, each, here, there] for pattern in patterns]  # (H, B, M) each
        return torch.stack([attention.double().mean(2).sum(1) for attention in seen])


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


ATTENDING = (PreviousToken(), DuplicateToken(), Induction())


# ---- weights


class Copying(Detector):
    """Raises the logit of the token that it reads."""

    name = "copying"
    definition = (
        "how far the path token -> value -> output -> logits raises the token that is read above all others, averaged over the"
        " vocabulary: in standard deviations of the logits that the path writes"
    )
    null = (
        "the largest of as many logits as there are tokens, drawn at random: what another token than the one that is read"
        " reaches by chance"
    )
    paper = "Elhage et al. 2021"
    unit = "standard deviations"
    least = 0.25

    def score(self, inputs: Inputs) -> Tensor:
        vocabulary = Vocabulary.of(inputs.described)
        return torch.stack(
            [vocabulary.raised(heads_of(inputs.described, index)) for index, _ in inputs.described.heads]
        )

    def chance(self, mixed: Inputs) -> Tensor:
        share = torch.tensor(1 - 1 / mixed.described.vocabulary_size, dtype=torch.float64)
        return torch.special.ndtri(share).expand(mixed.shape)


@dataclass(frozen=True)
class Vocabulary:
    """Second moments over the vocabulary: of what is read of a token and what is written to its logit.

    Means over the vocabulary are subtracted: what all tokens share copies none of them.

    Attributes
    ----------
    read, written : Tensor
        (D, D), in at least float32, of the embeddings, and of the unembeddings with the final norm's gain.
    both : Tensor
        (D, D), of a token's embedding with its own unembedding.
    """

    read: Tensor
    written: Tensor
    both: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, described: Described) -> Vocabulary:
        """Of a model."""
        norm = described.final_norm
        embedding, unembedding = (
            read_weight(module).detach()
            for module in (described.model.get_input_embeddings(), described.model.get_output_embeddings())
        )
        size = min(len(embedding), len(unembedding))
        read, written = embedding[:size], unembedding[:size]
        return cls(
            _moments(read, read),
            _into(norm, _into(norm, _moments(written, written)).T),
            _into(norm, _moments(read, written)),
        )

    @torch.no_grad()
    def raised(self, part: Heads) -> Tensor:
        """Mean logit of the token that is read, over the root mean square of all logits: (H,)."""
        values = widened(part.v.weight).repeat_interleave(part.n_heads // len(part.v.features), 0)  # (H, K, D)
        values = _into(part.norm, values)
        output = widened(part.output_weight)  # (H, K, D)
        own = torch.einsum("hkd,de,hke->h", values, self.both, output)
        read = torch.einsum("hkd,de,hje->hkj", values, self.read, values)
        written = torch.einsum("hkd,de,hje->hkj", output, self.written, output)
        return (own / (read * written).sum((1, 2)).clamp(min=1e-30).sqrt()).cpu().double()


def _moments(one: Tensor, other: Tensor) -> Tensor:
    """Covariance of the rows of two matrices (V, D), some rows at a time: (D, D)."""
    blocks = zip(one.split(ROWS), other.split(ROWS), strict=True)
    products = (widened(some).T @ widened(others) for some, others in blocks)
    return reduce(operator.add, products) / len(one) - torch.outer(row_mean(one), row_mean(other))


def _into(norm: Norm | NoNorm, rows: Tensor) -> Tensor:
    """Directions (..., D) of a norm's output as directions of its input, its scale left out."""
    rows = rows * norm.gain
    return rows - rows.mean(-1, keepdim=True) if norm.centred else rows


# ---- what a head writes from the tokens that it attends to


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
        return inputs.on_task.suppressed


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
    spans = SPANS
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
    experiment : Experiment
        The model, on the first of the task's prompts.
    looking : Tensor
        Boolean (A, H), the heads that attend from END to S2: no other can have the role, so the null is theirs alone.
    """

    movers: tuple[str, ...]
    together: float
    experiment: Experiment
    looking: Tensor

    name = "S-inhibition"
    definition = (
        "how much the metric falls when only the name movers' queries read the head's corrupt output, as a share of the fall when"
        " they read that of all writers; zero for heads whose attention from END to S2 is less than a tenth; on the first 16 prompts"
    )
    null = "the same, in prompts whose tokens but the last are shuffled"
    paper = "Wang et al. 2211.00593"
    unit = "share of the queries' effect"
    least = 0.02
    spans = NameMover.spans

    def score(self, inputs: Inputs) -> Tensor:
        return self._effects(inputs, inputs.on_task.to_subject >= LEAST_ATTENTION)

    def chance(self, mixed: Inputs) -> Tensor:
        return self._effects(mixed, self.looking & (mixed.on_task.to_subject >= LEAST_ATTENTION))

    def _effects(self, inputs: Inputs, looking: Tensor) -> Tensor:
        """Effect on the movers' queries of the heads that look (A, H), as shares; zero for the others."""
        graph = self.experiment.graph
        rows = torch.stack(
            [torch.arange(len(graph.writers))[graph.parts[index].rows] for index, _ in inputs.described.heads]
        )
        senders = [graph.writers[row] for row in rows[looking].tolist()]
        effects = _into_queries(self.experiment.on(_some(inputs.prompts)), self.movers, senders)
        return torch.where(looking, effects[rows] / self.together, 0.0)


def inhibition(model: Any, inputs: Inputs, movers: Sequence[str]) -> SInhibition | None:
    """The detector of heads that change the queries of these name movers; None if nothing does."""
    experiment = _by_head(model, _some(inputs.prompts))
    graph = experiment.graph
    ports = [f"{mover}<q>" for mover in movers]
    first = min(graph.visible_writers(graph.reader_index[port]) for port in ports)
    together = direct_effect(experiment, experiment.task, graph.writers[:first], ports)
    looking = inputs.on_task.to_subject >= LEAST_ATTENTION
    return SInhibition(tuple(movers), together, experiment, looking) if together > 0 else None


def _by_head(model: Any, task: Task) -> Experiment:
    """The experiment on other prompts, whose nodes are heads whatever they are in the one that is given."""
    if isinstance(model, Experiment) and model.granularity != WHOLE:
        return model.with_nodes(WHOLE).on(task)
    return Experiment.of(model, task)


def _some(task: Task) -> Task:
    return task.subset(range(min(N_PATCHED, len(task))))


def _into_queries(experiment: Experiment, movers: Sequence[str], senders: Sequence[str]) -> Tensor:
    """Effect of each sender on the movers' queries; zero for writers that are none of them, or come after: (U,)."""
    graph = experiment.graph
    ports = [f"{mover}<q>" for mover in movers]
    last = max(graph.visible_writers(graph.reader_index[port]) for port in ports)
    before = [sender for sender in senders if graph.find_writer(sender) < last]
    if not before:
        return torch.zeros(len(graph.writers), dtype=torch.float64)
    return direct_sweep(experiment, experiment.task, ports, senders=before).values


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
