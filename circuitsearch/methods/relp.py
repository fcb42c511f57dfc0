"""Relevance patching: EAP with propagation rules in place of the derivative."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.engine.gradients import PortGradients
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.rules import Rules
from circuitsearch.engine.trace import Activations
from circuitsearch.methods.eap import ByGradient

RELEVANCE = Rules(fixed_scales=True, secants=True, halved_gates=True)


@dataclass(frozen=True)
class RelP(ByGradient):
    """EAP with the gradient of layer-wise relevance propagation (Rezaei Jafari et al. 2508.21258).

    Rules replace derivatives: LayerNorm and RMSNorm have a fixed scale (LN-rule); the derivative of an activation is
    act(x) / x (identity rule); a gate and the gated values receive half of the gradient each, if the MLP has a gate
    (half rule); linear maps are unchanged (0-rule).

    Cost: two forwards and one backward per prompt.

    Notes
    -----
    The rules are those of the authors' published code and its examples. Differences:

    - Their identity rule divides by x moved away from zero by 1e-6; here x is unchanged, and act(x) / x at zero is the
      derivative there.
    - Their paper's rule that treats the attention pattern as a constant (AH-rule) is off in those examples and is left
      out here: with it every edge into a query or a key scores zero.
    - The paper patches nodes; here the same coefficients of the clean run are used at every edge's port.
    """

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return "relevance patching"

    def gradients(self, pair: Pair) -> tuple[PortGradients, Activations]:
        """The gradient that the rules propagate to every port, and what every writer adds in the clean run."""
        run = pair.gradients(rules=RELEVANCE)
        return run.ports, run.activations
