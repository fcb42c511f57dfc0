"""Activation patching: another run's activations replace those of this run, one position or head at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.errors import InputError, unknown
from circuitsearch.instruments.columns import Columns, columns_of, in_order
from circuitsearch.instruments.decomposition import part_names
from circuitsearch.instruments.passes import (
    Recording,
    Swap,
    SwapGiven,
    SwapPattern,
    SwapPort,
    SwapStream,
    patterns_of,
    record,
    repeated,
    run_tapped,
)
from circuitsearch.instruments.result import Result, strongest
from circuitsearch.instruments.subject import Subject, subject
from circuitsearch.instruments.unfinished import finished, named
from circuitsearch.metrics import metric_name
from circuitsearch.models.describe import Described
from circuitsearch.progress import Progress, silent
from circuitsearch.saved_state import Finished
from circuitsearch.task import Task


@dataclass(frozen=True)
class Site:
    """The kind of activation that is patched: rows are blocks or parts, columns are tokens or heads."""

    name: ClassVar[str] = ""
    by_head: ClassVar[bool] = False
    patterns: ClassVar[bool] = False

    def rows(self, described: Described) -> list[int]:
        """Indices of the blocks or parts that are patched, one after another."""
        raise NotImplementedError

    def row_names(self, described: Described) -> tuple[str, ...]:
        """Their labels."""
        names = part_names(described)
        return tuple(names[index] for index in self.rows(described))

    def heads(self, described: Described) -> int:
        """Number of columns of a map by head."""
        return described.graph.n_heads

    def sources(self, run: Recording, rows: Sequence[int]) -> dict[int, Tensor]:
        """Activations of a recorded run in some rows: (B, T, ...) each."""
        return {row: run.outputs[row] for row in rows}

    def swap(
        self, described: Described, sources: dict[int, Tensor], inside: Tensor, noise: Tensor | None = None
    ) -> Swap:
        """The taps that patch: ``inside`` is boolean, (C, B, T) by token or (C, 1, 1, H) by head."""
        trailing = next(iter(sources.values())).dim() + 1 - inside.dim()
        return SwapGiven(described, sources, inside[(..., *[None] * trailing)], noise)


class Stream(Site):
    """The residual stream at the input of a block, and the final stream."""

    name = "stream"

    def rows(self, described: Described) -> list[int]:
        return list(range(len(described.blocks) + 1))

    def row_names(self, described: Described) -> tuple[str, ...]:
        return (*map(str, range(len(described.blocks))), "end")

    def sources(self, run: Recording, rows: Sequence[int]) -> dict[int, Tensor]:
        return {row: run.streams[row] for row in rows}

    def swap(
        self, described: Described, sources: dict[int, Tensor], inside: Tensor, noise: Tensor | None = None
    ) -> Swap:
        return SwapStream(described, sources, inside[..., None], noise)


class AttentionOut(Site):
    """What a block's attention, all heads together, or its mixer writes."""

    name = "attention"

    def rows(self, described: Described) -> list[int]:
        return [index for index, place in enumerate(described.graph.base.parts) if place.letter != "m"]


class MLPOut(Site):
    """What an MLP writes."""

    name = "mlp"

    def rows(self, described: Described) -> list[int]:
        return [index for index, place in enumerate(described.graph.base.parts) if place.letter == "m"]


class HeadOut(Site):
    """What one head writes, at all tokens."""

    name, by_head = "head", True

    def rows(self, described: Described) -> list[int]:
        return [index for index, _ in described.heads]


class Query(HeadOut):
    """One head's queries, before rotary positions are applied."""

    name = "q"

    def heads(self, described: Described) -> int:
        return described.graph.base.port_heads(self.name)

    def sources(self, run: Recording, rows: Sequence[int]) -> dict[int, Tensor]:
        return {row: run.ports[row, self.name] for row in rows}

    def swap(
        self, described: Described, sources: dict[int, Tensor], inside: Tensor, noise: Tensor | None = None
    ) -> Swap:
        return SwapPort(described, sources, inside[..., None], noise, self.name)


class Key(Query):
    """One head's keys, or those of one group that several heads share."""

    name = "k"


class Value(Query):
    """One head's values, or those of one group that several heads share."""

    name = "v"


class Pattern(HeadOut):
    """One head's attention pattern; the values that it multiplies are those of this run."""

    name, patterns = "pattern", True

    def sources(self, run: Recording, rows: Sequence[int]) -> dict[int, Tensor]:
        return {row: patterns_of(run, row).transpose(1, 2) for row in rows}

    def swap(
        self, described: Described, sources: dict[int, Tensor], inside: Tensor, noise: Tensor | None = None
    ) -> Swap:
        return SwapPattern(described, sources, inside[..., None], noise)


SITES: dict[str, Site] = {
    site.name: site for site in (Stream(), AttentionOut(), MLPOut(), HeadOut(), Query(), Key(), Value(), Pattern())
}


def site_named(name: str) -> Site:
    """Look up a site by its name."""
    if name not in SITES:
        raise unknown("site", name, SITES)
    return SITES[name]


@dataclass(frozen=True, eq=False)
class Patching(Result):
    """How much patching each activation changes the metric.

    Attributes
    ----------
    site : str
        What was patched.
    rows, columns : tuple of str
        Blocks or parts; tokens, spans, or heads (groups, if heads share keys and values).
    effects : Tensor
        (R, C), in the metric's unit, averaged over prompts: how much it falls when the corrupt run's activation is patched
        into the clean run (noising), or how much it rises when the clean one is patched into the corrupt run (denoising).
        In both cases positive if the activation supports the behaviour.
    per_prompt : Tensor
        (N, R, C).
    clean, corrupt : float
        The metric's mean in each run.
    noising : bool
    metric, task : str
    n : int
    """

    site: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    effects: Tensor
    per_prompt: Tensor
    clean: float
    corrupt: float
    noising: bool
    metric: str
    task: str
    n: int

    @property
    def shares(self) -> Tensor:
        """Effects as shares of the clean-minus-corrupt metric: (R, C)."""
        return self.effects / (self.clean - self.corrupt)

    def __getitem__(self, place: tuple[str, str]) -> float:
        """One effect, by its labels: ``patching["a2", "0"]``."""
        row, column = place
        for kind, given, labels in (("row", row, self.rows), ("column", column, self.columns)):
            if given not in labels:
                raise unknown(kind, given, labels)
        return float(self.effects[self.rows.index(row), self.columns.index(column)])

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        return (self.site, "column", f" effect on {self.metric}"), strongest(self.effects, self.rows, self.columns)


def activation_patching(
    model: Any,
    task: Task,
    site: Site | None = None,
    *,
    noising: bool = False,
    spans: Sequence[str] = (),
    tokenizer: Any = None,
    checkpoint: str | Path | None = None,
    progress: Progress = silent,
) -> Patching:
    """Patch the activations of one kind, one at a time, from the clean into the corrupt run, or the other way.

    Vig et al. 2004.12265 and Meng et al. 2202.05262 (causal mediation, denoising); Wang et al. 2211.00593 (noising); their
    differences: Heimersheim & Nanda 2404.15255.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Clean and corrupt prompts, and the metric. :func:`prompt_pair` makes a task of one prompt and its counterfactual.
    site : Site, optional
        ``Stream()`` (the default), ``AttentionOut()``, ``MLPOut()`` by token; ``HeadOut()``, ``Query()``, ``Key()``,
        ``Value()``, ``Pattern()`` by head, at all tokens.
    noising : bool
        Patch the corrupt activation into the clean run; by default the clean one into the corrupt run.
    spans : sequence of str
        Token spans that are patched together; by default every position, which needs prompts of one length.
    tokenizer
        For the columns' labels.
    checkpoint : path, optional
        A file that keeps what is measured so far, from which work that was interrupted goes on.
    progress : callable
        Called with (passes done, passes in all), for each batch.

    Raises
    ------
    InputError
        If model, task and spans do not fit, or the model has no such activation.
    """
    site = site or Stream()
    seen = subject(model, task)
    described, rows = seen.described, site.rows(seen.described)
    if not rows:
        raise InputError(f"a {described.model.config.model_type!r} model has no {site.name} to patch")
    columns = None if site.by_head else columns_of(task, spans, tokenizer)
    steps = finished(described, task, checkpoint, patching=site.name, spans=spans, noising=noising)
    sweep = _Sweep(seen, task, site, rows, columns, noising, steps)
    found = in_order(
        [(batch.rows, found) for batch, found in seen.over_pairs(task, sweep.batch, progress)], len(task)
    )  # (N, R * C + 2)
    per_prompt = found[:, 2:].unflatten(1, (len(rows), -1))
    return Patching(
        site=site.name,
        rows=site.row_names(described),
        columns=tuple(map(str, range(site.heads(described)))) if columns is None else columns.names,
        effects=per_prompt.mean(0),
        per_prompt=per_prompt,
        clean=float(found[:, 0].mean()),
        corrupt=float(found[:, 1].mean()),
        noising=noising,
        metric=metric_name(task.metric),
        task=task.name,
        n=len(task),
    )


@dataclass(frozen=True)
class _Sweep:
    """All activations of one site, batch by batch."""

    subject: Subject
    task: Task
    site: Site
    rows: Sequence[int]
    columns: Columns | None
    noising: bool
    finished: Finished

    @property
    def described(self) -> Described:
        return self.subject.described

    def batch(self, batch: Batch, progress: Progress) -> Tensor:
        """The metric of the clean and of the corrupt run, and all effects: (B, 2 + R * C)."""
        if batch.aligned is not None:
            raise InputError(
                "patching exchanges activations of one position: leave pairs of unequal lengths out with align='drop'"
            )
        clean = record(self.described, batch.clean, batch.position, patterns=self.site.patterns and not self.noising)
        corrupt = record(self.described, batch.corrupt, batch.position, patterns=self.site.patterns and self.noising)
        batch = replace(batch, clean_logits=clean.logits)
        ends = [self.task.metric(run.logits, batch).cpu() for run in (clean, corrupt)]
        source, ids = (corrupt, batch.clean) if self.noising else (clean, batch.corrupt)
        effects = []

        def patched(row: int) -> Tensor:  # (C, B)
            sources = self.site.sources(source, [row])
            return self.subject.over_copies(batch, self._copies(batch), partial(self._metric, batch, ids, sources))

        for done, row in enumerate(self.rows, 1):
            values = self.finished.once(f"{named(batch)} {row}", partial(patched, row))
            effects.append(ends[0] - values if self.noising else values - ends[1])
            progress(done, len(self.rows))
        return torch.cat([torch.stack(ends), *effects]).T

    def _copies(self, batch: Batch) -> Tensor:
        """Where each copy of the batch is patched: (C, B, T) or (C, 1, 1, H)."""
        count = self.site.heads(self.described) if self.columns is None else len(self.columns)
        each = torch.arange(count, device=batch.clean.device)
        if self.columns is None:
            return (each[:, None] == each)[:, None, None]
        return each[:, None, None] == self.columns.of(batch)

    def _metric(self, batch: Batch, ids: Tensor, sources: dict[int, Tensor], inside: Tensor) -> Tensor:
        """The metric (C, B) of the copies, each patched where ``inside`` is true."""
        copies = len(inside)
        taps = self.site.swap(self.described, sources, inside)
        logits = run_tapped(self.described, ids.repeat(copies, 1), batch.position.repeat(copies), taps)
        return self.task.metric(logits, repeated(batch, copies)).unflatten(0, (copies, -1))
