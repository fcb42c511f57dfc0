"""Devices by name."""

from __future__ import annotations

import torch

from circuitsearch.errors import InputError, unknown

SPREAD = "spread"  # over all accelerators: the model runs on the first, which the others keep weights for


def device_named(name: str) -> str:
    """Choose the device: ``auto`` is CUDA if available, else MPS if available, else the CPU; ``spread`` is for :func:`circuitsearch.load`.

    Raises
    ------
    InputError
        If the device is unknown or not available.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == SPREAD:
        if torch.cuda.is_available():
            return name
        raise InputError("there is no GPU to spread a model over: use --device cpu, or auto")
    kind, _, number = name.partition(":")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in there or not (number == "" or number.isdecimal()):
        raise unknown("device", name, ["auto", *there, SPREAD])
    if not there[kind]:
        raise InputError(f"no {kind} device is available: use --device cpu, or auto")
    return name


def runs_on(name: str) -> str:
    """The device on which a model runs that is put where :func:`device_named` says."""
    chosen = device_named(name)
    return "cuda" if chosen == SPREAD else chosen
