"""Gradient interaction modifications: EAP with a gradient that takes attention's self-repair into account."""

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

    Attention repairs itself: if several positions hold the same information, attention removed from one goes to the
    others, and the gradient of each is small. Three rules replace derivatives: the softmax's Jacobian is taken at a
    ``temperature``, that is at softmax(scores / temperature), without the factor 1 / temperature (TSG); LayerNorm and
    RMSNorm have a fixed scale (LayerNorm freeze); and each factor of a product receives half of the gradient, so queries
    and keys a quarter, values half, and a gate and the gated values half each (gradient normalisation).

    Cost: two forwards and one backward per prompt; the backward's memory grows with the square of the prompt's length.

    Notes
    -----
    The rules and the temperature are those of the authors' published code, which leaves the use of the gradient to the
    caller: here it is used as in EAP, at the clean run. Every norm of the model has a fixed scale, including those of
    queries and keys.
    """

    temperature: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise InputError(f"the temperature must be above 0, not {self.temperature}")

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"attribution patching with gradient interaction modifications, temperature {self.temperature:g}"

    def gradients(self, pair: Pair) -> tuple[PortGradients, Activations]:
        """The gradient that the rules propagate to every port, and what every writer adds in the clean run."""
        rules = Rules(fixed_scales=True, halved_gates=True, attention=SoftAttention(self.temperature))
        run = pair.gradients(rules=rules)
        return run.ports, run.activations
