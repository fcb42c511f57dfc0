"""What a page shows beyond circuit and report: single prompts, the circuit without each node, results of instruments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import accumulate
from typing import Any

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.figures.viewer.data import Evidence, Prompt, Said, triangle
from circuitsearch.instruments import attention_by_prompt, direct_logit, head_roles, likeliest_tokens, written_words
from circuitsearch.instruments.subject import subject
from circuitsearch.instruments.words import Said as Tokens
from circuitsearch.page.tokens import token_texts
from circuitsearch.search.nodes import NodeElimination
from circuitsearch.task import Task

N_PROMPTS = 32  # prompts shown
N_LOOKED_AT = 32  # prompts of the instruments
MOST_CELLS = 900_000  # of all patterns together: 1.2 MB of the page
N_SPOKEN = 8  # prompts on each of which it is shown what the nodes write in words
N_WORDS = 5  # tokens that a node raises, that it lowers, and that the model predicts
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
    words, raised = _words(experiment, some, _writers(experiment, set(nodes.values())), tokenizer)
    runs = circuit_runs(experiment, circuit, tokenizer)
    return replace(
        runs,
        prompts=_with_likeliest(experiment, runs.prompts, tokenizer),
        words=_of_nodes(nodes, words),
        raised=_of_nodes(nodes, raised),
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


def _writers(experiment: Experiment, names: Set[str]) -> list[str]:
    """Those of the names whose writes can be read, in the stream's order."""
    return [name for name in subject(experiment, experiment.task).described.graph.base.writers if name in names]


def _words(
    experiment: Experiment, task: Task, writers: Sequence[str], tokenizer: Any
) -> tuple[dict[str, tuple[Said, Said]], dict[str, list[Said]]]:
    """What writers write in words: on average, and on each of the first prompts."""
    if not writers:
        return {}, {}
    try:
        mean = written_words(experiment, task, writers, count=N_WORDS)
        few = range(min(N_SPOKEN if len(writers) <= MOST_NODES else 0, len(task)))
        each = [written_words(experiment, task.subset([row]), writers, count=N_WORDS) for row in few]
    except InputError:  # logits that are not a sum over writers
        return {}, {}
    words = {name: (_texts(said.raised, tokenizer), _texts(said.lowered, tokenizer)) for name, said in mean.items()}
    return words, {name: [_texts(said[name].raised, tokenizer) for said in each] for name in writers if each}


def _with_likeliest(experiment: Experiment, prompts: Sequence[Prompt], tokenizer: Any) -> list[Prompt]:
    """Prompts with what the model predicts after each."""
    try:
        found = likeliest_tokens(experiment, experiment.task.subset(range(len(prompts))), count=N_WORDS)
    except InputError:  # answers of several tokens, which are read at several positions
        return list(prompts)
    return [replace(prompt, likeliest=_texts(said, tokenizer)) for prompt, said in zip(prompts, found, strict=True)]


def _texts(said: Tokens, tokenizer: Any) -> Said:
    texts = token_texts([token for token, _ in said], tokenizer)
    return tuple((text, number) for text, (_, number) in zip(texts, said, strict=True))


def _attention(experiment: Experiment, task: Task, names: Sequence[str]) -> dict[str, list[Tensor]]:
    """Patterns of these heads on as many of the first prompts as fit into the page."""
    heads = [name for name in names if ".h" in name]
    cells = accumulate(len(heads) * triangle(len(ids)) for ids in task.clean)
    n_shown = sum(each <= MOST_CELLS for each in cells)
    if not heads or not n_shown:
        return {}
    try:
        found = attention_by_prompt(experiment, task.subset(range(n_shown)), heads)
    except InputError:  # the patterns of this family cannot be read
        return {}
    return {head: [patterns[head] for patterns in found] for head in heads}
