"""RelP and GIM: their rules change what is propagated, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from circuitsearch.ablation import Zero
from circuitsearch.engine.rules import PLAIN, Rules
from circuitsearch.engine.soft_attention import SoftAttention
from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.methods import EAP, GIM, RelP
from circuitsearch.methods.relp import RELEVANCE
from circuitsearch.models.describe import describe
from tests.conftest import attentions, random_task, tiny_model
from tests.engine.plain import PortRun, plain_writes
from tests.methods import by_hand
from tests.methods.by_hand import Backward, scores_by_hand

INTERACTIONS = Rules(fixed_scales=True, halved_gates=True, attention=SoftAttention(2.0))
RULES = {"relp": RELEVANCE, "gim": INTERACTIONS}


@pytest.fixture
def ruled_model(rules, any_model):
    """Each model that the rules can be laid on."""
    if rules.attention is not None and any_model.config.model_type in ("bloom", "falcon"):
        pytest.skip("attention of its own, which is refused: see the next test")
    return any_model


@pytest.mark.parametrize("name", ["bloom", "falcon-alibi", "gptj", "gpt_neo", "mpt", "codegen", "gpt_oss"])
def test_attention_that_the_rules_cannot_be_laid_on_is_refused(name):
    """Some families attend by code of their own, or to sinks; the sentence says so, and what to do."""
    with pytest.raises(InputError, match="use another method, such as RelP"):
        score(tiny_model(name), random_task(n=1, length=6), GIM())


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_values_are_the_models_own(rules, ruled_model):
    """Under the rules the logits are those of the model."""
    ids = torch.stack(random_task().clean)
    with torch.no_grad(), rules.on(describe(ruled_model)):
        ruled = ruled_model(ids).logits
    assert (ruled - ruled_model(ids).logits).abs().max() < 1e-12


@pytest.mark.rounded
def test_relevance_rules_do_not_change_a_bit():
    """Hooks give back the very values of the modules that they are on, in half precision too."""
    for dtype in (torch.float32, torch.bfloat16):
        model = tiny_model("qwen3", dtype)
        ids = torch.stack(random_task().clean)
        with RELEVANCE.on(describe(model)):
            ruled = model(ids).logits
        assert torch.equal(ruled, model(ids).logits)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_nothing_is_left_behind(rules, ruled_model):
    """Hooks, attention and transformers' tables of attentions are as before, also after an error in between."""
    before = _state(ruled_model)
    with rules.on(describe(ruled_model)):
        ruled_model(torch.tensor([[1, 2, 3]]))
    assert _state(ruled_model) == before
    with pytest.raises(ZeroDivisionError), rules.on(describe(ruled_model)):
        raise ZeroDivisionError
    assert _state(ruled_model) == before


def test_a_failing_pass_leaves_nothing_behind(gpt2, monkeypatch):
    """An error within scoring undoes the rules as well."""
    before, task = _state(gpt2), random_task()

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("circuitsearch.engine.gradients.run", broken)  # under the rules
    for method in (RelP(), GIM()):
        with pytest.raises(ZeroDivisionError):
            score(gpt2, task, method)
        assert _state(gpt2) == before


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
@pytest.mark.parametrize(
    ("method", "back"),
    [(EAP(), by_hand.EXACT), (RelP(), by_hand.RELP), (GIM(), by_hand.GIM)],
    ids=["eap", "relp", "gim"],
)
def test_scores_are_those_written_by_hand(name, method, back):
    """Every edge's score equals that of a plain forward with the rules written into it."""
    model, task = tiny_model(name), random_task(n=3, length=6, differs_at=2)
    scores = score(model, task, method)
    expected = scores_by_hand(model, task, back)
    difference = (scores.values - expected)[scores.graph.mask]
    assert difference.abs().max() < 1e-10
    assert scores.values.abs().max() > 1e-3


def test_each_rule_by_hand():
    """Rules one at a time, the temperature at another value, so that none hides behind another."""
    model, task = tiny_model("qwen3"), random_task(n=2, length=5, differs_at=1)
    graph, plain = describe(model).graph, score(model, task, EAP()).values
    for rules, back in (
        (Rules(fixed_scales=True), Backward(fixed_scales=True)),
        (Rules(secants=True), Backward(secants=True)),
        (Rules(halved_gates=True), Backward(gate_share=0.5)),
        (Rules(attention=SoftAttention(3.0)), Backward(query_share=0.25, value_share=0.5, temperature=3.0)),
    ):
        values = score(model, task, _Ruled(rules)).values
        assert (values - scores_by_hand(model, task, back))[graph.mask].abs().max() < 1e-10
        assert (values - plain).abs().max() > 1e-3


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_gradients_reach_the_ports_of_every_family(rules, ruled_model):
    """Pulled back to the ports they are what autograd gives where each port has a stream of its own."""
    task = random_task(n=1, length=6)
    described = describe(ruled_model)
    scores = score(ruled_model, task, _Ruled(rules))
    with rules.on(described):
        run = PortRun(ruled_model, task.clean[0], described.graph.mask)
    logits = run.logits[-1]
    grads = run.gradients(logits[task.answers[0][0]] - logits[task.wrong[0][0]])
    difference = plain_writes(ruled_model, task.clean[0]) - plain_writes(ruled_model, task.corrupt[0])
    expected = torch.einsum("utd,vtd->uv", difference, grads)
    assert (scores.values - expected)[described.graph.mask].abs().max() < 1e-10


@pytest.mark.parametrize("name", ["llama-grouped", "mistral-windowed"])
def test_relevance_is_conserved(name):
    """Without biases, and with a pattern that no stream changes, what arrives at the embedding is the metric itself.

    Every rule makes its operation linear in what it reads, so relevance neither comes nor goes: zero ablation, where a
    write's difference is the write, must give the whole metric to the edges out of the embedding.
    """
    model = tiny_model(name)
    for layer in attentions(describe(model)):
        for port in ("q", "k"):
            layer.projection(port).weight.zero_()  # a view
    task = random_task()
    metric = task.metric(model(torch.stack(task.clean)).logits[:, -1], next(iter(task.batches()))).mean()
    from_embed = score(model, task, RelP(), ablation=Zero()).values[0].sum()
    assert float(from_embed) == pytest.approx(float(metric), rel=1e-10)
    assert float(score(model, task, EAP(), ablation=Zero()).values[0].sum()) != pytest.approx(float(metric), rel=0.1)


def test_the_slope_at_zero_is_the_derivative():
    """An activation whose input is exactly zero propagates its derivative there, not NaN."""
    model = tiny_model("gpt2")
    for name, parameter in model.named_parameters():
        if "c_fc" in name:
            parameter.zero_()
    values = score(model, random_task(), _Ruled(Rules(secants=True))).values
    assert (values - score(model, random_task(), EAP()).values).abs().max() < 1e-12


def test_a_temperature_of_one_leaves_the_softmax_alone(gpt2):
    """At temperature 1 only the shares are left: queries' edges are a quarter of the derivative, and so on."""
    task, back = random_task(), replace(by_hand.GIM, temperature=1.0)
    scores = score(gpt2, task, GIM(temperature=1.0))
    assert (scores.values - scores_by_hand(gpt2, task, back))[scores.graph.mask].abs().max() < 1e-10


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature):
    """Others are refused."""
    with pytest.raises(InputError, match="above 0"):
        GIM(temperature=temperature)


def test_no_rules_are_the_plain_gradient(grouped):
    """The default rules hang nothing on the model and change nothing."""
    before = _state(grouped)
    with PLAIN.on(describe(grouped)):
        assert _state(grouped) == before
    task = random_task()
    assert torch.equal(score(grouped, task, _Ruled(PLAIN)).values, score(grouped, task, EAP()).values)


@dataclass(frozen=True)
class _Ruled:
    """EAP under any rules."""

    rules: Rules

    def effects(self, pair, work):
        run = pair.gradients(rules=self.rules)
        return run.ports.scores(pair.differences(run.activations))


def _state(model):
    """All that rules could leave changed."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    hooks = [(*module._forward_hooks, *module._forward_pre_hooks) for module in model.modules()]
    own = [sorted(module.__dict__) for module in model.modules()]
    tables = list(ALL_ATTENTION_FUNCTIONS), list(ALL_MASK_ATTENTION_FUNCTIONS)
    return model.config.to_dict(), model.config._attn_implementation, hooks, own, tables
