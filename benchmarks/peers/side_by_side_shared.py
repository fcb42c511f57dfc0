"""What the scripts of the packages beside ours share: the case, the clock, and the files that they write.

It needs torch and transformers, which every package brings along, and neither circuitsearch nor another package.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

Result = TypeVar("Result")
MOST_SAID = 400  # characters of what a package says
AGREES = 1e-4  # largest difference of two logits of one model in two packages, in logits


@dataclass(frozen=True)
class Case:
    """A model and the prompts on which circuits are searched, all of one length."""

    folder: Path
    metric: str
    rows: list[dict[str, Any]]
    value: float = math.nan  # mean of the metric over the rows, in the model as it was written

    @classmethod
    def load(cls, folder: Path) -> Case:
        """Read a folder that ``side_by_side.py prepare`` wrote."""
        rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
        about = json.loads((folder / "case.json").read_text())
        return cls(folder, about["metric"], rows, about["value"])

    @property
    def clean(self) -> Tensor:
        """(N, T) ids."""
        return torch.tensor([row["clean_ids"] for row in self.rows])

    @property
    def corrupt(self) -> Tensor:
        """(N, T) ids."""
        return torch.tensor([row["corrupt_ids"] for row in self.rows])

    def answers(self, kind: str) -> list[Tensor]:
        """Of each prompt the right or wrong ones: ``"answer_id"`` or ``"wrong_id"``."""
        return [torch.tensor(row[kind]).reshape(-1) for row in self.rows]

    def model(self) -> Any:
        """The Hugging Face model, frozen; an error if this version of transformers reads another model from the same files."""
        model = AutoModelForCausalLM.from_pretrained(self.folder / "model", dtype=torch.float32)
        model = model.eval().requires_grad_(False)
        if not abs(self.value_of(model) - self.value) < AGREES:
            raise ValueError(
                f"the metric is {self.value_of(model):.4f} here, {self.value:.4f} where the model was written"
            )
        return model

    def value_of(self, model: Any) -> float:
        """Mean of the metric over the rows."""
        with torch.no_grad():
            return self.metric_of(model(input_ids=self.clean).logits[:, -1]).mean().item()

    def metric_of(self, logits: Tensor, rows: slice = slice(None)) -> Tensor:
        """The task's metric (B,) of the logits at the last position (B, vocabulary), of these rows."""
        values = logits.softmax(-1) if self.metric == "prob_diff" else logits
        right, wrong = (self.answers(kind)[rows] for kind in ("answer_id", "wrong_id"))
        total = torch.sum if self.metric == "prob_diff" else torch.mean
        pairs = zip(values, right, wrong, strict=True)
        return torch.stack([total(each[good]) - total(each[bad]) for each, good, bad in pairs])


@dataclass
class Clock:
    """Processor seconds of plain Hugging Face forwards of all prompts, and of what is compared with them."""

    model: Any
    ids: Tensor
    forwards: list[float] = field(default_factory=list)

    def plain(self, times: int = 5) -> None:
        """Time some plain forwards, with all logits; the first of all does not count."""
        for _ in range(times if self.forwards else times + 1):
            began = time.process_time()
            with torch.no_grad():
                self.model(input_ids=self.ids)
            self.forwards.append(time.process_time() - began)

    def cost(self, run: Callable[[], Result]) -> tuple[Result, dict[str, float]]:
        """A result and what it took, in seconds and in plain forwards, which are timed before and after it."""
        self.plain()
        began = time.process_time()
        result = run()
        seconds = time.process_time() - began
        self.plain()
        forward = statistics.median(self.forwards[1:])
        return result, {"seconds": seconds, "forward_seconds": forward, "forwards": seconds / forward}


def write(case: Case, name: str, kind: str, found: Any, **about: Any) -> None:
    """Write what a method found: ``kind`` is scores (of edges), nodes (with scores) or circuit (a list of edges)."""
    folder = case.folder / "found"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.found.json").write_text(json.dumps(found))
    (folder / f"{name}.json").write_text(json.dumps({"kind": kind, **about}, indent=2) + "\n")
    cost = about.get("cost", {}).get("forwards")
    print(case.folder.name, name, f"{len(found)} {kind}", "" if cost is None else f"{cost:.0f} forwards", flush=True)


def versions(*packages: str) -> dict[str, str]:
    """Of Python, torch, transformers and these packages."""
    names = ("torch", "transformers", *packages)
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of two logits, each less the mean over the vocabulary, by which some packages move them."""
    first, second = (logits - logits.mean(-1, keepdim=True) for logits in (ours, theirs))
    return (first - second).abs().max().item()


def check_logits(case: Case, plain: Any, logits_of: Callable[[Tensor], Tensor]) -> float:
    """The largest difference of another package's logits from Hugging Face's; an error if they are not one model."""
    with torch.no_grad():
        found = difference(logits_of(case.clean), plain(input_ids=case.clean).logits)
    if not found < AGREES:
        raise ValueError(f"{case.folder.name}: logits differ by {found:.2g}")
    return found


@contextlib.contextmanager
def refusals(case: Case, name: str) -> Iterator[None]:
    """Keep what a package says when it does not take a model or a setting, as what this method found."""
    try:
        yield
    except ImportError:
        raise  # of the environment, not of the model
    except Exception as error:  # any: it is a result
        said = " ".join(f"{type(error).__name__}: {error}".split())[:MOST_SAID]
        write(case, name, "refused", [], error=said)


def run(
    package: str, description: str | None, find: Callable[[Case, argparse.Namespace], None], **options: Any
) -> None:
    """Search on each case that is named; a method's failure is under its own name, that of the whole package under the package's."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", type=Path, help="folders that side_by_side.py prepare wrote")
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=type(default[0]), nargs="+", default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for folder in given.cases:
        case = Case.load(folder)
        with refusals(case, package):
            find(case, given)
