"""What each edge of a circuit brings to it: gradients in the edges' weights, integrated from no edges to the circuit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.task import Task

STEPS = 5  # gradients, from no edges to the circuit
EFFECT_PROMPTS = 32  # at most, on which searches measure effects


def with_effects(model: Any, task: Task, circuit: Circuit, **settings: Unpack[Settings]) -> Circuit:
    """The circuit with the effect of each of its edges, which figures, tables and exports then show in place of scores.

    The effects are integrated gradients (1703.01365) in the edges' weights, from no edges to the circuit, in five steps. Together
    they are about what the circuit's metric is above that of no edges. :func:`circuitsearch.find` and :func:`circuitsearch.refine`
    measure them; circuits of other searches and other tools get them here.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts to average over.
    circuit : Circuit
        Of the model's graph.
    **settings
        As of :class:`circuitsearch.Experiment`; what is not given is as the circuit was found with.

    Returns
    -------
    Circuit
        The same edges; see :class:`circuitsearch.Circuit` for its ``effects``.

    Raises
    ------
    InputError
        If the ablation, the granularity or the metric is not that of the circuit.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> task = cs.tasks.induction(tokenizer, n=8)
    >>> circuit = cs.with_effects(model, task, cs.top(cs.score(model, task, cs.EAP()), 10))
    >>> circuit.effect("a1.h2", "logits") > 1  # of the logit difference
    True
    """
    experiment = Experiment.of(model, task, circuit, **settings)
    return replace(circuit, effects=effects_in(experiment, circuit.mask))


def effects_in(experiment: Experiment, mask: Tensor) -> Tensor:
    """(U, V) effects of the edges of a circuit on an experiment's prompts, NaN outside it.

    The gradient at the circuit alone has the wrong sign for strong edges into an MLP that they saturate.
    """
    effects = torch.full(mask.shape, torch.nan, dtype=torch.float64)
    effects[mask] = effects_by_prompt(experiment, mask).mean(0)
    return effects


def effects_by_prompt(experiment: Experiment, mask: Tensor) -> Tensor:
    """(N, E) effects of the E edges of a circuit on each prompt, in the order of ``mask.nonzero()``.

    Over the edges they add up to about what the circuit's metric on the prompt is above that of no edges.
    """
    effects = torch.zeros(len(experiment.task), int(mask.sum()), dtype=torch.float64)
    for step in range(STEPS):
        weights = mask.float() * (step + 0.5) / STEPS
        for rows, run in experiment.evaluator.run(weights, gradient=True):
            assert run.gradient is not None
            effects[rows] += run.gradient.cpu()[:, mask].double()
    return experiment.evaluator.sharing_prompts.filled(effects, mask) / STEPS
