"""AtP*'s repair for attention: what a query or a key does is taken through the softmax itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from circuitsearch.engine.kernels import writes
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.recompute import CleanAttention
from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs
from circuitsearch.methods.eap import EAP, ByGradient
from circuitsearch.metric_contract import Needs
from circuitsearch.scores import Work


@dataclass(frozen=True)
class QKFix(Knobs):
    """The QK fix of AtP* (Kramár et al. 2403.00745): edges into queries and keys go through the recomputed softmax.

    A softmax that has made up its mind has hardly a gradient, however much a change would move it. So for an edge into a
    query or a key the head's value is computed anew with that edge cut, through norm, projection and softmax, all else
    clean, and the change is multiplied with the metric's gradient at the head's value. All other edges are scored as
    ``first`` does.

    Cost: what ``first`` costs and one forward a prompt, and for each block and each writer before it twice the block's
    attention, without the projections that stay as they are: on the shape of GPT-2 small, with prompts of 16 tokens, in
    all 7 forwards where they differ at position 10, and 14 where they differ at position 0.

    Parameters
    ----------
    first : ByGradient
        Gives the gradients: ``EAP()``, ``EAPIG(steps=5)``, ``RelP()`` or ``GIM()``.

    Notes
    -----
    The paper patches nodes and adds up what a change at a query or a key does; here each edge is cut by itself, so that
    the norm is exact as well. Of AtP*'s two repairs this is the one; the other, GradDrop, which lets one block's
    gradient at a time drop out so that effects that cancel are found, is not done.
    """

    first: ByGradient = field(default_factory=EAP)

    def __post_init__(self) -> None:
        if not isinstance(self.first, ByGradient):
            raise InputError(f"QKFix(first=...) takes EAP(), EAPIG(), RelP() or GIM(), not {self.first!r}")

    @property
    def needs(self) -> Needs:
        """What it takes from the metric: what ``first`` does."""
        return self.first.needs

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
