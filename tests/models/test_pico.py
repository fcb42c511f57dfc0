"""The bundled model: small enough, right on prompts that it never saw, and with the heads that its card names."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from circuitsearch.models.load import BUNDLED
from recipes.pico.check import accuracies, heads
from recipes.pico.muon import orthogonal
from recipes.pico.text import repetition, reserved, walk, writers
from recipes.pico.tokenizer import build
from recipes.pico.train import Recipe, main, train

FOLDER = BUNDLED["pico"]
ARTEFACTS = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """The bundled tokenizer."""
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model() -> Any:
    """The bundled model, with attention patterns to look at."""
    return AutoModelForCausalLM.from_pretrained(FOLDER, attn_implementation="eager")


def test_the_folder_is_complete_and_small() -> None:
    """The wheel takes it as it is: the model, its tokenizer and its card, and no code of its training."""
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir() if path.is_file()}
    assert set(files) == {*ARTEFACTS, "CARD.md"}
    assert sum(files.values()) <= 6e6


def test_accuracies_on_reserved_prompts(model: Any, tokenizer: Any) -> None:
    scores = accuracies(model, tokenizer, n=150, seed=11)
    assert scores.pop("induction_20") >= 0.95
    assert min(scores.values()) >= 0.97, scores


def test_attention_patterns(model: Any, tokenizer: Any) -> None:
    scores = {kind: best[0][1] for kind, best in heads(model, tokenizer, n=50, seed=11).items()}
    assert scores["previous token"] >= 0.5
    assert scores["induction"] >= 0.5
    assert scores["name mover (END to IO less END to S1)"] >= 0.3


def test_the_tokenizer_reads_ordinary_text(tokenizer: Any) -> None:
    ids = tokenizer("When Mary and John met, John gave a drink to").input_ids
    assert tokenizer.decode(ids) == "<bos> When Mary and John met , John gave a drink to"
    assert tokenizer.convert_ids_to_tokens(tokenizer("17321799").input_ids) == ["<bos>", "17", "32", "17", "99"]


def test_the_bundled_tokenizer_is_the_one_that_the_code_builds(tokenizer: Any) -> None:
    assert tokenizer.get_vocab() == build().get_vocab()


def test_generation_goes_on_with_the_answer(model: Any, tokenizer: Any) -> None:
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    assert tokenizer.decode(model.generate(**prompt, max_new_tokens=1)[0, -1:]) == "Paris"


def test_reserved_prompts_are_not_trained_on(tokenizer: Any) -> None:
    random, write = Random(0), writers(tokenizer)["agreement"]
    prompts = [tokenizer.decode(write(random)[0][1:-1]) for _ in range(300)]
    assert not any(reserved(prompt) for prompt in prompts if "," not in prompt)  # a comma decodes with a space


@pytest.mark.parametrize("write", [walk, repetition])
def test_what_counts_was_seen_before(write: Any) -> None:
    for seed in range(20):
        ids, weights, _ = write(Random(seed), list(range(2, 80)), 48)
        assert len(ids) == len(weights)
        for place, weight in enumerate(weights):
            assert not weight or tuple(ids[place - 1 : place + 1]) in list(pairwise(ids[:place]))


def test_muon_makes_matrices_orthogonal() -> None:
    singular = torch.linalg.svdvals(orthogonal(torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(0))))
    assert singular.min() > 0.6
    assert singular.max() < 1.3


TINY = Recipe(
    layers=2, heads=2, width=16, walk_steps=2, repeat_steps=2, task_steps=2, sparse_steps=2, rows=3, log_every=100
)


def test_the_training_command_writes_the_model_of_its_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training again gives the same weights."""
    monkeypatch.setattr("recipes.pico.train.summary", lambda model, tokenizer: "")  # of a model that knows nothing yet
    options = [f"--{name.replace('_', '-')}={value}" for name, value in vars(TINY).items()]
    main(["--out", str(tmp_path), *options])
    assert {path.name for path in tmp_path.iterdir()} >= {*ARTEFACTS, "eval.json"}
    assert "tasks 0 loss" in capsys.readouterr().out
    written = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    again = train(TINY, log=lambda line: None)[0].state_dict()
    assert written.keys() == again.keys() and all(torch.equal(written[name], again[name]) for name in again)
