"""Estimate memory and time of a run from a model's configuration, before any weight is read."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from circuitsearch.engine.pair import bytes_needed
from circuitsearch.engine.working_memory import DEFAULT_MEMORY, chunk_of
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.graph import Graph
from circuitsearch.memory import in_words
from circuitsearch.models.describe import graph_of
from circuitsearch.models.load import outline

TYPICAL_LENGTH = 32
RATE_SIZE = 1024  # of the square matrices whose product measures the device's rate


@dataclass(frozen=True)
class Estimate:
    """Memory and time of scoring with one gradient (EAP); n gradients take n times the time and the same memory.

    Attributes
    ----------
    parameters, weight_bytes, edges : int
        Of the model and its graph.
    length : int
        Tokens a prompt.
    bytes_a_prompt, prompts_at_once, working_bytes : int
        Working memory of one prompt, how many fit the memory together, and what these take.
    free_bytes : int, optional
        Free on the device now; None if unknown.
    seconds_a_prompt : float
        About, for EAP.
    seconds_a_forward : float
        About, for one plain forward pass of one prompt.
    """

    parameters: int
    weight_bytes: int
    edges: int
    length: int
    bytes_a_prompt: int
    prompts_at_once: int
    working_bytes: int
    free_bytes: int | None
    seconds_a_prompt: float
    seconds_a_forward: float

    @property
    def fits(self) -> bool:
        """Whether weights and working memory fit the free memory; True if that is unknown."""
        return self.free_bytes is None or self.weight_bytes + self.working_bytes <= self.free_bytes

    def __str__(self) -> str:
        return f"{self._sizes}; EAP about {self.seconds_a_prompt:.2g} s a prompt"

    def of_run(self, n_prompts: int, forwards: float) -> str:
        """The sizes in words, and the time that a run of so many plain forward passes of its prompts takes at the device's full rate."""
        seconds = forwards * n_prompts * self.seconds_a_forward
        return f"{self._sizes}; at least {_duration(seconds)} ({forwards:g} forward passes of {n_prompts} prompts)"

    @property
    def _sizes(self) -> str:
        free = "" if self.free_bytes is None else f" of {in_words(self.free_bytes)} free"
        return (
            f"{self.parameters:,} parameters, {self.edges:,} edges; weights {in_words(self.weight_bytes)}, working memory about"
            f" {in_words(self.working_bytes)} for {self.prompts_at_once} prompts of {self.length} tokens at once:"
            f" {'fits' if self.fits else 'DOES NOT FIT'}{free}"
        )


def estimate(
    name: str | Path,
    device: str,
    dtype: str | torch.dtype | None = None,
    length: int = TYPICAL_LENGTH,
    granularity: Granularity = WHOLE,
    memory: int = DEFAULT_MEMORY,
) -> Estimate:
    """Estimate what scoring a model takes, from its configuration alone."""
    model, graph, weights, each = _outlined(name, dtype, length, granularity)
    parameters = sum(weight.numel() for weight in weights)
    at_once = max(1, chunk_of(memory) // each)
    # two forwards and a backward to the activations, 2 a parameter and token each, and the contraction
    operations, rate = 6 * parameters + 2 * graph.n_edges * model.config.hidden_size, _rate(device, model.dtype)
    return Estimate(
        parameters=parameters,
        weight_bytes=sum(weight.nbytes for weight in weights),
        edges=graph.n_edges,
        length=length,
        bytes_a_prompt=each,
        prompts_at_once=at_once,
        working_bytes=at_once * each,
        free_bytes=free_memory(device),
        seconds_a_prompt=operations * length / rate,
        seconds_a_forward=2 * parameters * length / rate,
    )


def sizes(
    name: str | Path, dtype: str | torch.dtype | None, length: int, granularity: Granularity
) -> tuple[int, int, int]:
    """Bytes of a model's weights and of scoring one prompt of ``length`` tokens, and its vocabulary, from its configuration alone."""
    model, _, weights, each = _outlined(name, dtype, length, granularity)
    return sum(weight.nbytes for weight in weights), each, model.config.vocab_size


def _outlined(
    name: str | Path, dtype: str | torch.dtype | None, length: int, granularity: Granularity
) -> tuple[Any, Graph, list[Tensor], int]:
    """A model without weights, its graph, its parameters, each once, and the bytes of scoring one prompt."""
    model: Any = outline(name, dtype)
    graph = graph_of(model, granularity)
    each = bytes_needed(graph, length, model.config.hidden_size, model.dtype.itemsize)
    return model, graph, list(dict.fromkeys(model.parameters())), each


def free_memory(device: str) -> int | None:
    """Bytes free on a device, including those that caches can release; None if unknown."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if kind == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return None


@cache
def _rate(device: str, dtype: torch.dtype) -> float:
    """Operations per second of a matrix product on the device."""
    matrix = torch.ones(RATE_SIZE, RATE_SIZE, device=device, dtype=dtype)
    taken: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        float((matrix @ matrix)[0, 0])  # waits until the device has finished it
        taken.append(time.perf_counter() - began)
    return 2 * RATE_SIZE**3 / min(taken)


def _duration(seconds: float) -> str:
    """A time in a unit of which there are few.

    Examples
    --------
    >>> _duration(0.3), _duration(75), _duration(5000), _duration(40000)
    ('1 s', '75 s', '83 min', '11 h')
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"
