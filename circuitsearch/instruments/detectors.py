"""Detectors of heads' roles: each a score of every head, with its definition, its paper and a null.

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
from circuitsearch.instruments.attribution import Way, answer_weights, at_position
from circuitsearch.instruments.passes import Recording, batches, heads_of, patterns_of, record
from circuitsearch.methods.paths import direct_effect, direct_sweep
from circuitsearch.models.describe import Described
from circuitsearch.models.weights import read_weight
from circuitsearch.task import Task

INDIRECT, FIRST_SUBJECT, SECOND_SUBJECT, END = "IO", "S1", "S2", "END"
LOOKS = 0.1  # attention from which on a head is said to look somewhere


@dataclass(frozen=True)
class Looked:
    """What detectors look at: random tokens said twice, a task, and a shuffled copy of either.

    Attributes
    ----------
    model
        A Hugging Face causal language model, or an experiment.
    described : Described
        The same with its parts named.
    twice : Task
        Prompts that say ``half`` random tokens twice, after ``start`` others.
    went : tuple of Tensor
        Where in its prompt each token of ``twice`` stands: in order, unless they are shuffled.
    task : Task, optional
        With the spans of indirect object identification, if it is to show movers and inhibition.
    difference : float, optional
        The model's mean logit difference, of which movers' scores are shares; by default that on these very prompts.
    seed : int, optional
        Of the shuffle; None where nothing is shuffled.
    """

    model: Any
    described: Described
    twice: Task
    start: int
    half: int
    went: tuple[Tensor, ...]
    task: Task | None
    difference: float | None = None
    seed: int | None = None

    @cached_property
    def patterns(self) -> list[Tensor]:
        """Of each attention its patterns on the prompts said twice: (N, H, T, T), on the CPU."""
        kept = [torch.empty(0)] * len(list(self.described.heads))
        for batch in batches(self.described, self.twice):  # one length, so the rows come in order
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
            way = Way.out_of(self.described, at_position(run.streams[-1], batch), batch.clean)
            weights = answer_weights(way.raw, batch)
            direction = way.direction(weights)
            logit += float((way.raw * weights).sum())
            for side, spans in enumerate(((INDIRECT,), (FIRST_SUBJECT, SECOND_SUBJECT))):
                for place, (index, _) in enumerate(self.described.heads):
                    for span in spans:
                        there = last_of(batch, span)
                        written = _written(run, index, batch, batch.position, there, direction, way)
                        total[side, place] += written.double().sum(0).cpu()
        scale = abs(logit) if self.difference is None else self.difference * len(self.task)
        return total[0] / scale, total[1] / scale

    @property
    def shape(self) -> tuple[int, int]:
        """Attentions, and heads in each."""
        return len(list(self.described.heads)), self.described.graph.n_heads


def last_of(batch: Batch, span: str) -> Tensor:
    """Where each prompt's span ends: (B,)."""
    return torch.tensor([spans[span][-1] for spans in batch.spans], device=batch.clean.device)


class Detector:
    """One role.

    Attributes
    ----------
    name, definition, null, paper, unit : str
        What the score is, what its null is, and who described the role.
    least : float
        From which excess over the null on a head is given the role.
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

    def score(self, looked: Looked) -> Tensor:
        """Of each head: (A, H), float64."""
        raise NotImplementedError


# ---- attention in random tokens said twice


class _Looks(Detector):
    """Mean attention from marked tokens to marked tokens of the prompts said twice."""

    def marks(self, looked: Looked, row: int) -> tuple[Tensor, Tensor]:
        """Positions that look, and those that are looked at: (M,) each."""
        raise NotImplementedError

    def score(self, looked: Looked) -> Tensor:
        marks = [self.marks(looked, row) for row in range(len(looked.twice))]
        here, there = (torch.stack(side) for side in zip(*marks, strict=True))  # (N, M)
        each = torch.arange(len(here))[:, None]
        seen = [patterns.transpose(0, 1)[:, each, here, there] for patterns in looked.patterns]  # (H, N, M) each
        return torch.stack([looks.double().mean((1, 2)) for looks in seen])


class PreviousToken(_Looks):
    """Looks at the token before."""

    name = "previous token"
    definition = "mean attention from each of many random tokens to the one before it"
    null = "the same pairs of tokens, in prompts whose tokens are shuffled: attention from a token to the one that stood before"
    paper = "Elhage et al. 2021; Olsson et al. 2209.11895"
    least = 0.3

    def marks(self, looked: Looked, row: int) -> tuple[Tensor, Tensor]:
        went = looked.went[row][looked.start :]
        return went[1:], went[:-1]


class DuplicateToken(_Looks):
    """Looks at the same token, earlier."""

    name = "duplicate token"
    definition = "mean attention from each of n random tokens, said again, to where it was said first"
    paper = "Wang et al. 2211.00593"
    least = 0.1

    def marks(self, looked: Looked, row: int) -> tuple[Tensor, Tensor]:
        again = torch.arange(looked.half) + looked.start + looked.half
        return again, again - looked.half


class Induction(_Looks):
    """Looks at what came after the same token."""

    name = "induction"
    definition = "mean attention from each of n random tokens, said again, to the one that followed it the first time"
    paper = "Olsson et al. 2209.11895"
    least = 0.1

    def marks(self, looked: Looked, row: int) -> tuple[Tensor, Tensor]:
        again = torch.arange(looked.half) + looked.start + looked.half
        return again, again - looked.half + 1


# ---- weights


class Copying(Detector):
    """Writes the token that it reads."""

    name = "copying"
    definition = (
        "sum of the eigenvalues of the path token -> value -> output -> logits, over the sum of their magnitudes:"
        " 1 where what is read is raised, -1 where it is lowered"
    )
    null = "the same, with the unembedding's tokens shuffled"
    paper = "Elhage et al. 2021"
    unit = "share, -1 ... 1"
    least = 0.5

    def score(self, looked: Looked) -> Tensor:
        described = looked.described
        return torch.stack([_positive(described, index, looked.seed) for index, _ in described.heads])


@torch.no_grad()
def _positive(described: Described, index: int, seed: int | None) -> Tensor:
    """Sum of the eigenvalues over the sum of magnitudes, of each head: (H,).

    The path's matrix, tokens by tokens, has no other eigenvalues than nought and those of a K by K one.
    """
    part = heads_of(described, index)
    turn = _turn(described, part.norm.gain, part.norm.centred, seed)  # (D, D)
    shared = part.n_heads // len(part.v.features)
    values = part.v.weight.double().repeat_interleave(shared, 0)  # (H, K, D)
    small = torch.einsum("hkd,de,hje->hkj", values, turn, part.output_weight.double())
    eigenvalues = torch.linalg.eigvals(small)
    return (eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1).clamp(min=1e-12)).cpu()


def _turn(described: Described, gain: Tensor | float, centred: bool, seed: int | None) -> Tensor:
    """Embedding times unembedding over the vocabulary, norms' gains on either side: (D, D).

    Means over the vocabulary are taken out: what all tokens share, in either, copies none.
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


# ---- what a head writes from where it looks


def _written(
    run: Recording, index: int, batch: Batch, here: Tensor, there: Tensor, direction: Tensor, way: Way
) -> Tensor:
    """What each head writes at ``here`` (B,), from the token ``there`` (B,) alone, along a direction of logits (B, D): (B, H)."""
    part, each = heads_of(run.described, index), torch.arange(len(batch), device=here.device)
    looks = patterns_of(run, index)[each, :, here, there]  # (B, H)
    values = run.read_values(index)[each, there].repeat_interleave(part.n_heads // len(part.v.features), 1)  # (B, H, K)
    scale = _post_scale(run, index)[each, here]  # (B, 1)
    written = torch.einsum("bh,bhk,hkd->hbd", looks.to(values) * scale.to(values), values, part.output_weight)
    return way.effect(written, direction)


def _post_scale(run: Recording, index: int) -> Tensor:
    """What a norm after the attention scales its values with, at each token (B, T, 1); 1 where there is none."""
    part, values = heads_of(run.described, index), run.values[index]
    if part.post is None:
        return torch.ones_like(values[..., 0, :1])
    return part.post.normalise(part.o.forward(values.flatten(-2)))[1]


class CopySuppression(Detector):
    """Lowers a token that is about to be said and stands in the prompt."""

    name = "copy suppression"
    definition = (
        "where the stream before the block already says a token of the prompt: minus what the head writes to that token's logit,"
        " from where it stands; mean over those tokens, nought if there are none"
    )
    paper = "McDougall et al. 2310.04625"
    unit = "logits"
    least = 0.1

    def score(self, looked: Looked) -> Tensor:
        task = looked.task or looked.twice
        found = torch.zeros(looked.shape, dtype=torch.float64)
        count = torch.zeros(len(found), 1, dtype=torch.float64)
        for batch in batches(looked.described, task):
            run = record(looked.described, batch.clean, batch.position, patterns=True)
            way = Way.out_of(looked.described, at_position(run.streams[-1], batch), batch.clean)
            for place, (index, _) in enumerate(looked.described.heads):
                lowered, said = _suppressed(run, index, batch, way)
                found[place] += lowered.double().cpu()
                count[place] += said
        return found / count.clamp(min=1)


def _suppressed(run: Recording, index: int, batch: Batch, way: Way) -> tuple[Tensor, int]:
    """What each head takes from tokens that are about to be said where the metric reads, together (H,), and how often one is."""
    layer = run.described.graph.base.parts[index].layer
    before = Way.out_of(run.described, at_position(run.streams[layer], batch), batch.clean).raw
    first, second = before.topk(2).values.T
    said = before.argmax(-1)  # (B,)
    earlier = torch.arange(batch.clean.shape[1], device=said.device) < batch.position[:, None]
    stands = (batch.clean == said[:, None]) & earlier  # (B, T)
    stands &= (first > second + 1e-6 * first.abs())[:, None]  # where all are alike, none is about to be said
    weights = torch.zeros_like(before).scatter_(1, said[:, None], 1.0) - 1 / before.shape[1]  # less the mean logit
    direction = way.direction(weights)
    lowered = before.new_zeros(len(said), heads_of(run.described, index).n_heads)
    for place in stands.any(0).nonzero().flatten().tolist():
        there = torch.full_like(batch.position, place)
        lowered -= _written(run, index, batch, batch.position, there, direction, way) * stands[:, place, None]
    return lowered.sum(0), int(stands.any(1).sum())


class NameMover(Detector):
    """Looks at the answer rather than at the other name, and says it."""

    name = "name mover"
    definition = (
        "what the head writes at END from the IO token, less what it takes back where it copies the subject too, to the logit of"
        " the right answer less the wrong one's, as a share of that difference"
    )
    null = "the same, in prompts whose tokens but the last are shuffled"
    paper = "Wang et al. 2211.00593"
    unit = "share of the logit difference"
    least = 0.05
    spans = (INDIRECT, FIRST_SUBJECT, SECOND_SUBJECT, END)
    sign: ClassVar[float] = 1.0

    def score(self, looked: Looked) -> Tensor:
        indirect, subject = looked.moved
        return self.sign * indirect + (self.sign * subject).clamp(max=0)


class NegativeMover(NameMover):
    """Looks at the answer and speaks against it."""

    name = "negative mover"
    definition = "the same as a name mover's, of what speaks against the right answer"
    sign = -1.0


@dataclass(frozen=True)
class SInhibition(Detector):
    """Looks at the second subject, and turns name movers' queries away from it.

    Attributes
    ----------
    movers : tuple of str
        The name movers.
    together : float
        What all that is written into their queries does to the metric, of which scores are shares.
    """

    movers: tuple[str, ...] = ()
    together: float = 1.0

    name = "S-inhibition"
    definition = (
        "how much the metric falls when the name movers' queries alone read the head's corrupt output, as a share of the fall when"
        " they read everything's; nought for heads that look from END to S2 less than a tenth"
    )
    null = "the same, in prompts whose tokens but the last are shuffled"
    paper = "Wang et al. 2211.00593"
    unit = "share of the queries' effect"
    least = 0.02
    spans = NameMover.spans

    def score(self, looked: Looked) -> Tensor:
        assert looked.task is not None
        described = looked.described
        effects = direct_sweep(looked.model, looked.task, [f"{mover}<q>" for mover in self.movers]).values
        graph = described.graph.base
        of_heads = torch.stack([effects[graph.parts[index].rows] for index, _ in described.heads]) / self.together
        return torch.where(looks_between(described, looked.task, END, SECOND_SUBJECT) >= LOOKS, of_heads, 0.0)


def inhibition(model: Any, described: Described, task: Task, movers: Sequence[str]) -> SInhibition | None:
    """The detector of what steers these name movers; None if nothing does."""
    graph = described.graph.base
    ports = [f"{mover}<q>" for mover in movers]
    first = min(graph.visible_writers(graph.reader_index[port]) for port in ports)
    together = direct_effect(model, task, graph.writers[:first], ports)
    return SInhibition(tuple(movers), together) if together > 0 else None


def looks_between(described: Described, task: Task, source: str, target: str) -> Tensor:
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
