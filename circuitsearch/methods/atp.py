"""AtP*'s QK fix: the effect of a query or a key is computed with the softmax itself instead of its gradient."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from circuitsearch.engine.kernels import writes
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.recompute import CleanAttention
from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs, in_words
from circuitsearch.methods.eap import EAP, ByGradient
from circuitsearch.metric_contract import Needs
from circuitsearch.scores import Work


@dataclass(frozen=True)
class QKFix(Knobs):
    """The QK fix of AtP* (Kramár et al. 2403.00745): edges into queries and keys are scored with a recomputed softmax.

    A saturated softmax has almost no gradient, however much a change would move it. So for an edge into a query or a key
    the head's value is recomputed with that edge ablated, through norm, projection and softmax, everything else clean, and
    the change is multiplied by the metric's gradient at the head's value. All other edges are scored as ``first`` scores
    them.

    Cost: that of ``first``, one forward per prompt, and for each block and each writer before it twice the block's
    attention, without the projections that do not change: on the shape of GPT-2 small, with prompts of 16 tokens, in
    total 7 forwards if they differ at position 10, and 14 if they differ at position 0.

    Parameters
    ----------
    first : ByGradient
        Computes the gradients: ``EAP()``, ``EAPIG(steps=5)``, ``RelP()`` or ``GIM()``.

    Notes
    -----
    The paper patches nodes and sums the effects of a change at a query or a key; here each edge is ablated by itself, so
    that the norm is exact as well. AtP* has a second correction, GradDrop, which removes one block's gradient at a time
    to find effects that cancel; it is not implemented.
    """

    first: ByGradient = field(default_factory=EAP)

    def __post_init__(self) -> None:
        if not isinstance(self.first, ByGradient):
            raise InputError(f"QKFix(first=...) takes EAP(), EAPIG(), RelP() or GIM(), not {self.first!r}")

    @property
    def needs(self) -> Needs:
        """What ``first`` needs from the metric."""
        return self.first.needs

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"{in_words(self.first)}, edges into queries and keys with a recomputed softmax"

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        ports, clean = self.first.gradients(pair)
        differences = pair.differences(clean)
        graph, attention = pair.described.graph, CleanAttention(pair)
        scores, differences_UBTD = ports.atom_scores(differences), writes(pair.described, differences)
        for index, gradient in ports.heads.items():
            place = graph.base.parts[index]
            for port in ("q", "k"):
                columns = graph.base.port_readers(place.layer, port)
                effects = attention.effects(index, port, differences_UBTD[: place.seen], gradient)
                scores[: place.seen, columns] = effects / ports.runs
        return graph.collapse(scores)
