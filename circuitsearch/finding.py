"""Plan, result and listeners of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuitsearch import show
from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import RATIO, Average
from circuitsearch.models.gguf import Origin, origin_of
from circuitsearch.scores import AnyMethod, Scores
from circuitsearch.search import Complete, Refine
from circuitsearch.setup import Setup, Spec
from circuitsearch.validation import Behaviour, Check, Report


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes
    ----------
    whole : Experiment
        On all prompts that were asked for.
    selection, stopping, held_out : Experiment
        On the prompts that choose edges, on those that decide which circuit is returned, and on those that test it. If all prompts
        are in one group, the three are the same and no prompts are held out.
    method : Method
        How edges are scored.
    faithfulness : float
        The share of the behaviour that the circuit must keep.
    average : Average
        Whether that is a ratio of means or a mean over prompts.
    starts : tuple of Method
        Further rankings, from each of which the circuit is searched for again.
    checks : tuple of Check
        Further checks of the circuit, beside the usual ones.
    refine : Refine
        How the circuit is searched for.
    complete : Complete, optional
        How the circuit is completed by what can take the place of its edges, if it is.
    minutes : float, optional
        Time after which the search ends.
    tokenizer : optional
        Shows prompts as text.
    """

    whole: Experiment
    selection: Experiment
    stopping: Experiment
    held_out: Experiment
    method: AnyMethod
    faithfulness: float
    average: Average = RATIO
    starts: tuple[AnyMethod, ...] = ()
    checks: tuple[Check, ...] = ()
    refine: Refine = field(default_factory=Refine)
    complete: Complete | None = None
    minutes: float | None = None
    tokenizer: Any = None

    @property
    def origin(self) -> Origin | None:
        """Where the model comes from, if it was read from a GGUF file."""
        return origin_of(self.selection.model)

    @property
    def setup(self) -> Setup:
        """Setup of the selection."""
        return self.selection.setup.model_copy(update={"method": Spec.of(self.method)})


@dataclass(frozen=True)
class Finding:
    """The result of a run.

    Attributes
    ----------
    behaviour : Behaviour
        What the model itself does, on all prompts that were asked for.
    scores : Scores
        Every edge's score, on the prompts of the search.
    circuit : Circuit
        The circuit, with the scores of all edges.
    report : Report
        The evidence, on the held-out prompts if there are any.
    folder : Path, optional
        The run folder, if there is one.
    """

    behaviour: Behaviour
    scores: Scores
    circuit: Circuit
    report: Report
    folder: Path | None = None

    def _repr_svg_(self) -> str | None:
        return show.as_svg(self.circuit)

    def __repr__(self) -> str:
        return f"Finding({self.report.task!r}, {self.circuit!r}, faithfulness {self.report.faithfulness})"


class Listener:
    """Its methods are called during a run; they do nothing, and subclasses override those that they need.

    The stages are ``"behaviour"``, ``"scores"``, ``"circuit"`` and ``"report"``, in this order; before a complete circuit comes the
    ``"minimal"`` one.
    """

    journal: Path | None = None  # the file of exact effects, until the scores are finished
    checkpoint: Path | None = None  # the file of the search's state, until the circuit is found
    steps: Path | None = None  # the file of what is finished of a complete circuit or of the report, until either is

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """A context manager around all stages of a run."""
        yield

    def recall(self, stage: str) -> Any:
        """The result of a stage from an earlier run, or None."""

    def started(self, stage: str) -> None:
        """A stage begins."""

    def progressed(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of a stage are done."""

    def passed(self, circuit: Circuit) -> None:
        """A pass of the search is done; ``circuit`` is the best so far, and its history has every pass."""

    def finished(self, stage: str, result: Any, seconds: float | None) -> None:
        """A stage has its result; ``seconds`` is None where it was recalled."""

    def ended(self, plan: Plan, finding: Finding) -> None:
        """All stages have their results."""
