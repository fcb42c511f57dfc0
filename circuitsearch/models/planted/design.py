"""Design: the size of a planted model, and what surrounds its circuit."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs

MOST_LAYERS = MOST_HEADS = 12
_RANGES = {
    "layers": (1, MOST_LAYERS), "heads": (1, MOST_HEADS), "distractor_heads": (0, MOST_LAYERS * MOST_HEADS),
    "distractor_mlps": (0, MOST_LAYERS), "noise": (0, 1), "constant": (0, 20), "sharpness": (1, 100),
}  # fmt: skip
_COARSEST = 0.05  # rounding of the largest entry of the stream; what the circuit writes has size 1


@dataclass(frozen=True)
class Design(Knobs):
    """The size of a planted model, and what surrounds its circuit.

    Parameters
    ----------
    layers, heads : int
        Blocks, and heads of each block.
    distractor_heads, distractor_mlps : int
        Heads and MLPs outside the circuit with large writes. These do not depend on the prompt, or go to a subspace that
        only distractors read.
    rotated : bool
        Whether the basis of the stream is random. Otherwise it is nearly that of the model's dimensions.
    noise : float
        Standard deviation of the noise on every weight, relative to the root mean square of the same weights of all layers.
    constant : float
        Size of a direction that every position has. Where it is large, the scale of LayerNorm hardly depends on the prompt,
        and the norms are nearly linear; where it is small, every write changes what all others count. A larger one than 20
        would be rounded too coarsely for the engine's own checks.
    sharpness : float
        Attention score of a match, over that of anything else.
    dtype : torch.dtype
        Of the weights.

    Raises
    ------
    InputError
        If a value is of the wrong type or outside its range, or the dtype rounds so large a constant too coarsely.
    """

    layers: int = 3
    heads: int = 4
    distractor_heads: int = 0
    distractor_mlps: int = 0
    rotated: bool = False
    noise: float = 0.0
    constant: float = 10.0
    sharpness: float = 12.0
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise InputError(f"a design's {name} must be {least:g} to {most:g}, not {getattr(self, name)}")
        self._check_rounding()

    def _check_rounding(self) -> None:
        if not self.dtype.is_floating_point:
            raise InputError(f"a design's dtype must be a floating-point one, not {self.dtype}")
        if torch.finfo(self.dtype).eps * self.constant > _COARSEST:
            most = _COARSEST / torch.finfo(self.dtype).eps
            raise InputError(
                f"{self.dtype} rounds a constant of {self.constant:g} too coarsely: take at most {most:.2g}"
            )
