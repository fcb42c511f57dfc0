"""``stability``: repeat circuit discovery over variations, and measure what stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.names import ends_of
from circuitsearch.pipeline import EXTENDED, METHOD, PARTS, at_least, planned
from circuitsearch.progress import Progress, silent
from circuitsearch.registry import VARIATIONS
from circuitsearch.replication.agreement import Agreement, Rephrasing
from circuitsearch.replication.classes import CORE, Classes
from circuitsearch.replication.configuration import Configuration, Discover, Find
from circuitsearch.replication.edges import edges_of
from circuitsearch.replication.folder import Folder
from circuitsearch.replication.result import FoundCircuit, Stability
from circuitsearch.replication.samples import Parts
from circuitsearch.replication.searches import Found, Searches
from circuitsearch.replication.templates import Templates, has_factor
from circuitsearch.replication.variation import REPHRASINGS, SAMPLES, Variation, name_of
from circuitsearch.scores import AnyMethod
from circuitsearch.setup import Spec
from circuitsearch.task import Task
from circuitsearch.validation.trial import Trial

ALL = "all"


def stability(
    model: Any,
    task: Task | str,
    faithfulness: float = 0.9,
    *,
    vary: Variation | str | Sequence[Variation | str] | None = None,
    method: AnyMethod | str = METHOD,
    discover: Discover | None = None,
    classes: Classes | None = None,
    effects: int | None = None,
    confidence: float = 0.95,
    out: str | Path | None = None,
    tokenizer: Any = None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Stability:
    """Repeat circuit discovery over variations of prompts and settings, and measure how stable the circuit is.

    A quarter of the prompts are held out, in groups of their own; the searches share the others. A variation
    (:mod:`circuitsearch.replication`) makes several searches of one: each on other samples of the same kind of prompts
    (``Resamples``, ``Parts``, ``Seeds``), on other phrasings (``Templates``), or with other settings (``Targets``, ``Methods``).
    Variation over rephrasings is compared with variation over samples, because circuits of different templates differ for
    a reason of the model's, not of the sample's (2606.16920).

    Parameters
    ----------
    model
        A Hugging Face causal language model, an :class:`Experiment`, or a name or folder as for :func:`circuitsearch.load`.
    task : Task or str
        Prompts, or the name of a task.
    faithfulness : float
        The target of every search.
    vary : Variation, str, or sequence of them
        What differs between the searches, ``Parts(count=4)``, ``"resamples"`` ..., each kind once. By default ``Parts()``, and
        ``Templates()`` if the prompts name their templates.
    method : Method or str
        How edges are scored.
    discover : callable, optional
        From a :class:`circuitsearch.replication.Configuration` to its :class:`Circuit`; by default what
        :func:`circuitsearch.find` does, ``Find(refine=Refine())``.
    classes : Classes, optional
        From which inclusion on edges are core, and optional.
    effects : int, optional
        Of how many edges, the most often found first, effects are measured by exact runs. By default of as many as take a few
        forwards of the held-out prompts.
    confidence : float
        Of all intervals.
    out : path, optional
        A folder that keeps each circuit that is found. The same call goes on from there, one with further searches uses them again.
    tokenizer : optional
        The model's tokenizer, for a named task.
    progress : callable
        Called with (searches done, searches in all).
    **settings
        ``ablation``, ``granularity``, ``memory``, ``seed``: see :class:`Experiment`.

    Returns
    -------
    Stability
        Circuits, inclusion and effects of all their edges, agreement, core.

    Raises
    ------
    InputError
        If an argument is wrong, the prompts are too few for a variation or have no templates that it needs, a variation is given
        twice, or the folder has circuits of other searches.

    Notes
    -----
    Inclusion of an edge has a binomial interval over searches, its effect Student's t interval over held-out prompts; p-values are
    adjusted by Benjamini and Hochberg (1995) over all edges that were measured.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> def by_eap(search):
    ...     return cs.top(search.experiment.score("eap"), 12)
    >>> found = stability(model, cs.tasks.induction(tokenizer, n=32), vary="Parts(count=2)", discover=by_eap)
    >>> len(found.circuits), ("a1.h2", "logits") in found.core
    (2, True)
    """
    _check(effects, confidence)
    plan = planned(model, task, faithfulness, method, 0, tokenizer, settings)
    base, held_out = _divided(plan.whole, faithfulness, plan.method)
    variations = _variations(vary, base.task)
    classes, measure = classes or Classes(), Faithfulness(held_out)
    measure.experiment.evaluator.release()
    searches = Searches(variations, discover or Find(), Folder(None if out is None else Path(out)), progress)
    found = searches.circuits(base)
    edges = edges_of(held_out, found, classes, effects, confidence)
    masks = {
        name_of(each): [own.circuit.mask for own in found if own.variation == name_of(each)] for each in variations
    }
    core = Circuit.from_edges(held_out.graph, (ends_of(each.edge) for each in edges if each.status == CORE))
    return Stability(
        setup=base.experiment.setup.model_copy(update={"method": Spec.of(base.method)}),
        graph=held_out.graph,
        target=faithfulness,
        circuits=_on_held_out(measure, found),
        agreement=_agreement(variations, masks),
        rephrasing=_rephrasing(variations, masks),
        edges=edges,
        core_faithfulness=Trial(held_out, core, confidence=confidence).of_means,
        classes=classes,
        confidence=confidence,
        n_tested=len(held_out.task),
        held_out=held_out is not base.experiment,
    )


def _check(effects: int | None, confidence: float) -> None:
    if effects is not None and effects < 0:
        raise InputError(f"the number of edges whose effects are measured must be 0 or more, not {effects}")
    if not 0 < confidence < 1:
        raise InputError(f"the confidence must be between 0 and 1, not {confidence}")


def _divided(whole: Experiment, faithfulness: float, method: Any) -> tuple[Configuration, Experiment]:
    """The configuration that all searches are made from, and the experiment on the held-out prompts."""
    task, seed = whole.task, whole.seed
    if len(set(task.split_groups)) == 1:
        return Configuration(whole, faithfulness, method), whole
    rest, held_out = task.split(1 - PARTS[-1], seed)
    times, most = EXTENDED[-1]
    tested = at_least(held_out, min(times * len(task), most), seed).distinct()
    return Configuration(whole.on(rest), faithfulness, method), whole.on(tested)


def _variations(vary: Any, task: Task) -> list[Variation]:
    if vary is None:
        return [Parts(), *([Templates()] if has_factor(task, Templates.factor) else [])]
    given = [vary] if isinstance(vary, str) or not isinstance(vary, Iterable) else vary
    variations = [VARIATIONS.read(each) for each in given]
    names = [name_of(each) for each in variations]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice or not names:
        raise InputError(
            f"vary has {twice} twice: give each variation once" if twice else "vary is empty: name a variation"
        )
    return variations


def _on_held_out(measure: Faithfulness, found: Sequence[Found]) -> tuple[FoundCircuit, ...]:
    measured = measure.measured_each([each.circuit.mask for each in found])
    return tuple(
        FoundCircuit(
            each.name,
            each.variation,
            tuple("->".join(edge) for edge in each.circuit.edges),
            kept,
            None if each.circuit.history is None else each.circuit.history.forwards,
        )
        for each, kept in zip(found, measured, strict=True)
    )


def _agreement(variations: Sequence[Variation], masks: dict[str, list[Tensor]]) -> tuple[Agreement, ...]:
    """Of each variation, and of all circuits."""
    each = [Agreement.among(masks[name_of(own)], name_of(own), str(Spec.of(own)), own.source) for own in variations]
    return (*each, Agreement.among([mask for some in masks.values() for mask in some], ALL))


def _rephrasing(variations: Sequence[Variation], masks: dict[str, list[Tensor]]) -> tuple[Rephrasing, ...]:
    """Each variation over rephrasings against each one over samples."""
    names = {
        source: [name_of(each) for each in variations if each.source == source] for source in (SAMPLES, REPHRASINGS)
    }
    return tuple(
        Rephrasing.between(samples, masks[samples], rephrasings, masks[rephrasings])
        for samples in names[SAMPLES]
        for rephrasings in names[REPHRASINGS]
    )
