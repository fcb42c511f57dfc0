"""``example_prompt``: a prompt for a circuit's figure, with the attention of the circuit's heads in it."""

from __future__ import annotations

from typing import Any, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.figures.example import ExamplePrompt
from circuitsearch.instruments import attention
from circuitsearch.page.tokens import token_texts
from circuitsearch.task import Task


def example_prompt(
    model: Any, task: Task, circuit: Circuit, *, tokenizer: Any = None, row: int = 0, **settings: Unpack[Settings]
) -> ExamplePrompt:
    """Run the model on one clean prompt, and record where the circuit's heads look.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Its prompts.
    circuit : Circuit
        The attention of its heads is recorded.
    tokenizer : optional
        Names the tokens; without it they are shown as ids.
    row : int
        Which prompt.
    **settings
        As for :class:`circuitsearch.Experiment`; by default those with which the circuit was found.

    Raises
    ------
    InputError
        If the circuit's graph is not the model's, or the model's attention cannot be read.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> task = cs.tasks.induction_tokens(tokenizer, n=4)
    >>> circuit = cs.top(cs.score(model, task, cs.EAP()), 10)
    >>> example = cs.example_prompt(model, task, circuit, tokenizer=tokenizer)
    >>> len(example.tokens) == len(task.clean[0])
    True
    """
    one = task.subset([row])
    heads = list(dict.fromkeys(name.partition("@")[0] for name in circuit.nodes if ".h" in name))
    found = attention(Experiment.of(model, one, circuit, **settings), one, heads) if heads else None
    patterns = {} if found is None else {head: found[head] for head in heads}
    (answer, *_) = token_texts(one.answers[0].tolist(), tokenizer)
    tokens = token_texts(one.clean[0].tolist(), tokenizer)
    kinds = frozenset(getattr(tokenizer, "all_special_ids", ()))
    special = frozenset(place for place, token in enumerate(one.clean[0].tolist()) if token in kinds)
    return ExamplePrompt(tokens, patterns, one.spans[0] if one.spans else {}, answer, one.position[0], special)
