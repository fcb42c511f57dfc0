"""Tiny random models of every family, and prompts for them."""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from circuitsearch.engine.verify import verified
from circuitsearch.granularity import Granularity
from circuitsearch.models.describe import Described
from circuitsearch.models.families import REFUSED
from circuitsearch.task import Task
from tests.exact import exact_throughout
from tests.families_dense import DENSE
from tests.families_sparse import EXPERTS, RECURRENT, UNDIVIDED

torch.set_num_threads(1)  # on models as tiny as these more threads only wait for each other
os.environ["OMP_NUM_THREADS"] = "1"  # the same in processes that tests start

VOCABULARY = 40
LLAMA_LIKE: dict[str, Any] = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=32, bos_token_id=None, eos_token_id=None, pad_token_id=None,
)  # fmt: skip
NEOX: dict[str, Any] = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=32, bos_token_id=None, eos_token_id=None,
)  # fmt: skip

BASIC: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=32, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=None
    ),
    "llama": LlamaConfig(**LLAMA_LIKE, num_key_value_heads=4),
    "llama-grouped": LlamaConfig(**LLAMA_LIKE, num_key_value_heads=2),
    "llama-multiquery": LlamaConfig(**LLAMA_LIKE, num_key_value_heads=1, attention_bias=True),
    "mistral-windowed": MistralConfig(**LLAMA_LIKE, num_key_value_heads=2, sliding_window=4),
    "qwen2": Qwen2Config(**LLAMA_LIKE, num_key_value_heads=2),
    "qwen3": Qwen3Config(**LLAMA_LIKE, num_key_value_heads=2, head_dim=16),
    "gpt_neox-parallel": GPTNeoXConfig(**NEOX, use_parallel_residual=True),
    "gpt_neox-sequential": GPTNeoXConfig(**NEOX, use_parallel_residual=False),
}
TINY = {**BASIC, **DENSE, **EXPERTS, **RECURRENT}
CONFIGS = {name: config for name, config in TINY.items() if config.model_type not in REFUSED}
# One norm before, groups, norms of q and k, parts side by side, norms after parts and soft caps, experts, mixers.
REPRESENTATIVE = (
    "gpt2", "llama-grouped", "qwen3", "gpt_neox-parallel", "gemma2", "olmo2", "mixtral", "falcon_h1",
)  # fmt: skip
FURTHER = ("mistral-windowed", "falcon-new", "bloom")  # windows, one projection for all heads, alibi
# Of these in the usual run: one norm before, groups, parts side by side, norms after, experts.
USUAL = ("gpt2", "llama-grouped", "gpt_neox-parallel", "olmo2", "mixtral")
# The first of each family, or the one in the usual run.
FAMILY = {CONFIGS[name].model_type: name for name in (*reversed(CONFIGS), *USUAL)}
DEFAULTS = {"xlstm", "recurrent_gemma"}  # their functions have float32 as a default value
# Recurrences in which noise would blow up or vanish.
_KEPT = ("A_log", "dt_bias", "dt_proj.bias", "time_decay", "time_first", "recurrent_param")


def tiny_model(name: str, dtype: torch.dtype = torch.float64):
    """A random model, with every weight, gain and bias large enough to matter."""
    torch.manual_seed(0)  # what keeps its initial values
    model = AutoModelForCausalLM.from_config(TINY[name]).eval().requires_grad_(False).to(dtype)
    generator = torch.Generator().manual_seed(0)
    for path, parameter in model.named_parameters():
        if path.endswith(_KEPT):
            continue
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
        parameter.copy_(1 + 0.2 * noise if parameter.dim() == 1 and parameter.mean() > 0.5 else 0.25 * noise)
    return model


def random_task(n: int = 5, length: int = 9, differs_at: int = 3, seed: int = 0) -> Task:
    """Pairs of random prompts of one length that differ at one position."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(0, VOCABULARY, (n, length), generator=generator)
    corrupt = clean.clone()
    corrupt[:, differs_at] = (clean[:, differs_at] + 1 + torch.arange(n)) % VOCABULARY
    answers = torch.randint(0, VOCABULARY // 2, (n,), generator=generator)
    return Task.from_ids(clean, corrupt, answers, answers + VOCABULARY // 2, name="random")


def blind_to(model: Any, task: Task) -> Any:
    """A copy of the model that reads the task's corrupt prompts as the clean ones: tokens that differ are embedded alike."""
    model = copy.deepcopy(model)
    weight = model.get_input_embeddings().weight.data
    for clean, corrupt in zip(task.clean, task.corrupt, strict=True):
        weight[corrupt[clean != corrupt]] = weight[clean[clean != corrupt]]
    return model


def mixed_task(seed: int = 0) -> Task:
    """Pairs of several lengths that differ at several positions."""
    parts = [random_task(3, 7, 2, seed), random_task(4, 9, 0, seed + 1), random_task(2, 9, 5, seed + 2)]
    columns = [sum((getattr(part, name) for part in parts), ()) for name in ("clean", "corrupt", "answers", "wrong")]
    return Task.from_ids(*columns, name="mixed")


def granularity_of(model: Any) -> Granularity:
    """Heads as nodes wherever they can be told apart."""
    return Granularity(merged_heads=model.config.model_type in UNDIVIDED)


@lru_cache(maxsize=4)
def verified_once(model: Any, granularity: Granularity | None = None) -> Described:
    """The model's description; it is verified the first time, for tests of what is made of it."""
    return verified(model, granularity=granularity or granularity_of(model))


def slow_but(usual: Sequence[Any], every: Iterable[Any]) -> list[Any]:
    """Parameters for ``every`` one, those that are not ``usual`` marked slow."""
    return [one if one in usual else pytest.param(one, marks=pytest.mark.slow) for one in every]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests in depth of families that are not representative, which CI leaves out."""
    for item in items:
        given = item.callspec.params if hasattr(item, "callspec") else {}  # pyright: ignore[reportAttributeAccessIssue]
        in_depth = ("any_model", "every_family", *(("every_model",) if item.get_closest_marker("deep") else ()))
        if any(given.get(name, "gpt2") not in REPRESENTATIVE for name in in_depth):
            item.add_marker(pytest.mark.families)


@pytest.fixture(scope="session", params=slow_but(USUAL, REPRESENTATIVE + FURTHER))
def any_model(request):
    """One model of each kind of architecture in turn, in float64."""
    return tiny_model(request.param)


@pytest.fixture(scope="session", params=slow_but(USUAL, CONFIGS))
def every_model(request):
    """Every tiny model in turn, of some families several, in float64."""
    return tiny_model(request.param)


@pytest.fixture(scope="session", params=slow_but(USUAL, FAMILY.values()))
def every_family(request):
    """One model of every family in turn, in float64."""
    return tiny_model(request.param)


@pytest.fixture
def exact(request) -> Iterator[None]:
    """Let nothing in a float64 model turn to float32; tests of narrower models are marked ``rounded``."""
    if request.node.get_closest_marker("rounded"):
        yield
        return
    given = getattr(request.node, "callspec", None)
    with exact_throughout(every_call=given is not None and not DEFAULTS.isdisjoint(map(str, given.params.values()))):
        yield


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is kept until the end: modules, and thousands of tests."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the battery write the page of families."""
    parser.addoption("--models-page", help="write what the battery measures of each family to this file")


@pytest.hookimpl(optionalhook=True)  # so that the tests run where pytest-xdist is switched off
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers for the whole suite; none for files that are named, as starting workers takes longer than one file."""
    return min(4, os.cpu_count() or 1) if config.args_source is config.ArgsSource.TESTPATHS else 0


@pytest.fixture(scope="session")
def gpt2():
    """A tiny random GPT-2 in float64."""
    return tiny_model("gpt2")


@pytest.fixture(scope="session")
def grouped():
    """A tiny random Llama whose four heads share two keys and values, in float64."""
    return tiny_model("llama-grouped")


@pytest.fixture
def task() -> Task:
    """Five random pairs of nine tokens that differ at position 3."""
    return random_task()


def attentions(described):
    """The attentions of a described model, block by block."""
    return [part for _, part in described.heads]
