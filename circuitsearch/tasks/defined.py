"""Tasks that are definitions: those in the package's TOML files, and the user's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError, unknown
from circuitsearch.metrics import metric_name
from circuitsearch.task import Task

from .definition import Definition
from .selection import select
from .sentences import Sentences
from .writer import Writer

SUFFIX = ".toml"
FOLDER = Path(__file__).parent / "definitions"


@dataclass(frozen=True)
class Defined:
    """A task that a definition makes: called with a tokenizer, it gives the prompts.

    Attributes
    ----------
    definition : Definition
        Templates, slots, lists and counterfactuals.
    """

    definition: Definition

    def __post_init__(self) -> None:
        object.__setattr__(self, "__name__", self.definition.name)
        object.__setattr__(self, "__doc__", describe(self.definition))

    def __call__(self, tokenizer: Any, n: int = 256, seed: int = 0, counterfactual: str = "", order: str = "") -> Task:
        """Write the task's prompts.

        Parameters
        ----------
        tokenizer
            A Hugging Face tokenizer; words that are not one token are left out.
        n
            Number of prompts, at least 1.
        seed
            Seed of the prompts; the same seed gives the same task.
        counterfactual
            The name of a rule for the corrupt prompt; by default the first.
        order
            The name of an order of what is else shuffled.

        Raises
        ------
        InputError
            If the tokenizer leaves too few words or a name is unknown.
        """
        return self.writer(tokenizer, counterfactual, order).draw_by_group(n, seed)

    def writer(self, tokenizer: Any, counterfactual: str = "", order: str = "") -> Writer:
        """The writer of the task's prompts."""
        task = self.definition
        _check_name("counterfactual", task, counterfactual, list(task.counterfactuals))
        _check_name("order", task, order, task.orders)
        known, selection = select(task, tokenizer)
        rule = task.counterfactuals[counterfactual or next(iter(task.counterfactuals))]
        sentences = Sentences(task, known, rule, order)
        askable = {group: pools for group, pools in selection.by_group.items() if sentences.askable(pools)}
        if len(askable) < min(4, len(selection.by_group)):
            raise InputError(
                f"task {task.name}: too few of its words are single tokens in this tokenizer for prompts whose answers differ;"
                " use a tokenizer in which its words are single tokens"
            )
        name = "-".join(filter(None, (task.name, order, counterfactual)))
        return Writer(name, sentences, askable, tokenizer, task.metric, selection.words)


def _check_name(what: str, task: Definition, given: str, known: list[str]) -> None:
    if given and given not in known:
        raise InputError(f"task {task.name}: {unknown(what, given, known)}")


@cache
def builtin(name: str) -> Defined:
    """A task of the package."""
    return Defined(Definition.read(FOLDER / f"{name}{SUFFIX}"))


def names() -> list[str]:
    """The tasks of the package that are definitions."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def describe(task: Definition) -> str:
    """What the task is, its counterfactuals, metric, spans and paper, as a docstring."""
    source = task.source
    wrong = " ".join(task.wrong) or "the answers to the corrupt prompt"
    parts = [source.about, source.detail, "Counterfactuals\n---------------"]
    parts[-1] += "".join(f"\n{name}\n    {about}" for name, about in task.abouts.items())
    parts += [f"Answers\n-------\nright: {' '.join(task.answers)}; wrong: {wrong}; metric: {metric_name(task.metric)}"]
    parts += [f"References\n----------\n{source.paper}"] if source.paper else []
    parts += ["Baselines\n---------\n" + "\n".join(source.baselines)] if source.baselines else []
    return "\n\n".join(filter(None, parts))


def from_template(
    source: str | Path, tokenizer: Any, n: int = 256, seed: int = 0, counterfactual: str = "", order: str = ""
) -> Task:
    """Make a task from a TOML file of templates, slots, word lists and a counterfactual, or from its text.

    Parameters
    ----------
    source
        The file, or its text.
    tokenizer
        A Hugging Face tokenizer; words that are not one token where they stand are left out.
    n, seed
        Number of prompts, and their seed.
    counterfactual, order
        Names of a counterfactual and an order of the file; by default its first counterfactual and a random order.

    Returns
    -------
    Task
        With a span for each slot, groups that have no word or template in common, and a writer of new prompts.

    Raises
    ------
    InputError
        If the file is no definition, its parts do not fit, or the tokenizer leaves too few of its words.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> task = from_template('''
    ... name = "pronoun"
    ... about = "The pronoun that agrees with a name."
    ... answer = " {name.pronoun}"
    ... templates = ["So {name} is a good friend, isn't"]
    ... common = ["templates"]
    ... [lists]
    ... women = {shared = "women", constants = {pronoun = "she"}}
    ... men = {shared = "men", constants = {pronoun = "he"}}
    ... [slots]
    ... name = "women"
    ... other = "men"
    ... [counterfactuals]
    ... other_gender = "Replace('name', by='other')"
    ... ''', cs.load("pico")[1], n=8)
    >>> task, task.span_names
    (Task('pronoun', 8 examples, metric=logit_diff), ('name', 'END'))
    """
    return Defined(Definition.read(source))(tokenizer, n, seed, counterfactual, order)
