"""Gradient interaction modifications: EAP with a gradient that sees through self-repair."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.engine.gradients import PortGradients
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.rules import Rules
from circuitsearch.engine.soft_attention import SoftAttention
from circuitsearch.engine.trace import Activations
from circuitsearch.errors import InputError
from circuitsearch.methods.eap import ByGradient


@dataclass(frozen=True)
class GIM(ByGradient):
    """EAP with gradient interaction modifications (Edin et al. 2505.17630).

    Attention repairs itself: where several positions hold the same, the softmax gives to the others what is taken from
    one, and the gradient of each is small. Propagated are, in place of derivatives: the softmax's Jacobian at a
    ``temperature``, that is at softmax(scores / temperature), without the factor 1 / temperature (TSG); LayerNorm and
    RMSNorm at a fixed scale (LayerNorm freeze); and half of the gradient to each factor of a product, so a quarter to
    queries and keys, half to values, and half each to a gate and what it gates (gradient normalisation).

    Cost: two forwards and one backward a prompt; the backward's memory grows with the square of the prompt's length.

    Notes
    -----
    The rules and the temperature are those of the authors' published code, which leaves the use of the gradient to the
    caller: here it is EAP's, at the clean run. Every norm of the model's is held fixed, those of queries and keys
    among them.
    """

    temperature: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise InputError(f"the temperature must be above 0, not {self.temperature}")

    def gradients(self, pair: Pair) -> tuple[PortGradients, Activations]:
        """What the rules propagate to every port, and what every writer adds in the clean run."""
        rules = Rules(fixed_scales=True, halved_gates=True, attention=SoftAttention(self.temperature))
        run = pair.gradients(rules=rules)
        return run.ports, run.activations
