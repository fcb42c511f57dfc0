"""A minimal circuit of a target faithfulness, with the certificate that no edge of it can be removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor

from circuitsearch.circuit import Certificate, Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.progress import Progress, part, silent
from circuitsearch.reachability import prune
from circuitsearch.scores import Scores
from circuitsearch.search.ranked import strongest
from circuitsearch.setup import Setup
from circuitsearch.target import check_target, reaches
from circuitsearch.task import Task

Place = tuple[int, ...]  # row and column of an edge, or the row of a node, for all edges from it
MOST_SIZES = 64  # sizes of a ranking that are all tried
TRIED_AT_ONCE = 8  # of more sizes


def smallest_prefix(
    model: Any,
    task: Task,
    scores: Scores,
    faithfulness: float = 0.9,
    **settings: Unpack[Settings],
) -> Circuit:
    """Find the smallest prefix of the ranking, pruned, that reaches the target, among the sizes that are tried.

    Sizes grow by a quarter until one reaches the target. Then every size above the last one that did not is tried, or, if these
    are many, some evenly spaced ones, again and again.
    Parameters and errors are those of :func:`minimal`.
    """
    search = elimination_of(model, task, scores, faithfulness, settings)
    return Circuit(scores.graph, search.smallest_prefix(scores.ranking()), scores.values, setup=search.setup(scores))


def minimal(
    model: Any,
    task: Task,
    scores: Scores,
    faithfulness: float = 0.9,
    *,
    starts: Sequence[Scores] = (),
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Circuit:
    """Find a circuit of the target faithfulness from which no edge can be removed.

    The search starts from :func:`smallest_prefix`. Then edges are removed one by one, first the one whose removal changes
    the faithfulness least, by runs of the model, until none can be removed. If edges were rechecked, the search is repeated
    from the ranking of the estimate, and the smaller circuit is returned: an edge can be removed if others in the circuit
    can replace it, and a better ranking includes fewer such replacements.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts to measure on.
    scores : Scores
        The ranking to start from.
    faithfulness : float
        The target, in (0, 1]: the circuit's faithfulness must be within 1 - target of 1, on either side.
    starts : sequence of Scores
        Further rankings of the same edges. The search is done again from each, and the smallest circuit is returned. It has the
        scores of the first ranking.
    progress : callable
        Called with (edges removed, edges at the start) and, when no more can be removed, with both equal.
    **settings
        As of :class:`circuitsearch.Experiment`; what is not given is as the scores were computed with.

    Returns
    -------
    Circuit
        Its ``certificate`` gives for every edge the faithfulness of the circuit without it. It is local-minimal (2410.08025): no
        single edge can be removed. Several together may be (:func:`circuitsearch.smallest_subset`), and a smaller circuit of other
        edges may exist.

    Raises
    ------
    InputError
        If the target is not in (0, 1], the model does not do the task, or the ablation, the granularity or the metric is not
        that of the scores, or a further ranking is of another graph.
    """
    search = elimination_of(model, task, scores, faithfulness, settings)
    for each in starts:
        Experiment.of(search.measure.experiment, task, each)  # refuses the scores of another graph
    rankings = [places for each in (scores, *starts) for places in each.rankings()]
    found = [
        search.shrunk(search.smallest_prefix(places), part(progress, number, len(rankings)))
        for number, places in enumerate(rankings)
    ]
    mask, without = min(found, key=lambda mask_and_losses: int(mask_and_losses[0].sum()))
    return Circuit(scores.graph, mask, scores.values, search.certificate(mask, without), search.setup(scores))


def elimination_of(model: Any, task: Task, scores: Scores, target: float, settings: Settings) -> Elimination:
    """Of the edges of circuits on these prompts."""
    check_target(target)
    return Elimination(Faithfulness(Experiment.of(model, task, scores, **settings)), target)


@dataclass(frozen=True)
class Elimination:
    """Removes edges by runs of the model, as long as the target is reached; a subclass removes nodes.

    Parameters
    ----------
    measure : Faithfulness
        On the prompts of the search.
    target : float
        The faithfulness to reach.
    """

    measure: Faithfulness
    target: float

    @property
    def graph(self) -> Graph:
        return self.measure.graph

    def setup(self, scores: Scores) -> Setup:
        """The setup of the circuit: the prompts of the search, and the method of the scores."""
        method = None if scores.setup is None else scores.setup.method
        return self.measure.experiment.setup.model_copy(update={"method": method})

    def smallest_prefix(self, places: Tensor) -> Tensor:
        """Mask (U, V) of the smallest prefix of the ranking ``places`` (E, 2), among those tried, to reach the target."""
        found = self.smallest(lambda size: strongest(self.graph, places, size), len(places))
        if found is None:
            raise InputError(
                f"no set of the {len(places)} scored edges reaches a faithfulness of {self.target:g}: score more edges or lower the target"
            )
        return found

    def smallest(self, prefix: Callable[[int], Tensor], total: int) -> Tensor | None:
        """The first of growing circuits ``prefix(1)`` ... ``prefix(total)``, masks (U, V), among those tried, to reach the target."""
        last = 0
        for sizes in _grouped(_growing(total), 8):
            found = self._first_to_reach(prefix, sizes)
            if found is not None:
                lower = max([last, *(size for size in sizes if size < found)])
                return prefix(self._refined(prefix, lower, found))
            last = sizes[-1]
        return None

    def _refined(self, prefix: Callable[[int], Tensor], lower: int, upper: int) -> int:
        """Smallest size in (lower, upper] that reaches the target; ``upper`` does.

        Of many sizes some evenly spaced ones are tried, then those before the first one that reaches the target, and so on.
        """
        while upper - lower > MOST_SIZES:
            sizes = [lower + (upper - lower) * i // TRIED_AT_ONCE for i in range(1, TRIED_AT_ONCE)]
            found = self._first_to_reach(prefix, sizes) or upper
            lower, upper = max([lower, *(size for size in sizes if size < found)]), found
        found = self._first_to_reach(prefix, range(lower + 1, upper))
        return upper if found is None else found

    def _first_to_reach(self, prefix: Callable[[int], Tensor], sizes: Sequence[int]) -> int | None:
        masks = [prefix(size) for size in sizes]
        worth = [(size, mask) for size, mask in zip(sizes, masks, strict=True) if mask.any()]
        if not worth:
            return None
        values = self.measure(torch.stack([mask for _, mask in worth])).tolist()
        return next((size for (size, _), value in zip(worth, values, strict=True) if reaches(value, self.target)), None)

    def shrunk(
        self, mask: Tensor, progress: Progress = silent, among: Tensor | None = None
    ) -> tuple[Tensor, dict[Place, float]]:
        """Remove edges, or those in ``among`` (U, V), until none of them can be removed.

        Returns
        -------
        Tensor, dict
            The smaller mask, and its faithfulness without each edge that could not be removed.
        """
        total = int(mask.sum())
        without = self.without_each(mask, among)
        while removable := self.removable(mask, without):
            for smaller in self.eliminate(mask, removable):
                progress(total - int(smaller.sum()), total)
                mask = smaller
            without = self.without_each(mask, among)
        progress(total, total)
        return mask, without

    def removable(self, mask: Tensor, without: dict[Place, float]) -> list[Place]:
        """The edges without any one of which the target is reached, first the one that changes the faithfulness least."""
        found = [edge for edge, value in without.items() if reaches(value, self.target)]
        if not found:
            return found
        current = float(self.measure(mask[None], near=mask))
        return sorted(found, key=lambda edge: abs(without[edge] - current))

    def without_each(self, mask: Tensor, among: Tensor | None = None) -> dict[Place, float]:
        """Faithfulness of the circuit without each of its edges (in a subclass: nodes), or of those in ``among``."""
        places = self.candidates(mask if among is None else mask & among)
        if not places:
            return {}
        values = self.measure(torch.stack([self.without(mask, [place]) for place in places]), near=mask)
        return dict(zip(places, values.tolist(), strict=True))

    def candidates(self, mask: Tensor) -> list[Place]:
        """What can be removed from a circuit: its edges."""
        return [(row, column) for row, column in mask.nonzero().tolist()]

    def eliminate(self, mask: Tensor, candidates: list[Place]) -> Iterator[Tensor]:
        """Remove each candidate in turn unless the target is missed without it; yield the circuit after each batch.

        Runs are batched by speculation: after a success the guess is that longer and longer prefixes of the candidates can
        be removed together; after a failure, that none of the next ones can be removed by itself.
        """
        width, hopeful, start = 16, True, mask
        while candidates:
            tried = candidates[:width]
            gone = self._gone_together(mask, tried, start) if hopeful else self._first_to_go(mask, tried, start)
            mask = self.without(mask, gone) if gone else mask
            yield mask
            if hopeful:
                left, width = candidates[len(gone) or 1 :], min(4 * width, 256) if gone == tried else max(1, len(gone))
            else:
                left, width = candidates[candidates.index(gone[0]) + 1 if gone else width :], 16
            hopeful = bool(gone)
            candidates = [place for place in left if mask[place].any()]

    def _gone_together(self, mask: Tensor, tried: list[Place], start: Tensor) -> list[Place]:
        """The longest of the prefixes of 1, 2, 4 ... edges such that removing it, or any shorter one, reaches the target."""
        sizes = [*(1 << i for i in range(len(tried).bit_length()) if 1 << i < len(tried)), len(tried)]
        good = self._reached([self.without(mask, tried[:size]) for size in sizes], start)
        passed = good.index(False) if False in good else len(good)
        return tried[: sizes[passed - 1]] if passed else []

    def _first_to_go(self, mask: Tensor, tried: list[Place], start: Tensor) -> list[Place]:
        """The first of these edges whose removal alone reaches the target, if any."""
        good = self._reached([self.without(mask, [edge]) for edge in tried], start)
        return [tried[good.index(True)]] if True in good else []

    def _reached(self, masks: list[Tensor], start: Tensor) -> list[bool]:
        return reaches(self.measure(torch.stack(masks), near=start), self.target).tolist()

    def without(self, mask: Tensor, places: Sequence[Place]) -> Tensor:
        """The circuit (U, V) without some edges (in a subclass: nodes), and without those that are then on no path."""
        fewer = mask.clone()
        for place in places:
            fewer[place] = False
        return prune(self.graph, fewer)

    def certificate(self, mask: Tensor, without: dict[Place, float]) -> Certificate:
        """Of the circuit's edges that were tried, those without which it misses the target."""
        return Certificate(self.target, float(self.measure(mask[None], near=mask)), self.needed(without))

    def needed(self, without: dict[Place, float]) -> dict[str, float]:
        """The names of those without which the target is missed, with the faithfulness without each."""
        return {self.name(place): value for place, value in without.items() if not reaches(value, self.target)}

    def name(self, place: Place) -> str:
        """Of an edge."""
        return self.graph.edge_name(*place)


def _growing(largest: int) -> Iterator[int]:
    """1, 2, 3 ... growing by a quarter, up to and with ``largest``."""
    size = 1
    while size < largest:
        yield size
        size = max(size + 1, size * 5 // 4)
    yield largest


def _grouped(sizes: Iterator[int], count: int) -> Iterator[list[int]]:
    group: list[int] = []
    for size in sizes:
        group.append(size)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group
