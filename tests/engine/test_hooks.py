"""Code that a user puts into a model: the full graph gives what the changed model gives, or the model is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import circuitsearch as cs
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError

pytestmark = pytest.mark.rounded
Change = Callable[[Tensor], Tensor]

PLACES: dict[str, Callable[[Any], nn.Module]] = {
    "token embedding": lambda model: model.transformer.wte,
    "position embedding": lambda model: model.transformer.wpe,
    "first block": lambda model: model.transformer.h[0],
    "last block": lambda model: model.transformer.h[-1],
    "norm before attention": lambda model: model.transformer.h[1].ln_1,
    "attention": lambda model: model.transformer.h[1].attn,
    "qkv projection": lambda model: model.transformer.h[1].attn.c_attn,
    "output projection": lambda model: model.transformer.h[1].attn.c_proj,
    "norm before MLP": lambda model: model.transformer.h[1].ln_2,
    "MLP": lambda model: model.transformer.h[1].mlp,
    "up projection": lambda model: model.transformer.h[1].mlp.c_fc,
    "activation": lambda model: model.transformer.h[1].mlp.act,
    "down projection": lambda model: model.transformer.h[1].mlp.c_proj,
    "last norm": lambda model: model.transformer.ln_f,
    "base model": lambda model: model.transformer,
    "unembedding": lambda model: model.lm_head,
    "whole model": lambda model: model,
}
CHANGES: dict[str, Change] = {
    "scaled": lambda value: 1.5 * value,
    "added to": lambda value: value + torch.linspace(-2, 2, value.shape[-1]),
    "replaced": lambda value: torch.linspace(-1, 1, value.shape[-1]).expand_as(value),
}


def changed(output: Any, change: Change) -> Any:
    """What a module gives, its first tensor changed; a copy, in whatever it is wrapped."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, tuple):
        return (change(output[0]), *output[1:])
    output = copy.copy(output)
    first = next(iter(output))
    output[first] = change(output[first])
    return output


def by_forward_hook(module: nn.Module, change: Change) -> None:
    """Change what the module gives."""
    module.register_forward_hook(lambda _, __, output: changed(output, change))


def by_pre_hook(module: nn.Module, change: Change) -> None:
    """Change what the module reads, if it reads a tensor of numbers."""

    def hook(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        real = bool(args) and isinstance(args[0], Tensor) and args[0].is_floating_point()
        return (change(args[0]), *args[1:]) if real else None

    module.register_forward_pre_hook(hook)


def by_patch(module: nn.Module, change: Change) -> None:
    """Put another function in place of the module's own."""
    own = module.forward
    module.forward = lambda *args, **kwargs: changed(own(*args, **kwargs), change)


WAYS = {"hook": by_forward_hook, "pre-hook": by_pre_hook, "patch": by_patch}
CASES = [
    (place, way, change)
    for place in PLACES
    for way in WAYS
    for change in CHANGES
    if not (way == "pre-hook" and place in ("token embedding", "position embedding", "base model", "whole model"))
]


@pytest.fixture(scope="module")
def pico():
    """The bundled model and four prompts of its task."""
    model, tokenizer = cs.load("pico")
    return model, cs.tasks.ioi(tokenizer, n=4, seed=0)


def own_metric(model: Any, task: cs.Task, side: str) -> Tensor:
    """The metric of the model itself (N,), one prompt at a time, by nothing of the engine."""
    with torch.no_grad():
        logits = [model(input_ids=ids[None]).logits[0, -1] for ids in getattr(task, side)]
    rows = zip(logits, task.answers, task.wrong, strict=True)
    return torch.stack([each[right[0]] - each[wrong[0]] for each, right, wrong in rows]).double()


@pytest.mark.parametrize(("place", "way", "change"), CASES)
def test_a_changed_model_is_read_as_changed_or_refused(place, way, change, pico):
    """The full graph's metric is the changed model's own, and the empty graph's that on corrupt prompts."""
    model, task = copy.deepcopy(pico[0]), pico[1]
    WAYS[way](PLACES[place](model), CHANGES[change])
    clean, corrupt = (own_metric(model, task, side) for side in ("clean", "corrupt"))
    try:
        evaluator = Evaluator(verified(model, task), task)
    except InputError as error:
        assert len(str(error)) <= 300
        return
    mask = evaluator.described.graph.mask
    (values,) = evaluator.circuits(torch.stack([mask, torch.zeros_like(mask)]))
    scale = float(torch.cat([clean, corrupt]).abs().max()) + 1e-3
    assert float((values - torch.stack([clean, corrupt])).abs().max()) < 1e-4 * scale


HONOURED = (
    *("token embedding", "position embedding", "unembedding", "whole model"),
    *("up projection", "activation", "down projection"),
)


@pytest.mark.parametrize("place", HONOURED)
def test_changes_beside_the_stream_are_honoured(place, pico):
    """Steering an embedding, the logits or an MLP's inside leaves the description true: such a model is read as changed."""
    model, task = copy.deepcopy(pico[0]), pico[1]
    by_forward_hook(PLACES[place](model), CHANGES["scaled"])
    verified(model, task)


@pytest.mark.parametrize("place", [place for place in PLACES if place not in (*HONOURED, "first block")])
def test_changes_of_the_stream_are_refused(place, pico):
    """A description that does not hold is refused, without a task too."""
    model = copy.deepcopy(pico[0])
    by_forward_hook(PLACES[place](model), CHANGES["scaled"])
    with pytest.raises(InputError):
        verified(model)


@pytest.mark.parametrize("place", PLACES)
def test_hooks_that_only_look_are_accepted(place, pico):
    """Hooks that record change nothing: the scores are the plain model's, to the last bit."""
    model, task, seen = copy.deepcopy(pico[0]), pico[1], []
    PLACES[place](model).register_forward_hook(lambda *args: seen.append(args))
    PLACES[place](model).register_forward_pre_hook(lambda *args: seen.append(args))
    edges = cs.EAP()
    assert torch.equal(cs.score(model, task, edges).values, cs.score(pico[0], task, edges).values)
    assert seen


def test_a_hook_that_acts_on_some_tokens_only_is_seen_on_the_tasks_prompts(pico):
    """The fixed prompt does not hold the token; the task's first prompts do."""
    model, task = copy.deepcopy(pico[0]), pico[1]
    token = int(task.clean[0][-1])
    ids: list[Tensor] = []
    model.transformer.wte.register_forward_pre_hook(lambda _, args: ids.append(args[0]))
    model.transformer.ln_f.register_forward_hook(
        lambda _, __, output: output * (1.5 if bool((ids[-1] == token).any()) else 1.0)
    )
    verified(model)
    with pytest.raises(InputError, match="keeps every edge does not give the model's own logits"):
        verified(model, task)


def test_backward_hooks_are_refused(pico):
    """They may change the gradients that edges are scored by."""
    model = copy.deepcopy(pico[0])
    model.transformer.h[0].register_full_backward_hook(lambda *_: None)
    with pytest.raises(InputError, match="GPT2Block of the model has a backward hook"):
        verified(model)
