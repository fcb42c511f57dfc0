"""Train pico: `python -m recipes.pico.train --seed 1 --out folder`, from the repository's root."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import GPT2LMHeadModel

from . import tokenizer as word_tokenizer
from .check import accuracies, heads
from .gaze import Gaze
from .lessons import Lessons
from .muon import Muon
from .network import new_model
from .norms import OutputNorms
from .text import ANSWER, Row

Log = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """All that decides how pico comes out; steps, not seconds."""

    seed: int = 1
    layers: int = 4
    heads: int = 8
    width: int = 128
    positions: int = 64
    walk_steps: int = 700
    repeat_steps: int = 200
    task_steps: int = 1200
    sparse_steps: int = 400
    rows: int = 16
    penalty: float = 0.006
    sparse_penalty: float = 0.05
    log_every: int = 50


@dataclass(frozen=True)
class Stage:
    """A part of the training: its text, its steps, its learning rates, and what is added to the loss.

    The penalty on output norms grows from nothing between the shares ``ramp`` of the stage; the guided head's loss has
    the first weight of ``look`` at the start and the second from about the middle on.
    """

    name: str
    text: str
    steps: int
    muon: tuple[float, float]
    adam: float
    penalty: float = 0.0
    ramp: tuple[float, float] = (0.3, 0.6)
    look: tuple[float, float] = (1.0, 0.1)
    cool: bool = False


def stages(recipe: Recipe) -> list[Stage]:
    """Successor walks first, then repetitions, then everything, and everything again under a penalty that prunes."""
    penalty, strong = recipe.penalty, recipe.sparse_penalty
    return [
        Stage("walks", "walks", recipe.walk_steps, (0.01, 1.0), 1e-3),
        Stage("repetitions", "repetitions", recipe.repeat_steps, (0.01, 1.0), 1e-3),
        Stage("tasks", "tasks", recipe.task_steps, (0.005, 0.3), 1.5e-3, penalty, cool=True),
        Stage("sparse", "tasks", recipe.sparse_steps, (0.003, 0.3), 1e-3, strong, (0.0, 0.2), (0.2, 0.2), cool=True),
    ]


def train(recipe: Recipe, log: Log = print) -> tuple[GPT2LMHeadModel, Any]:
    """Run all stages; the same recipe gives the same model on the same machine."""
    torch.manual_seed(recipe.seed)
    tokenizer = word_tokenizer.build()
    model = new_model(len(tokenizer), recipe.positions, recipe.width, recipe.layers, recipe.heads)
    lessons = Lessons(tokenizer, recipe.rows, recipe.positions, recipe.seed)
    more = Lessons(tokenizer, recipe.rows, recipe.positions, recipe.seed + 100)  # the last stage is a run of its own
    guided = recipe.layers // 2
    norms, gaze = OutputNorms(model, guided), Gaze(model, guided)
    for stage in stages(recipe):
        for step, loss, norm in run(stage, model, more if stage.name == "sparse" else lessons, norms, gaze):
            if step % recipe.log_every == 0:
                log(f"{stage.name} {step} loss {loss:.4f} norm {norm:.2f}")
            if step % (8 * recipe.log_every) == 0:
                log(f"  {summary(model, tokenizer)}")
    norms.remove()
    gaze.remove()
    return model, tokenizer


def run(
    stage: Stage, model: GPT2LMHeadModel, lessons: Lessons, norms: OutputNorms, gaze: Gaze
) -> Iterator[tuple[int, float, float]]:
    """Take the steps of a stage; yield each step's number, loss and output norm."""
    optimizers = new_optimizers(model, stage)
    for step in range(stage.steps):
        done = step / stage.steps
        rates(optimizers, stage, step)
        terms = [loss_of(model, rows, norms, gaze) for rows in lessons.batch(stage.text, done)]
        loss, norm, look = (torch.stack(column).mean() for column in zip(*terms, strict=True))
        (loss + ramp(done, stage.ramp) * stage.penalty * norm + fade(done, stage.look) * look).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        yield step, loss.item(), norm.item()


def summary(model: GPT2LMHeadModel, tokenizer: Any) -> str:
    """Accuracies and the best head of each kind, in a line."""
    scores = {task: round(share, 2) for task, share in accuracies(model, tokenizer, 100, seed=1).items()}
    return f"{scores} { ({kind: best[0] for kind, best in heads(model, tokenizer, 20, seed=1).items()}) }"


def new_optimizers(model: GPT2LMHeadModel, stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embeddings, gains and biases."""
    matrices = [weight for weight in model.transformer.h.parameters() if weight.dim() == 2]
    inside = {id(weight) for weight in matrices}
    rest = [weight for weight in model.parameters() if id(weight) not in inside]
    lr, decay = stage.muon
    return [
        Muon(matrices, lr=lr, decay=decay),
        torch.optim.AdamW(rest, lr=stage.adam, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def rates(optimizers: list[torch.optim.Optimizer], stage: Stage, step: int) -> None:
    """A short warm-up, then the full rate; the last stage cools down to nothing over its second half."""
    rate = min(1.0, (step + 1) / 20)
    if stage.cool:
        rate = min(rate, 2 * (1 - step / stage.steps))
    for optimizer, full in zip(optimizers, (stage.muon[0], stage.adam), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = full * rate


def ramp(done: float, between: tuple[float, float]) -> float:
    """From 0 to 1 between two shares of a stage."""
    begin, end = between
    return min(1.0, max(0.0, (done - begin) / (end - begin)))


def fade(done: float, weights: tuple[float, float]) -> float:
    """From the first weight to the second, falling in a line from a quarter of a stage on."""
    first, last = weights
    return min(first, max(last, first * (2 - 4 * done)))


def loss_of(model: GPT2LMHeadModel, rows: list[Row], norms: OutputNorms, gaze: Gaze) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted loss a row, mean output norm a token, and how little the guided head looks where it should."""
    ids = padded([row.ids for row in rows], 0)  # (B, T)
    weights = padded([row.weights for row in rows], 0.0)
    real = padded([[1.0] * len(row.ids) for row in rows], 0.0)
    states = model.transformer(ids[:, :-1], use_cache=False).last_hidden_state  # (B, T - 1, D)
    counts = weights[:, 1:] > 0  # logits cost as much as a layer: only where they count
    losses = cross_entropy(model.lm_head(states[counts]), ids[:, 1:][counts], reduction="none")
    loss = (losses * weights[:, 1:][counts]).sum() / len(rows)
    return loss, weighted_mean(norms.collect(), real[:, 1:], weights[:, 1:] == ANSWER), gaze.collect(rows)


def weighted_mean(norms: Tensor, real: Tensor, answers: Tensor) -> Tensor:
    """Mean norm (B, T) over all tokens, plus twice that over the ends of prompts.

    Ends are few, and it is there that a model can afford to write much more than the answer needs.
    """
    return (norms * real).sum() / real.sum() + 2 * (norms * answers).sum() / answers.sum().clamp(min=1)


def padded(rows: Sequence[Sequence[float]], value: float) -> Tensor:
    """Rows of different lengths as one tensor, filled up on the right."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def save(model: GPT2LMHeadModel, tokenizer: Any, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write the model, its tokenizer and what was measured; return the measurements."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    report = {"recipe": vars(recipe), "accuracy": accuracies(model, tokenizer, 400), "heads": heads(model, tokenizer)}
    (folder / "eval.json").write_text(json.dumps(report, indent=1))
    return report


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, train, save."""
    parser = argparse.ArgumentParser(description="Train pico, the bundled model.")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; another number rounds differently")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    for name, value in vars(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args(arguments))
    folder = options.pop("out")
    torch.set_num_threads(options.pop("threads"))
    recipe = replace(Recipe(), **options)
    model, tokenizer = train(recipe, log=lambda line: print(line, flush=True))
    print(json.dumps(save(model, tokenizer, recipe, folder), indent=1))


if __name__ == "__main__":
    main()
