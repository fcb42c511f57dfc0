"""Causal tracing: the subject is corrupted by noise, and clean states are restored one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.errors import InputError
from circuitsearch.instruments.columns import Columns, columns_of, in_order
from circuitsearch.instruments.passes import (
    StreamTaps,
    Swap,
    record,
    record_streams,
    repeated,
    run_tapped,
)
from circuitsearch.instruments.patching import Site, Stream
from circuitsearch.instruments.result import Result, strongest
from circuitsearch.instruments.subject import Subject, subject
from circuitsearch.instruments.unfinished import finished, named
from circuitsearch.models.describe import Described
from circuitsearch.progress import Progress, silent
from circuitsearch.saved_state import Finished
from circuitsearch.task import Task

FIRST, MIDDLE, LAST = "subject, first", "subject, middle", "subject, last"
ROLES = ("before", FIRST, MIDDLE, LAST, "next", "further", "last token")
SIGMAS = 3.0  # the paper's noise, in standard deviations of the stream at the subject
WINDOW = 10  # the paper's, of 48 blocks


@dataclass(frozen=True, eq=False)
class CausalTrace(Result):
    """How much of the answer's probability is recovered by restoring each state.

    Attributes
    ----------
    site : str
        What was restored: ``stream``, ``mlp`` or ``attention``.
    rows, columns : tuple of str
        Blocks (the middle of a window); tokens, or their roles relative to the subject.
    effects : Tensor
        (R, C), the indirect effect averaged over prompts and noise samples: probability of the answer with the state
        restored, minus that without; NaN in a column that no prompt has.
    error : Tensor
        (R, C), standard error of that mean over prompts.
    clean, corrupted : float
        The answer's mean probability on the clean prompts, and on those with noise.
    noise : float
        Standard deviation of the noise.
    window : int
        Number of neighbouring blocks whose states were restored together.
    seeds : int
        Number of noise samples.
    task : str
    n : int
    """

    site: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    effects: Tensor
    error: Tensor
    clean: float
    corrupted: float
    noise: float
    window: int
    seeds: int
    task: str
    n: int

    @property
    def peak(self) -> tuple[str, str]:
        """Row and column of the largest effect; for the stream, without its first and last row."""
        at = int(self._informative.argmax())
        return self.rows[at // len(self.columns)], self.columns[at % len(self.columns)]

    @property
    def _informative(self) -> Tensor:
        """Effects without NaN, and without the stream's first and last row, where restoring one token can be everything."""
        effects = self.effects.nan_to_num(-torch.inf)
        if self.site == Stream.name:
            effects[[0, -1]] = -torch.inf
        return effects

    @property
    def at_subjects_last_token(self) -> bool:
        """Whether the largest effect is at the subject's last token, and more than two standard errors above zero."""
        row, column = self.peak
        at = self.rows.index(row), self.columns.index(column)
        return column == LAST and bool(self.effects[at] > 2 * self.error[at].nan_to_num(0.0))

    @property
    def verdict(self) -> str:
        """One sentence: where the trace localises."""
        row, column = self.peak
        value, fall = float(self._informative.max()), self.clean - self.corrupted
        if self.at_subjects_last_token:
            return (
                f"the causal trace localises at the subject's last token, in {self.site} {row}, where {value:+.3f} of a fall"
                f" of {fall:.3f} is recovered"
            )
        if LAST not in self.columns:
            return (
                f"the causal trace is largest at {column!r}, in {self.site} {row}: {value:+.3f} of a fall of {fall:.3f}"
            )
        there = float(self._informative[:, self.columns.index(LAST)].max())
        return (
            f"the causal trace does not localise at the subject's last token, where at most {there:+.3f} of a fall of {fall:.3f}"
            f" is recovered: it is largest at {column!r}, in {self.site} {row}, with {value:+.3f}"
        )

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        return (self.site, "restored at", " effect"), strongest(self.effects, self.rows, self.columns)


def causal_trace(
    model: Any,
    task: Task,
    subject_span: str,
    *,
    site: Site | None = None,
    noise: float | None = None,
    window: int | None = None,
    seeds: int = 10,
    by_role: bool = True,
    tokenizer: Any = None,
    checkpoint: str | Path | None = None,
    progress: Progress = silent,
) -> CausalTrace:
    """Trace where a fact is recalled (Meng et al., Locating and Editing Factual Associations in GPT, 2202.05262).

    Gaussian noise is added to the subject's tokens at the input of the first block; then the clean run's states are restored
    one at a time. For the stream, two cells are trivial: at the only token of a subject before the first block, and at the
    last token of the final stream, everything is restored.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Prompts and right answers; corrupt prompts are not used.
    subject_span : str
        The task's span that names the subject's tokens.
    site : Site, optional
        ``Stream()`` (the default), ``MLPOut()`` or ``AttentionOut()``.
    noise : float, optional
        Standard deviation; by default three times that of the stream's entries at the subjects.
    window : int, optional
        Number of neighbouring blocks whose states are restored together, for MLPs and attention; by default 10, as in the
        paper, or a fifth of the blocks if there are fewer than 48 (and one for the stream).
    seeds : int
        Number of noise samples to average over.
    by_role : bool
        Columns are roles of tokens relative to the subject, as in the paper's averages; else positions, for prompts of one
        length.
    tokenizer
        For the labels of positions.
    checkpoint : path, optional
        A file that keeps what is measured so far, from which work that was interrupted goes on.
    progress : callable
        Called with (passes done, passes in all), for each batch.

    Raises
    ------
    InputError
        If model and task do not fit, the task has no such span, or a number is out of range.
    """
    site, seen = site or Stream(), subject(model, task)
    described = seen.described
    task.check_spans([subject_span])
    if site.by_head:
        raise InputError(f"causal tracing restores the stream, mlp or attention at a token, not {site.name!r} by head")
    window = window or (1 if isinstance(site, Stream) else max(1, min(WINDOW, round(len(described.blocks) / 5))))
    if seeds < 1 or window < 1 or (noise is not None and not 0 <= noise < torch.inf):
        raise InputError(f"seeds and window must be 1 or more, and noise 0 or more, not {seeds}, {window} and {noise}")
    columns = subject_columns(task, subject_span) if by_role else columns_of(task, (), tokenizer)
    deviation = SIGMAS * _deviation(seen, task, subject_span) if noise is None else noise
    steps = finished(
        described,
        task,
        checkpoint,
        tracing=site.name,
        subject=subject_span,
        noise=deviation,
        window=window,
        by_role=by_role,
    )
    trace = _Trace(seen, site, columns, subject_span, deviation, window, seeds, steps)
    found = in_order(
        [(batch.rows, found) for batch, found in seen.over_pairs(task, trace.batch, progress)], len(task)
    )  # (N, 2 + R * C)
    names = site.row_names(described)
    per_prompt = found[:, 2:].unflatten(1, (len(names), len(columns)))
    there = per_prompt.isfinite().sum(0)
    return CausalTrace(
        site=site.name,
        rows=names,
        columns=columns.names,
        effects=per_prompt.nanmean(0),
        error=_deviation_of(per_prompt) / there.sqrt(),
        clean=float(found[:, 0].mean()),
        corrupted=float(found[:, 1].mean()),
        noise=deviation,
        window=window,
        seeds=seeds,
        task=task.name,
        n=len(task),
    )


def _deviation_of(values: Tensor) -> Tensor:
    """Standard deviation over prompts (N, R, C), without NaN."""
    there = values.isfinite().sum(0)
    squares = (values - values.nanmean(0)).square().nansum(0)
    return (squares / (there - 1).clamp(min=1)).sqrt()


def subject_columns(task: Task, span: str) -> Columns:
    """Roles of tokens: before the subject, its first, middle and last token, the next, those after, the prompt's last."""
    places = tuple(_roles(len(task.clean[row]), sorted(task.spans[row][span])) for row in range(len(task)))
    used = sorted({int(at) for each in places for at in each.unique()})
    renamed = torch.full((len(ROLES),), -1)
    renamed[used] = torch.arange(len(used))
    return Columns(tuple(ROLES[at] for at in used), tuple(renamed[each] for each in places))


def _roles(length: int, subject_at: list[int]) -> Tensor:
    roles = torch.zeros(length, dtype=torch.long)
    roles[subject_at[-1] + 1 :] = ROLES.index("further")
    if subject_at[-1] + 1 < length:
        roles[subject_at[-1] + 1] = ROLES.index("next")
    roles[-1] = ROLES.index("last token")
    roles[subject_at] = ROLES.index(MIDDLE)
    roles[subject_at[0]] = ROLES.index(FIRST)
    roles[subject_at[-1]] = ROLES.index(LAST)
    return roles


def _deviation(seen: Subject, task: Task, span: str) -> float:
    """Standard deviation of the entries of the stream at the input of the first block, at the subjects' tokens."""

    def entries(batch: Batch) -> Tensor:
        stream = record_streams(seen.described, batch.clean, batch.position).streams[0]
        return torch.cat([stream[row, list(spans[span])].flatten() for row, spans in enumerate(batch.spans)]).cpu()

    return float(torch.cat([found for _, found in seen.over(task, entries)]).double().std())


class _Noise(StreamTaps):
    """Noise at the input of the first block, nothing restored."""

    def __init__(self, noise: Tensor) -> None:
        self._noise = noise

    def block(self, layer: int, stream: Tensor) -> Tensor | None:
        return None if layer else stream + self._noise


@dataclass(frozen=True)
class _Trace:
    """All states of one trace, batch by batch."""

    subject: Subject
    site: Site
    columns: Columns
    span: str
    deviation: float
    window: int
    seeds: int
    finished: Finished

    @property
    def described(self) -> Described:
        return self.subject.described

    def batch(self, batch: Batch, progress: Progress) -> Tensor:
        """Probabilities in the clean and the corrupted run, and all effects: (B, 2 + R * C)."""
        clean = record(self.described, batch.clean, batch.position)
        batch = replace(batch, clean_logits=clean.logits)
        rows = self.site.rows(self.described)
        sources = self.site.sources(clean, rows)
        total = torch.zeros(1 + len(rows) * len(self.columns), len(batch), dtype=torch.float64)
        for seed in range(self.seeds):
            noise = self._noise(batch, clean.streams[0], seed)
            corrupted = probability(run_tapped(self.described, batch.clean, batch.position, _Noise(noise)), batch).cpu()
            effects = []
            for at in range(len(rows)):
                restored = partial(self._restored, batch, noise, self._window(sources, rows, at))
                effects.append(self.finished.once(f"{named(batch)} {seed} {at}", restored) - corrupted)
            total += torch.cat([corrupted[None], *effects]).double()
            progress(seed + 1, self.seeds)
        total = total / self.seeds
        absent = (self.columns.of(batch)[None] != self._each(batch)).all(-1).cpu()  # (C, B)
        total[1:].masked_fill_(absent.repeat(len(rows), 1), torch.nan)
        return torch.cat([probability(clean.logits, batch).cpu().double()[None], total]).T

    def _each(self, batch: Batch) -> Tensor:
        return torch.arange(len(self.columns), device=batch.clean.device)[:, None, None]

    def _noise(self, batch: Batch, stream: Tensor, seed: int) -> Tensor:
        """Noise (B, T, D) at the subject; a prompt's noise does not depend on its batch."""
        out = torch.zeros_like(stream)
        for place, (row, spans) in enumerate(zip(batch.rows.tolist(), batch.spans, strict=True)):
            at = list(spans[self.span])
            generator = torch.Generator().manual_seed(1_000_003 * seed + row)
            drawn = torch.randn(len(at), stream.shape[-1], generator=generator, dtype=torch.float64)
            out[place, at] = self.deviation * drawn.to(out)
        return out

    def _window(self, sources: dict[int, Tensor], rows: list[int], at: int) -> dict[int, Tensor]:
        """The states of the ``window`` blocks around ``at``."""
        first = max(0, at - self.window // 2)
        return {row: sources[row] for row in rows[first : max(first + 1, at - self.window // 2 + self.window)]}

    def _restored(self, batch: Batch, noise: Tensor, sources: dict[int, Tensor]) -> Tensor:
        """The answer's probability with the clean states restored in each column: (C, B)."""

        def restored(inside: Tensor) -> Tensor:
            taps: Swap = self.site.swap(self.described, sources, inside, noise)
            copies = len(inside)
            logits = run_tapped(self.described, batch.clean.repeat(copies, 1), batch.position.repeat(copies), taps)
            return probability(logits, repeated(batch, copies)).unflatten(0, (copies, -1))

        return self.subject.over_copies(batch, self._each(batch) == self.columns.of(batch), restored)


def probability(logits: Tensor, batch: Batch) -> Tensor:
    """Probability of the right answers together (B,)."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)
    return wide.gather(-1, batch.answers.clamp(min=0)).masked_fill(batch.answers < 0, 0.0).sum(-1)
