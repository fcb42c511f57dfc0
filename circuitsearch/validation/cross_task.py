"""Specificity: what each circuit of a model does on each task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

from circuitsearch import show
from circuitsearch.errors import unknown
from circuitsearch.files import STRICT, parse_json, read_json, to_json, write_json
from circuitsearch.markdown_text import escaped, table
from circuitsearch.setup import Setup
from circuitsearch.tex_text import tex_text
from circuitsearch.validation.bootstrap import METHOD
from circuitsearch.validation.on_task import OnTask, Overlap


@dataclass(frozen=True)
class Specificity:
    """Every circuit of a model on every task, and the edges that circuits share.

    Attributes
    ----------
    circuits : dict
        Number of edges of each circuit, by name.
    tasks : tuple of str
        Names; each circuit has the name of its own task.
    on_tasks : tuple of OnTask
        One for each circuit and task; ``found["greater_than", "ioi"]`` gives that of a circuit and a task.
    overlaps : tuple of Overlap
        One for each pair of circuits.
    undefined : dict
        The tasks that the model does not do, each with the reason.
    level : float
        Faithfulness from which a circuit counts as doing a task.
    confidence, n_resamples
        Of all intervals over prompts.
    setups : dict
        What was measured on each task.
    intervals : str
        How the intervals were computed.
    """

    __pydantic_config__ = STRICT

    circuits: dict[str, int]
    tasks: tuple[str, ...]
    on_tasks: tuple[OnTask, ...]
    overlaps: tuple[Overlap, ...]
    undefined: dict[str, str]
    level: float
    confidence: float
    n_resamples: int
    setups: dict[str, Setup]
    intervals: str = METHOD

    def __getitem__(self, names: tuple[str, str]) -> OnTask:
        circuit, task = names
        for kind, name, known in (("circuit", circuit, self.circuits), ("task", task, self.tasks)):
            if name not in known:
                raise unknown(kind, name, known)
        return next(each for each in self.on_tasks if (each.circuit, each.task) == names)

    # ---- what it says of a circuit

    def largest_other(self, circuit: str) -> OnTask | None:
        """The circuit on the other task on which its faithfulness is largest; None if it has no other task that the model does."""
        others = [each for each in self._of(circuit) if not each.own and not isnan(each.faithfulness.value)]
        return max(others, key=lambda each: each.faithfulness.value, default=None)

    def value(self, circuit: str) -> float:
        """A circuit's specificity: its faithfulness on its own task less the largest on another; NaN if either is not defined."""
        other = self.largest_other(circuit)
        return nan if other is None else self[circuit, circuit].faithfulness.value - other.faithfulness.value

    @property
    def also_do(self) -> list[OnTask]:
        """The circuits on tasks not their own where the faithfulness is ``level`` or more, the largest first."""
        found = [each for each in self.on_tasks if not each.own and each.faithfulness.value >= self.level]
        return sorted(found, key=lambda each: -each.faithfulness.value)

    def overlap(self, circuit: str, other: str) -> Overlap:
        """The edges that two different circuits share."""
        for each in self.overlaps:
            if {each.circuit, each.other} == {circuit, other}:
                return replace(each, circuit=circuit, other=other)
        raise unknown("pair of circuits", f"{circuit}, {other}", self.circuits)

    def _of(self, circuit: str) -> list[OnTask]:
        return [self[circuit, task] for task in self.tasks]

    # ---- files

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        return asdict(self) | {"setups": {name: each.model_dump(mode="json") for name, each in self.setups.items()}}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Specificity:
        """Rebuild it from :meth:`to_dict`; raises an InputError if ``content`` is something else."""
        return parse_json(to_json(content), cls)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_dict` as JSON; a number that is not defined is null."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Specificity:
        """Read what :meth:`save` wrote; raises an InputError if the file is something else."""
        return read_json(path, "a specificity that was saved", cls)

    # ---- text

    def rows(self) -> list[tuple[str, str]]:
        """What was found as (name, text): a row for each circuit, one for each task that it also does; the last one describes the intervals."""
        return [
            *((circuit, self._described(circuit)) for circuit in self.circuits),
            *(("also does", sentence) for sentence in self.sentences()),
            *(("not defined", reason) for reason in self.undefined.values()),
            *(("caution", sentence) for sentence in self._seen()),
            ("", f"intervals are {self.confidence:.0%} {self.intervals} over prompts, {self.n_resamples} resamples"),
        ]

    def sentences(self) -> list[str]:
        """A sentence for each task that a circuit of another task also does, or one that there is none."""
        if not self.also_do:
            return [f"no circuit does another task: its faithfulness there is below {self.level:g}"]
        return [f"the circuit of {each.circuit} also does {each.task} ({each})" for each in self.also_do]

    def _described(self, circuit: str) -> str:
        own, other, size = self[circuit, circuit], self.largest_other(circuit), f"{self.circuits[circuit]:,} edges"
        if other is None:
            return f"{size}, own task {own}"
        value = self.value(circuit)
        specific = "not defined" if isnan(value) else f"{value:z.3f}"
        return f"{size}, own task {own}; largest other {other.task} {other}; specificity {specific}"

    def _seen(self) -> Iterator[str]:
        for each in self.on_tasks:
            if each.n_seen:
                yield f"{each.n_seen} of the {each.n} prompts of {each.task} chose the circuit of {each.circuit}: none are held out"

    def __str__(self) -> str:
        *rows, (_, note) = self.rows()
        cells = [["", *self.tasks], *([name, *map(_short, self._of(name))] for name in self.circuits)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        width = max(len(name) for name, _ in rows)
        return "\n".join(
            [
                "faithfulness of circuits (rows) on tasks (columns)",
                *("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells),
                *(f"{name:<{width}} {text}" for name, text in rows),
                note,
            ]
        )

    def to_markdown(self) -> str:
        """The matrices as tables, and the rows as a list."""
        *rows, (_, note) = self.rows()
        names = list(self.circuits)
        shared = [[one, *("" if one == two else str(self.overlap(one, two)) for two in names)] for one in names]
        return "\n\n".join(
            [
                "Faithfulness (ratio of means) of each circuit on each task:",
                self._markdown("faithfulness"),
                "Mean of the bounded faithfulness per prompt:",
                self._markdown("per_prompt"),
                "Edges that two circuits share: Jaccard, and the share of the smaller circuit's edges:",
                table(["circuit", *names], shared),
                "\n".join(f"- {escaped(name)}: {escaped(text)}" for name, text in rows),
                escaped(note),
            ]
        ) + "\n"  # fmt: skip

    def _markdown(self, measure: str) -> str:
        lines = [[name, *(str(getattr(each, measure)) for each in self._of(name))] for name in self.circuits]
        return table(["circuit", *self.tasks], lines)

    def to_latex(self) -> str:
        """The matrix of faithfulness as a table of the LaTeX package booktabs; a circuit's own task is bold."""
        head = " & ".join(["circuit", *map(tex_text, self.tasks)])
        lines = [" & ".join([tex_text(name), *map(_tex, self._of(name))]) for name in self.circuits]
        body = [f"  {line} \\\\" for line in lines]
        columns = "l" + "r" * len(self.tasks)
        return "\n".join(
            [
                f"\\begin{{tabular}}{{{columns}}}",
                r"  \toprule",
                f"  {head} \\\\",
                r"  \midrule",
                *body,
                r"  \bottomrule",
                r"\end{tabular}",
                "",
            ]
        )

    def _repr_svg_(self) -> str | None:
        return show.as_svg(self)


def _short(each: OnTask) -> str:
    return "-" if isnan(each.faithfulness.value) else f"{each.faithfulness.value:z.2f}"


def _tex(each: OnTask) -> str:
    number = "--" if isnan(each.faithfulness.value) else _short(each).replace("-", "$-$")
    return f"\\textbf{{{number}}}" if each.own else number
