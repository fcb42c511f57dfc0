"""What a cell costs: floating-point operations in plain forwards of the same prompts, time and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from circuitsearch.memory import forget_peak, peak_on, taken
from circuitsearch.task import Task

_AT_ONCE = 32  # prompts of a plain forward


@dataclass
class Cost:
    """Filled when the block that is measured ends.

    Attributes
    ----------
    operations : int
        Floating-point operations of matrix products and attention: the same in every run, on every machine.
    seconds : float
        Processor time, or on a device the time until it was ready; with the counting, if operations were counted.
    peak : float, optional
        MiB of working memory above what was in use before: on the CPU of the process (Linux), on CUDA of torch there.
    """

    operations: int = 0
    seconds: float = 0.0
    peak: float | None = None

    def with_more(self, other: Cost) -> Cost:
        """Both, one after the other."""
        peaks = [peak for peak in (self.peak, other.peak) if peak is not None]
        return Cost(self.operations + other.operations, self.seconds + other.seconds, max(peaks, default=None))


class _Operations(TorchDispatchMode):
    """Counts the operations of matrix products and attention by torch's own formulas.

    Torch's ``FlopCounterMode`` also hooks every module, which the engine's calls of ``autograd.grad`` at inputs do not allow.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None and func is not torch.ops.prim.device.default:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        found = func(*args, **kwargs)
        if formula is not None:
            self.count += formula(*args, **kwargs, out_val=found)
        return found


@contextmanager
def measured(device: torch.device, *, counting: bool = True) -> Iterator[Cost]:
    """Measure what is done in a block; counting operations makes small models two or three times slower."""
    cost, before = Cost(), _forget_peak(device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    counter = _Operations()
    with counter if counting else nullcontext():
        yield cost
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    cost.operations, cost.seconds = counter.count, clock() - began
    after = _peak(device)
    cost.peak = None if before is None or after is None else max(0.0, after - before)


def forward_operations(model: Any, task: Task) -> int:
    """Operations of one plain Hugging Face forward of the clean prompts, whole."""
    with _Operations() as counter, torch.no_grad():
        for batch in task.batches(_AT_ONCE, share_prefix=False):
            model(input_ids=batch.clean.to(model.device))
    return counter.count


def _forget_peak(device: torch.device) -> float | None:
    """Let the peak be counted from now on; return what is in use, in MiB, where that can be known."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    try:
        forget_peak()
    except OSError:  # other systems than Linux
        return None
    now = taken()
    return None if now is None else now / 2**20


def _peak(device: torch.device) -> float | None:
    most = peak_on(device)
    return None if most is None else most / 2**20
