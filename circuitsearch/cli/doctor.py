"""``circuitsearch doctor``: versions, device and memory, and whether everything works."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from circuitsearch.circuit import Circuit
from circuitsearch.cli.terminal import Terminal
from circuitsearch.devices import device_named, runs_on
from circuitsearch.engine.estimate import estimate
from circuitsearch.errors import InputError
from circuitsearch.figures import draw
from circuitsearch.graph import Graph
from circuitsearch.loading import load
from circuitsearch.models.load import BUNDLED
from circuitsearch.setup import versions


def doctor(terminal: Terminal) -> None:
    """Report on this machine; raise an InputError at the end if something does not work."""
    facts = {
        "versions": ", ".join(f"{package} {version}" for package, version in versions().items()),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads used",
        "memory": _memory(),
        "device": _device(),
    }
    checks = {"figures": _figures, **{name: lambda name=name: _verified(name) for name in BUNDLED}}
    troubles = {name: trouble for name, check in checks.items() if (trouble := _trouble(check))}
    facts |= {name: troubles.get(name, "works") for name in checks}
    for name, fact in facts.items():
        terminal.say(name, fact)
    terminal.result(facts | {"works": not troubles})
    if troubles:
        raise InputError(f"something does not work here: {', '.join(troubles)} (see above)")


def sizes(model: str, length: int, device: str, dtype: str | None, terminal: Terminal) -> None:
    """Print an estimate of a model's memory and time, from its configuration alone."""
    found = estimate(model, runs_on(device), dtype, length)
    terminal.say("size", str(found))
    terminal.result(asdict(found) | {"fits": found.fits})


def _trouble(check: Callable[[], object]) -> str:
    try:
        check()
    except InputError as error:
        return str(error)
    return ""


def _memory() -> str:
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES")
    if not hasattr(os, "sysconf") or any(name not in os.sysconf_names for name in names):
        return "unknown on this system"
    page, pages, free = (os.sysconf(name) for name in names)
    return f"{page * pages / 2**30:.1f} GiB, {page * free / 2**30:.1f} free"


def _device() -> str:
    device = device_named("auto")
    if device == "cpu":
        return "cpu"
    if device == "mps":
        return f"mps: {torch.mps.recommended_max_memory() / 2**30:.1f} GiB"
    return (
        f"{device}: {torch.cuda.get_device_name()}, {torch.cuda.get_device_properties(0).total_memory / 2**30:.1f} GiB"
    )


def _figures() -> None:
    """Draw a small circuit."""
    circuit = Circuit.from_edges(Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")])
    with TemporaryDirectory() as folder:
        draw(circuit, Path(folder) / "circuit.svg")


def _verified(name: str) -> None:
    """Load a bundled model, which verifies it."""
    load(name)
