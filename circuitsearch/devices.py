"""Devices by name."""

from __future__ import annotations

import torch

from circuitsearch.errors import InputError, unknown


def device_named(name: str) -> str:
    """Choose the device: ``auto`` is CUDA if available, else MPS if available, else the CPU.

    Raises
    ------
    InputError
        If the device is unknown or not available.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = name.partition(":")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in there or not (number == "" or number.isdecimal()):
        raise unknown("device", name, ["auto", *there])
    if not there[kind]:
        raise InputError(f"no {kind} device is available: use --device cpu, or auto")
    return name
