"""Models whose weights are reset, in which no circuit is to be found."""

from __future__ import annotations

import copy
from typing import Any

import torch


def reset(model: Any, seed: int = 0) -> Any:
    """Copy a model, with the entries of each weight matrix, bias and gain in random order.

    The weights keep their sizes, and the model computes nothing that it computed before: a method that finds a circuit in the
    copy finds what the prompts or the architecture suggest (Adebayo et al. 1810.03292 test saliency maps so).

    Parameters
    ----------
    model
        Any PyTorch model; it stays as it is.
    seed : int
        Seed of the orders.

    Returns
    -------
    The copy.
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = copy.deepcopy(model)
    with torch.no_grad():
        for weight in shuffled.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return shuffled
