"""A picture as the colour-blind and a grey printer show it: ``python -m benchmarks.colour_blind figure.png seen.png``.

Normal sight, protanopia, deuteranopia, tritanopia (matrices of Machado et al. 2009, as in the tests) and grey, side by side.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from tests.figures.blind import SIGHT, TO_XYZ


def seen(pixels: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) in 0 ... 1 as each kind of sight sees it, and in grey, side by side: (H, 5 W, 3)."""
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    grey = np.repeat((linear @ TO_XYZ[1])[..., None], 3, -1)
    views = [np.clip(linear @ matrix.T, 0, 1) for matrix in SIGHT.values()]
    joined = np.concatenate([*views, grey], axis=1)
    return np.where(joined <= 0.0031308, 12.92 * joined, 1.055 * joined ** (1 / 2.4) - 0.055)


def main(source: str, target: str) -> None:
    """Read a picture and write the simulations."""
    pixels = np.asarray(Image.open(source).convert("RGB")) / 255
    Image.fromarray((255 * seen(pixels) + 0.5).astype(np.uint8)).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
