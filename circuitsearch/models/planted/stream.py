"""Stream: orthogonal subspaces of the residual stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SIZE = 16
"""Dimensions of a subspace: words of the vocabulary, and positions."""


@dataclass(frozen=True)
class Stream:
    """Named subspaces of the residual stream, orthogonal to each other and to the vector of ones.

    LayerNorm subtracts the mean, which is the part along the vector of ones; directions orthogonal to it lose nothing.

    Parameters
    ----------
    basis : Tensor
        (D - 1, D) orthonormal rows.
    names : tuple of str
        Names of the subspaces.
    """

    basis: Tensor
    names: tuple[str, ...]

    @classmethod
    def of(cls, names: tuple[str, ...], width: int, rotation: torch.Generator | None = None) -> Stream:
        """Name subspaces of a stream of ``width`` dimensions, in a random basis if a generator is given."""
        basis = _orthogonal_to_ones(width)
        return cls(basis if rotation is None else random_rotation(width - 1, rotation) @ basis, names)

    @staticmethod
    def least_width(names: tuple[str, ...]) -> int:
        """Dimensions that these subspaces, the constant, the shift and the vector of ones take."""
        return SIZE * len(names) + 3

    def __getitem__(self, name: str) -> Tensor:
        """Directions that span a subspace: (SIZE, D)."""
        first = SIZE * self.names.index(name)
        return self.basis[first : first + SIZE]

    @property
    def constant(self) -> Tensor:
        """The direction that is the same at every position: (D,)."""
        return self.basis[-1]

    @property
    def shift(self) -> Tensor:
        """The direction that the unembedding adds to all logits alike: (D,)."""
        return self.basis[-2]


def _orthogonal_to_ones(width: int) -> Tensor:
    """The (D - 1, D) last rows of the reflection that swaps the first axis with the vector of ones, so nearly the other axes."""
    ones = torch.full((width,), width**-0.5, dtype=torch.float64)
    axes = torch.eye(width, dtype=torch.float64)
    across = torch.nn.functional.normalize(axes[0] - ones, dim=0)
    return (axes - 2 * torch.outer(across, across))[1:]


def random_rotation(size: int, generator: torch.Generator) -> Tensor:
    """A random orthogonal matrix (size, size)."""
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
