"""What a page shows beyond circuit and report: single prompts, and what each node is worth to the circuit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.figures.viewer.data import Evidence, Prompt
from circuitsearch.reachability import prune
from circuitsearch.task import Task

N_PROMPTS = 32  # examples shown
N_MEASURED = 64  # prompts that a node's worth is measured on
MOST_NODES = 256  # of a circuit whose nodes are taken away one by one; more would take longer than a page is worth


def evidence(experiment: Experiment, circuit: Circuit, tokenizer: Any = None) -> Evidence:
    """Run a circuit on an experiment's first prompts, as it is and without each of its nodes.

    Parameters
    ----------
    experiment : Experiment
        A model and prompts.
    circuit : Circuit
        One of that model.
    tokenizer : optional
        Names the tokens; without it they are shown as ids.
    """
    task = experiment.task
    some = experiment.on(task.subset(range(min(N_MEASURED, len(task)))))
    measure = Faithfulness(some)
    (values,) = measure.metrics(circuit.mask[None], near=circuit.mask)
    prompts = _prompts(some.task, tokenizer, measure.clean, values[0], measure.ablated)
    return Evidence(prompts, len(task), _without_each_node(circuit, measure))


def _without_each_node(circuit: Circuit, measure: Faithfulness) -> dict[str, float]:
    """Faithfulness of the circuit without each of its nodes; the ends cannot go."""
    graph = circuit.graph
    after_embed = graph.parts[0].rows.start
    rows = [row for row in range(after_embed, len(graph.writers)) if bool(circuit.mask[row].any())]
    if not rows or len(rows) > MOST_NODES:
        return {}
    values = measure(torch.stack([_without(circuit, row) for row in rows]), near=circuit.mask)
    return dict(zip((graph.writers[row] for row in rows), values.tolist(), strict=True))


def _without(circuit: Circuit, row: int) -> Tensor:
    fewer = circuit.mask.clone()
    fewer[row] = False
    return prune(circuit.graph, fewer)


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
        for row in range(min(N_PROMPTS, len(task)))
    ]


def token_texts(ids: Sequence[int], tokenizer: Any) -> tuple[str, ...]:
    """The text of each token, with its leading space; its number where there is no tokenizer."""
    if tokenizer is None:
        return tuple(f"#{token}" for token in ids)
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    texts = [tokenizer.decode([token], clean_up_tokenization_spaces=False) for token in ids]
    # SentencePiece marks a leading space in the piece, and takes it away when it decodes a token alone.
    marked = [
        str(piece).startswith("\u2581") and not text.startswith(" ") for piece, text in zip(pieces, texts, strict=True)
    ]
    return tuple(f" {text}" if space else text for space, text in zip(marked, texts, strict=True))
