"""What is spoiled: a tiny model, a task that it does by construction, and a run of ``find`` on them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

from circuitsearch.cli import main

SIZES = dict(n_layer=2, n_head=2, n_embd=16, vocab_size=40, n_positions=12, bos_token_id=0, eos_token_id=0)
_kept: list[TemporaryDirectory[str]] = []  # until the process ends


@cache
def made() -> dict[str, Path]:
    """Paths of the model's folder ``tiny``, of the file ``task``, and of the folder ``run``."""
    _kept.append(TemporaryDirectory())
    folder = Path(_kept[-1].name)
    paths = {"tiny": folder / "tiny", "task": folder / "mine.jsonl", "run": folder / "run"}
    logging.disable_progress_bar()
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SIZES, initializer_range=0.3)).eval()  # pyright: ignore[reportArgumentType]
    model.save_pretrained(paths["tiny"], max_shard_size="10KB")
    paths["task"].write_text("".join(json.dumps(row) + "\n" for row in _rows(model)))
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["find", str(paths["task"]), "--model", str(paths["tiny"]), "--out", str(paths["run"])]) == 0
    return paths


def copied(name: str, folder: Path) -> Path:
    """A copy of one of the run's files."""
    return Path(shutil.copy(made()["run"] / name, folder))


def _rows(model: GPT2LMHeadModel) -> list[dict[str, object]]:
    """The answer is the token that the model itself raises most, the wrong one that it lowers most."""
    clean = torch.randint(40, (16, 6), generator=torch.Generator().manual_seed(0))
    corrupt = clean.clone()
    corrupt[:, 2] = (corrupt[:, 2] + 1) % 40
    with torch.no_grad():
        change = model(clean).logits[:, -1] - model(corrupt).logits[:, -1]  # (16, 40)
    columns = zip(clean.tolist(), corrupt.tolist(), change.argmax(-1).tolist(), change.argmin(-1).tolist(), strict=True)
    return [dict(zip(("clean_ids", "corrupt_ids", "answer_id", "wrong_id"), row, strict=True)) for row in columns]
