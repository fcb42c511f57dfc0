"""QKFix: edges into queries and keys go through the softmax itself, all others stay as they are."""

from __future__ import annotations

import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.methods import EAP, EAPIG, GIM, Exact, QKFix, RelP
from circuitsearch.models.describe import describe
from tests.conftest import attentions, random_task, tiny_model
from tests.engine.plain import PlainRun, plain_writes

FIRST = [EAP(), EAPIG(steps=3), RelP(), GIM()]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 3])
def test_queries_and_keys_are_what_plain_runs_give(steps, any_model):
    """Each edge cut by itself in a plain run, times autograd's gradient at the heads' values."""
    task = random_task(n=1, length=6)
    graph, ids = describe(any_model).graph, task.clean[0]
    scores = score(any_model, task, QKFix(EAPIG(steps)) if steps else QKFix())
    corrupt = plain_writes(any_model, task.corrupt[0])
    inputs = [_embedding(any_model, ids)]
    if steps:
        inputs = [corrupt[0] + (inputs[0] - corrupt[0]) * (k / steps) for k in range(steps)]
    gradients = torch.stack([_gradients_at_values(any_model, task, embed) for embed in inputs]).mean(0)
    clean = _Values(any_model, ids, graph.mask).values
    for column, reader in enumerate(graph.readers):
        if not reader.endswith(("<q>", "<k>")):
            continue
        for row in range(graph.visible_writers(column)):
            kept = graph.mask.clone()
            kept[row, column] = False
            layer = int(reader[1 : reader.index(".")])
            change = clean[layer] - _Values(any_model, ids, kept, corrupt).values[layer]
            assert abs(float((change * gradients[layer]).sum() - scores.values[row, column])) < 1e-10
    assert scores.values[:, _into_softmax(graph)].abs().max() > 1e-3


@pytest.mark.parametrize("first", FIRST, ids=repr)
def test_all_other_edges_are_the_first_methods(first, grouped):
    """To the bit; those into queries and keys are others."""
    task = random_task()
    fixed, plain = score(grouped, task, QKFix(first)), score(grouped, task, first)
    same = ~_into_softmax(fixed.graph)
    assert torch.equal(fixed.values[:, same], plain.values[:, same])
    assert (fixed.values - plain.values)[:, ~same].abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gpt2", "llama-grouped", "qwen2", "gpt_neox-parallel"])
def test_a_saturated_softmax_is_seen_through(name):
    """Where a softmax has made up its mind gradients say little about cuts: the repair comes much nearer."""
    model, task = tiny_model(name), random_task(n=8)
    for layer in attentions(describe(model)):
        for port in ("q", "k"):
            layer.projection(port).weight.mul_(2.0)  # a view
    exact, plain, fixed = (score(model, task, method) for method in (Exact(), EAP(), QKFix()))
    chosen = exact.graph.mask & _into_softmax(exact.graph)
    without, repaired = (_correlation(exact.values[chosen], other.values[chosen]) for other in (plain, fixed))
    assert without < 0.4 and repaired > 0.6 and repaired > without + 0.3


def test_an_edge_whose_value_goes_straight_to_the_logits_is_exact():
    """With nothing above an attention but a linear map to the metric, the repair is the exact effect."""
    model, task = tiny_model("gpt2"), random_task()
    for name, parameter in model.named_parameters():
        if "h.1.mlp.c_proj" in name:
            parameter.zero_()
    model.transformer.ln_f = torch.nn.Identity()
    scores, exact = score(model, task, QKFix()), score(model, task, Exact())
    last = torch.tensor([reader.startswith("a1.") for reader in scores.graph.readers])
    columns = last & _into_softmax(scores.graph)
    assert (scores.values - exact.values)[:, columns].abs().max() < 1e-10
    assert scores.values[:, columns].abs().max() > 1e-3


def test_senders_one_by_one_are_senders_together(gpt2):
    """The memory does not change a score."""
    task = random_task()
    together, alone = score(gpt2, task, QKFix()).values, score(gpt2, task, QKFix(), memory=1).values
    assert (together - alone).abs().max() < 1e-12


@pytest.mark.parametrize("first", [Exact(), QKFix(), None], ids=repr)
def test_only_gradients_can_be_repaired(first):
    """Anything else is refused."""
    with pytest.raises(InputError, match="takes EAP"):
        QKFix(first)


class _Values(PlainRun):
    """The plain run, keeping its heads' values (T, H, K) of each block."""

    def __init__(self, *args) -> None:
        self.values: list[torch.Tensor] = []
        super().__init__(*args)

    def _heads(self, index, constant):
        self.values.append(super()._heads(index, constant))
        return self.values[-1]


def _embedding(model, ids):
    return plain_writes(model, ids)[0]


def _gradients_at_values(model, task, embed):
    """Gradient of answer less wrong at every head's value (L, T, H, K), on the model's own run from an input (T, D)."""
    layers, values, handles = attentions(describe(model)), [], []

    def enter(_, args, kwargs):
        start = embed[None].clone().requires_grad_()
        return ((start, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": start})

    handles.append(describe(model).blocks[0].register_forward_pre_hook(enter, with_kwargs=True))
    handles += [layer.o.register_forward_pre_hook(lambda _, args: values.append(args[0])) for layer in layers]
    logits = model(task.clean[0][None]).logits[0, -1]
    for handle in handles:
        handle.remove()
    grads = torch.autograd.grad(logits[task.answers[0][0]] - logits[task.wrong[0][0]], values)
    return torch.stack([grad[0].unflatten(-1, (layers[0].n_heads, -1)) for grad in grads])


def _into_softmax(graph):
    """Boolean (V,): queries and keys."""
    return torch.tensor([reader.endswith(("<q>", "<k>")) for reader in graph.readers])


def _correlation(a, b):
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
