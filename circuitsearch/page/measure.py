"""What a page shows beyond circuit and report: single prompts, the circuit without each node, results of instruments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.figures.viewer.data import Evidence, Prompt
from circuitsearch.instruments import attention, direct_logit, head_roles
from circuitsearch.page.tokens import token_texts
from circuitsearch.search.nodes import NodeElimination
from circuitsearch.task import Task

N_PROMPTS = 32  # prompts shown
N_LOOKED_AT = 32  # prompts of the instruments
N_PATTERNS = 4  # prompts whose attention is shown
MOST_CELLS = 400_000  # of all patterns together: about a megabyte
N_MEASURED = 16  # prompts on which the circuit is run without each node: there are many nodes
MOST_NODES = 256  # of a circuit whose nodes are removed one by one; more take too long for a page


def evidence(experiment: Experiment, circuit: Circuit, tokenizer: Any = None) -> Evidence:
    """Everything that a page shows beyond circuit and report; what cannot be measured on a model is left out.

    Parameters
    ----------
    experiment : Experiment
        A model and prompts, held-out ones if there are any.
    circuit : Circuit
        A circuit of that model.
    tokenizer : optional
        Names the tokens; without it they are shown as ids.
    """
    task = experiment.task
    some = task.subset(range(min(N_LOOKED_AT, len(task))))
    nodes = {name: name.partition("@")[0] for name in circuit.nodes}  # a node of a span is measured as a whole
    return replace(
        circuit_runs(experiment, circuit, tokenizer),
        direct=_of_nodes(nodes, _direct(experiment, some)),
        roles=_of_nodes(nodes, _roles(experiment, some, tokenizer)),
        attention=_of_nodes(nodes, _attention(experiment, some, sorted(set(nodes.values())))),
    )


# ---- the circuit on single prompts, and without each node


def circuit_runs(experiment: Experiment, circuit: Circuit, tokenizer: Any = None) -> Evidence:
    """Run a circuit on an experiment's first prompts, as it is and without each of its nodes."""
    task = experiment.task
    shown = experiment.on(task.subset(range(min(N_PROMPTS, len(task)))))
    measure = Faithfulness(shown)
    values = shown.evaluator.metric_of(circuit.mask)
    prompts = _prompts(shown.task, tokenizer, measure.clean, values, measure.ablated)
    return Evidence(prompts, len(task), _without_each_node(circuit, measure.on_first(N_MEASURED)))


def _without_each_node(circuit: Circuit, measure: Faithfulness) -> dict[str, float]:
    """Faithfulness of the circuit without each of its nodes but embedding and logits."""
    nodes = NodeElimination(measure, 1.0)
    if len(nodes.candidates(circuit.mask)) > MOST_NODES:
        return {}
    return {nodes.name(node): value for node, value in nodes.without_each(circuit.mask).items()}


# ---- prompts as text


def _prompts(task: Task, tokenizer: Any, model: Tensor, circuit: Tensor, ablated: Tensor) -> list[Prompt]:
    def words(ids: Tensor) -> tuple[str, ...]:
        return token_texts(ids.tolist(), tokenizer)

    return [
        Prompt(
            words(task.clean[row]),
            words(task.corrupt[row]),
            words(task.answers[row]),
            words(task.wrong[row]),
            float(model[row]),
            float(circuit[row]),
            float(ablated[row]),
        )
        for row in range(len(task))
    ]


# ---- results of instruments


def _of_nodes(nodes: Mapping[str, str], found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[whole] for name, whole in nodes.items() if whole in found}


def _direct(experiment: Experiment, task: Task) -> dict[str, float]:
    try:
        found = direct_logit(experiment, task)
    except InputError:  # logits that are not a sum over writers
        return {}
    return dict(zip(found.writers, found.values.tolist(), strict=True))


def _roles(experiment: Experiment, task: Task, tokenizer: Any) -> dict[str, tuple[str, ...]]:
    try:
        return head_roles(experiment, task, tokenizer=tokenizer, shuffles=2).by_head
    except InputError:  # the heads cannot be separated
        return {}


def _attention(experiment: Experiment, task: Task, names: Sequence[str]) -> dict[str, list[Tensor]]:
    """Patterns of these heads on the first prompts, within the page's size limit."""
    heads = [name for name in names if ".h" in name]
    patterns: dict[str, list[Tensor]] = {head: [] for head in heads}
    room = MOST_CELLS
    for row in range(min(N_PATTERNS, len(task)) if heads else 0):
        room -= len(heads) * len(task.clean[row]) ** 2 // 2
        if room < 0:
            break
        try:
            found = attention(experiment, task.subset([row]), heads)
        except InputError:  # the patterns of this family cannot be read
            return {}
        for head, pattern in zip(found.heads, found.patterns, strict=True):
            patterns[head].append(pattern)
    return {head: shown for head, shown in patterns.items() if shown}
