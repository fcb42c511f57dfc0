"""What writers say in words: the tokens whose logits they raise and lower most, and the tokens that the model predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.instruments.attribution import LogitMap, at_position
from circuitsearch.instruments.passes import Recording, record, record_streams
from circuitsearch.instruments.subject import subject
from circuitsearch.task import Task

Said = tuple[tuple[int, float], ...]  # tokens, each with a number
TENSORS = 6  # over the whole vocabulary for each writer: its logits, those less their mean, and what sorting them takes


@dataclass(frozen=True)
class Words:
    """The tokens whose logits a writer changes most.

    Attributes
    ----------
    raised, lowered : tuple of (int, float)
        Tokens, the most changed first, and by how many logits, counted from the writer's mean over the vocabulary.
    """

    raised: Said
    lowered: Said


def written_words(model: Any, task: Task, writers: Sequence[str] = (), *, count: int = 5) -> dict[str, Words]:
    """Unembed what each writer adds at the position that the metric reads, averaged over the clean prompts.

    The final norm's scale is that of each prompt's own run, so that the writers' logits add up to the model's. (The logit lens
    applied to each writer: nostalgebraist 2020; as used for heads by Wang et al., 2211.00593.)

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Prompts, and the position at which they are read.
    writers : sequence of str
        Names in any tool's spelling: heads, MLPs, mixers, ``embed``; by default all.
    count : int
        Number of tokens raised, and of tokens lowered.

    Raises
    ------
    InputError
        If model and task do not fit, a writer is unknown, or the model's logits are not a multiple or soft cap of its
        unembedding's output.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> task = cs.tasks.induction(tokenizer, n=1)
    >>> said = written_words(model, task, ["a1.h3"])["a1.h3"]
    >>> said.raised[0][0] == int(task.answers[0])  # an induction head writes the answer
    True
    """
    seen = subject(model, task)
    described, graph = seen.described, seen.described.graph.base
    chosen = [graph.find_writer(writer) for writer in writers] or list(range(len(graph.writers)))

    def written(batch: Batch) -> tuple[Tensor, LogitMap]:
        run = record(described, batch.clean, batch.position)
        logit_map = LogitMap.out_of(described, at_position(run.streams[-1], batch), batch.clean)
        return logit_map.normed(writes(run, batch)[chosen]).cpu().sum(1, dtype=torch.float64), logit_map

    total = torch.zeros(len(chosen), described.d_model, dtype=torch.float64)
    for _, (summed, of_batch) in seen.over(task, written):
        total, logit_map = total + summed, of_batch
    mean = (total / len(task)).to(described.dtype).to(described.device)
    said = [_words(logit_map.unembedded(some), count) for some in mean.split(seen.rows_at_once(TENSORS))]
    return dict(zip([graph.writers[at] for at in chosen], [each for some in said for each in some], strict=True))


def likeliest_tokens(model: Any, task: Task, *, count: int = 5) -> list[Said]:
    """The model's likeliest tokens on each clean prompt, with their probabilities; parameters and errors are those of :func:`written_words`."""
    seen, found = subject(model, task), {}

    def likeliest(batch: Batch) -> list[Said]:
        logits = record_streams(seen.described, batch.clean, batch.position).logits
        most = logits.softmax(-1).topk(min(count, logits.shape[-1]))
        return _pairs(most.indices, most.values)

    for batch, said in seen.over(task, likeliest):
        found |= dict(zip(batch.rows.tolist(), said, strict=True))
    return [found[row] for row in range(len(task))]


def writes(run: Recording, batch: Batch) -> Tensor:
    """What every writer adds to the stream at the position that is read: (W, B, D)."""
    written = [at_position(run.start, batch)[None]]
    for index, part in enumerate(run.described.parts):
        output = at_position(run.outputs[index], batch)
        alone = output[None] if part.output_weight is None else torch.einsum("bhk,hkd->hbd", output, part.output_weight)
        written.append(alone)
    return torch.cat(written)


def _words(logits: Tensor, count: int) -> list[Words]:
    """Of each writer the tokens whose logits (W, vocabulary) are highest and lowest."""
    centred = logits - logits.mean(-1, keepdim=True)
    few = min(count, logits.shape[-1])
    high, low = centred.topk(few), centred.topk(few, largest=False)
    return [
        Words(*pair) for pair in zip(_pairs(high.indices, high.values), _pairs(low.indices, low.values), strict=True)
    ]


def _pairs(tokens: Tensor, values: Tensor) -> list[Said]:
    return [tuple(zip(*row, strict=True)) for row in zip(tokens.tolist(), values.tolist(), strict=True)]
