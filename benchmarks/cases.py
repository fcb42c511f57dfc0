"""What the benchmarks of speed and memory run: a model with random weights, a batch of random pairs, and its bare costs.

The model has the shape of GPT-2 small (or medium), the pairs differ at one position, and the metric, the difference of
two logits, reads the last one. The unit of all costs is f, one plain forward of Hugging Face's model on the whole corrupt
prompts, with the logits of every position.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from circuitsearch.ablation import Resample
from circuitsearch.engine.pair import pairs
from circuitsearch.methods import EAP, EAPIG
from circuitsearch.models.describe import Described, describe
from circuitsearch.scores import Method, Work
from circuitsearch.task import Task

SHAPES = {"small": {}, "medium": {"n_layer": 24, "n_head": 16, "n_embd": 1024}}
STEPS = 5


@dataclass(frozen=True)
class Setting:
    """So many prompts of one length that differ at one position, on a model of a shape."""

    prompts: int = 8
    length: int = 16
    differs_at: int = 10
    shape: str = "small"
    device: str = "cpu"
    dtype: str = "float32"

    @classmethod
    def parse(cls, batch: str, shape: str, device: str, dtype: str) -> Setting:
        """Read a batch that is written like ``8x16@10``."""
        size, differs_at = batch.split("@")
        prompts, length = size.split("x")
        return cls(int(prompts), int(length), int(differs_at), shape, device, dtype)

    @property
    def batch(self) -> str:
        """Such as ``8x16@10``."""
        return f"{self.prompts}x{self.length}@{self.differs_at}"

    @property
    def name(self) -> str:
        """Tells this setting's files from others."""
        return f"{self.device}-{self.shape}-{self.prompts}x{self.length}-at-{self.differs_at}"

    def __str__(self) -> str:
        return f"GPT-2 {self.shape}, {self.batch}, {self.device}, {self.dtype}"


@dataclass(frozen=True)
class Bench:
    """A setting's model and task, and what is run on them."""

    setting: Setting
    model: Any
    task: Task

    @classmethod
    def of(cls, setting: Setting) -> Bench:
        """The same weights and the same pairs at every call."""
        torch.manual_seed(0)
        model: Any = GPT2LMHeadModel(GPT2Config(**SHAPES[setting.shape])).eval().requires_grad_(False)
        model.to(setting.device, getattr(torch, setting.dtype))
        clean = torch.randint(0, 50257, (setting.prompts, setting.length))
        corrupt = clean.clone()
        corrupt[:, setting.differs_at] = (clean[:, setting.differs_at] + 1) % 50257
        return cls(setting, model, Task.from_ids(clean, corrupt, [1] * setting.prompts, [2] * setting.prompts))

    @cached_property
    def described(self) -> Described:
        """The model as the engine sees it; its verification, which is done once a model, is left out of all timings."""
        return describe(self.model)

    @cached_property
    def ids(self) -> tuple[Tensor, Tensor]:
        """Clean and corrupt prompts on the device."""
        return torch.stack(self.task.clean).to(self.model.device), torch.stack(self.task.corrupt).to(self.model.device)

    @torch.no_grad()
    def forward(self, times: int = 1) -> None:
        """Plain forwards: what f is."""
        for _ in range(times):
            self.model(self.ids[1])

    def bare(self, backwards: int) -> None:
        """One plain forward, and forwards with a backward to the activations, of the whole prompts."""
        self.forward()
        for _ in range(backwards):
            embedded = self.model.transformer.wte(self.ids[0]).requires_grad_()
            logits = self.model(inputs_embeds=embedded).logits[:, -1]
            torch.autograd.grad((logits[:, 1] - logits[:, 2]).sum(), embedded)

    def score(self, method: Method) -> Tensor:
        """Score every edge: (U, V), summed over the prompts."""
        found = (method.effects(pair, Work()).double().cpu() for pair in pairs(self.described, self.task, Resample()))
        return torch.stack(list(found)).sum(0)

    def gradient_cases(self) -> dict[str, Callable[[], Any]]:
        """The methods that take gradients, each with its bare cost."""
        return {
            "bare EAP": lambda: self.bare(1),
            "EAP": lambda: self.score(EAP()),
            "bare EAP-IG": lambda: self.bare(STEPS),
            "EAP-IG": lambda: self.score(EAPIG(STEPS)),
        }

    def seconds(self, run: Callable[[], Any]) -> float:
        """Wall clock of one run, until the device has finished it."""
        start = time.perf_counter()
        run()
        if self.setting.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def medians(self, runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
        """Median seconds of each, all taken in turn, after one round that does not count."""
        rounds = [{name: self.seconds(run) for name, run in runs.items()} for _ in range(repeats + 1)]
        return {name: statistics.median(taken[name] for taken in rounds[1:]) for name in runs}

    def in_forwards(self, run: Callable[[], Any]) -> float:
        """Cost of one run in f, which is timed right before and right after it."""
        before, own, after = self.seconds(self.forward), self.seconds(run), self.seconds(self.forward)
        return 2 * own / (before + after)


def add_setting_options(parser: argparse.ArgumentParser, batches: list[str]) -> None:
    """Options that say what is run on what."""
    parser.add_argument("--batches", nargs="+", default=batches, help="prompts x length @ first difference")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
