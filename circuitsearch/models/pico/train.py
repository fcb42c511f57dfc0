"""Train pico: `python -m circuitsearch.models.pico.train --seed 0 --out folder`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from circuitsearch.tasks.induction import letters

from . import tokenizer as word_tokenizer
from .check import accuracies, heads
from .muon import Muon
from .text import Row, repetition, walk, writers


@dataclass(frozen=True)
class Recipe:
    """All that decides how pico comes out; steps, not seconds."""

    seed: int = 0
    layers: int = 4
    heads: int = 8
    width: int = 128
    positions: int = 64
    walk_steps: int = 700
    repeat_steps: int = 200
    task_steps: int = 1600
    rows: int = 20
    penalty: float = 0.006
    log_every: int = 50


@dataclass(frozen=True)
class Stage:
    """A part of the training: its text, its steps, its learning rates and the penalty at its end."""

    name: str
    steps: int
    muon: tuple[float, float]
    adam: float
    penalty: float = 0.0
    cool: bool = False


def stages(recipe: Recipe) -> list[Stage]:
    """Successor walks first, then repetitions, then everything."""
    return [
        Stage("walks", recipe.walk_steps, (0.01, 1.0), 1e-3),
        Stage("repetitions", recipe.repeat_steps, (0.01, 1.0), 1e-3),
        Stage("tasks", recipe.task_steps, (0.005, 0.3), 1.5e-3, recipe.penalty, cool=True),
    ]


def train(recipe: Recipe, log: Any = print) -> tuple[GPT2LMHeadModel, Any]:
    """Run all stages; the same recipe gives the same model on the same machine."""
    torch.manual_seed(recipe.seed)
    tokenizer = word_tokenizer.build()
    model = new_model(recipe, len(tokenizer))
    norms = OutputNorms(model)
    text = Text(recipe, tokenizer)
    for stage in stages(recipe):
        optimizers = new_optimizers(model, stage)
        for step in range(stage.steps):
            rates(optimizers, stage, step)
            losses = [loss_of(model, norms, rows) for rows in text.batch(stage.name, step / stage.steps)]
            loss, norm = (torch.stack(column).mean() for column in zip(*losses, strict=True))
            (loss + ramp(step / stage.steps) * stage.penalty * norm).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            if step % recipe.log_every == 0:
                log(f"{stage.name} {step} loss {loss.item():.4f} norm {norm.item():.2f}")
            if step % (8 * recipe.log_every) == 0:
                log(f"  {accuracies(model, tokenizer, 100, seed=1)}")
    norms.remove()
    return model, tokenizer


def new_model(recipe: Recipe, vocabulary: int) -> GPT2LMHeadModel:
    """A GPT-2 with random weights and positions as small sinusoids."""
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=recipe.positions,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        activation_function="gelu_pytorch_tanh",
    )
    model = GPT2LMHeadModel(config)
    model.transformer.wte.weight.data.normal_(0, 0.05)
    model.transformer.wpe.weight.data.copy_(0.2 * sinusoids(recipe.positions, recipe.width))
    return model


def sinusoids(positions: int, width: int) -> Tensor:
    """Sines and cosines of slower and slower waves, (positions, width)."""
    place = torch.arange(positions)[:, None]
    wave = torch.exp(-torch.arange(0, width, 2) / width * torch.log(torch.tensor(10.0 * positions)))
    return torch.cat([(place * wave).sin(), (place * wave).cos()], dim=1)


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


def ramp(done: float) -> float:
    """From 0 to 1 between three and six tenths of a stage."""
    return min(1.0, max(0.0, (done - 0.3) / 0.3))


class OutputNorms:
    """The norms of what the heads and MLPs of a model add to the stream, as it runs."""

    def __init__(self, model: GPT2LMHeadModel):
        self.heads = model.config.n_head
        self.norms: list[Tensor] = []  # of (batch, positions) or (batch, positions, heads)
        self.handles = []
        blocks: Any = model.transformer.h
        for block in blocks:
            self.handles.append(block.attn.c_proj.register_forward_pre_hook(self._attention))
            self.handles.append(block.mlp.register_forward_hook(self._mlp))

    def _attention(self, projection: Any, inputs: tuple[Tensor]) -> None:
        z = inputs[0].unflatten(-1, (self.heads, -1))  # (B, T, H, K)
        weight = projection.weight.unflatten(0, (self.heads, -1))  # (H, K, D)
        gram = weight @ weight.mT  # (H, K, K): a head's norm without its output
        squares = torch.einsum("bthk,hkl,bthl->bth", z, gram, z)
        self._keep((squares.clamp(min=0) + 1e-4).sqrt().sum(-1))

    def _mlp(self, mlp: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        self._keep((output.square().sum(-1) + 1e-4).sqrt())

    def _keep(self, norms: Tensor) -> None:
        if torch.is_grad_enabled():  # not in the accuracy checks between steps
            self.norms.append(norms)

    def collect(self) -> Tensor:
        """The sum over components of the last run's norms, (B, T)."""
        total = torch.stack(self.norms).sum(0)
        self.norms.clear()
        return total

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self.handles:
            handle.remove()


def loss_of(model: GPT2LMHeadModel, norms: OutputNorms, rows: list[Row]) -> tuple[Tensor, Tensor]:
    """Weighted loss a row, and mean output norm a token."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in rows])  # (B, T)
    weights = torch.tensor([weights + [0.0] * (length - len(weights)) for _, weights in rows])
    real = torch.tensor([[1.0] * len(ids) + [0.0] * (length - len(ids)) for ids, _ in rows])
    states = model.transformer(ids[:, :-1], use_cache=False).last_hidden_state  # (B, T - 1, D)
    counts = weights[:, 1:] > 0  # logits cost as much as a layer: only where they count
    losses = cross_entropy(model.lm_head(states[counts]), ids[:, 1:][counts], reduction="none")
    loss = (losses * weights[:, 1:][counts]).sum() / len(rows)
    mask = real[:, 1:]
    return loss, (norms.collect() * mask).sum() / mask.sum()


class Text:
    """Endless training text of each stage."""

    def __init__(self, recipe: Recipe, tokenizer: Any):
        self.random = Random(recipe.seed)
        self.rows = recipe.rows
        self.longest = recipe.positions
        self.writers = writers(tokenizer)
        self.pool = letters(tokenizer)
        self.random.shuffle(self.pool)

    def batch(self, stage: str, done: float) -> Iterator[list[Row]]:
        """The batches of one step, each of rows of similar length."""
        if stage == "walks":
            size = 24 if done < 0.45 else 160 if done < 0.65 else len(self.pool)
            yield self._random(walk, 32, self.pool[:size], 48)
        elif stage == "repetitions":
            yield self._random(repetition, 24, self.pool, self.longest)
            yield self._random(walk, 16, self.pool, 48)
        else:
            yield from self._tasks()

    def _tasks(self) -> Iterator[list[Row]]:
        short = [task for task in self.writers if task != "docstring"]
        yield [self.writers[task](self.random) for task in short for _ in range(self.rows)]
        length = self.random.choice([44, 44, 44, self.longest])
        rows = [self.writers["docstring"](self.random) for _ in range(self.rows)]
        rows += self._random(walk, self.rows // 3, self.pool, length)
        yield rows + self._random(repetition, self.rows // 3, self.pool, length)

    def _random(self, write: Any, count: int, pool: list[int], length: int) -> list[Row]:
        rows = [write(self.random, pool, length) for _ in range(count)]
        # A row counts like two answers, however many of its tokens can be guessed.
        return [(ids, [4 * weight / max(1.0, sum(weights)) for weight in weights]) for ids, weights in rows]


def save(model: GPT2LMHeadModel, tokenizer: Any, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write the model, its tokenizer and what was measured; return the measurements."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    eager = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager")
    report = {"recipe": vars(recipe), "accuracy": accuracies(eager, tokenizer, 400), "heads": heads(eager, tokenizer)}
    (folder / "eval.json").write_text(json.dumps(report, indent=1))
    return report


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, train, save."""
    parser = argparse.ArgumentParser(description="Train pico, the bundled model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    for name, value in vars(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args(arguments))
    folder = options.pop("out")
    recipe = replace(Recipe(), **options)
    model, tokenizer = train(recipe, log=lambda line: print(line, flush=True))
    print(json.dumps(save(model, tokenizer, recipe, folder), indent=1))


if __name__ == "__main__":
    main()
