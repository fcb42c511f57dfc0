"""Budget: how the memory of a whole process is divided, checked before a model is loaded.

On the CPU a budget is what the operating system counts of the process at its peak::

    interpreter and libraries     INTERPRETER, and TOKEN for each of the tokenizer's tokens
    weights                       once; LOADING times that while they are loaded
    working memory                the rest, which engine/working_memory.py divides

On CUDA it is what torch allocates there: weights and working memory. All numbers are estimated before the model is read, and not
measured, so that equal commands make equal chunks and give equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from circuitsearch.devices import device_named, runs_on
from circuitsearch.engine.estimate import sizes
from circuitsearch.errors import InputError, shortened
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.loading import load
from circuitsearch.memory import bytes_in, give_back, in_words
from circuitsearch.models.load import dequantises

INTERPRETER = 500 << 20  # Python, torch, transformers, figures: benchmarks/budgets.py
TOKEN = 1300  # of a tokenizer's tables: 48 MiB for the 49,152 tokens of SmolLM2, 318 MiB for the 262,144 of Gemma 3
LOADING = 1.2  # times the weights, while a model is loaded
DEQUANTISING = 2  # times the weights, while a GGUF file is dequantised for the first time
LENGTH = 16  # tokens of a prompt, of which at least one must fit


@dataclass(frozen=True)
class Budget:
    """The memory that a command may take, and what its model needs of it.

    Attributes
    ----------
    total : int
        Bytes in all.
    interpreter, weights, one_prompt : int
        Bytes that are taken anyway, and for scoring one short prompt.
    loading : float
        Times the weights that loading takes.
    """

    total: int
    interpreter: int
    weights: int
    one_prompt: int
    loading: float = LOADING

    @classmethod
    def of(
        cls,
        words: str,
        model: str | Path,
        device: str,
        dtype: str | None = None,
        granularity: Granularity = WHOLE,
    ) -> Budget:
        """The budget in words, for a model by its name; only its configuration is read."""
        total, on_cpu = bytes_in(words), torch.device(device).type == "cpu"
        weights, one_prompt, vocabulary = sizes(model, dtype, LENGTH, granularity)
        loading = DEQUANTISING if on_cpu and dequantises(model) else LOADING
        interpreter = INTERPRETER + TOKEN * vocabulary if on_cpu else 0
        return cls(total, interpreter, weights, one_prompt, loading)

    @property
    def working(self) -> int:
        """Bytes of working memory: the ``memory`` of an :class:`circuitsearch.Experiment`."""
        return self.total - self.interpreter - self.weights

    @property
    def needed(self) -> int:
        """The least bytes in all that the model can be loaded and run with."""
        return self.interpreter + int(max(self.loading * self.weights, self.weights + self.one_prompt))

    def check(self, model: str | Path) -> Budget:
        """Itself, or an InputError with the number that would do."""
        if self.total < self.needed:
            raise InputError(
                f"{shortened(model)} cannot run in {in_words(self.total)}: its weights take {in_words(self.weights)}, Python and its"
                f" libraries {in_words(self.interpreter)}, and one prompt {in_words(self.one_prompt)}; give"
                f" --memory {-(-self.needed // 2**20)}MiB, or --dtype bfloat16"
            )
        return self


def load_in(memory: str | None, model: str | Path, device: str = "auto", dtype: str | None = None) -> tuple[Any, Any]:
    """Load a model and its tokenizer, if the memory in words holds them."""
    if memory is not None:
        Budget.of(memory, model, runs_on(device), dtype).check(model)
    loaded = load(model, dtype=dtype, device=device_named(device))
    give_back()
    return loaded
