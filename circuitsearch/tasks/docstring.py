"""Docstring arguments: the next ":param" of a Python docstring names the next argument of the signature."""

from __future__ import annotations

from random import Random
from string import ascii_uppercase
from typing import Any

from circuitsearch.metrics import logit_diff
from circuitsearch.task import Example, Task

from .sample import Sampler, distinct, fill
from .words import ARGUMENTS, GROUPS, THINGS, deal, usable

MARKS = [":param", ":arg", "@param", ":parameter"]
"""How a docstring introduces an argument: the template of each group."""

Layout = tuple[int, int]
"""Number of arguments in the signature, and how many of them are already documented."""


def docstring(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    '''Docstring arguments, as in ``def port(self, load, size, files, last): """... :param load: ... :param``.

    The signature has four arguments, two are documented, the third is the answer. The corrupt prompt has other argument
    names, and different ones in signature and docstring (the paper's random names in both), so that the next argument
    cannot be inferred. The wrong answers are the other three arguments of the signature.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer; words that are not one token are left out.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: logit of the right argument minus mean logit of the wrong ones. Spans: ``A_def``, ``B_def`` ...,
        the arguments in the signature (``C_def`` is the right one), ``A_doc``, ``B_doc`` in the docstring, ``END``.

    References
    ----------
    Heimersheim and Janiak, A Circuit for Python Docstrings in a 4-layer Attention-Only Transformer, 2023.
    '''
    examples = distinct("docstring", sampler(tokenizer, GROUPS), GROUPS, n, seed)
    return Task.from_examples("docstring", examples, tokenizer, metric=logit_diff)


def sampler(tokenizer: Any, groups: int, layouts: tuple[Layout, ...] = ((4, 2),)) -> Sampler:
    """The function that writes one example with the argument names, words and mark of a group."""
    most = max(arguments + arguments + documented for arguments, documented in layouts)
    arguments = deal(usable(ARGUMENTS, tokenizer, "docstring", "argument names", most * groups), groups)
    things = deal(usable(THINGS, tokenizer, "docstring", "words", 2 * groups), groups)
    marks = deal(MARKS, groups)

    def write(random: Random, group: int) -> Example:
        size, documented = random.choice(layouts)
        mark = random.choice(marks[group])
        words = random.choices(things[group], k=4 + 2 * documented)
        names = random.sample(arguments[group], 2 * size + documented)
        clean, other, stray = names[:size], names[size : 2 * size], names[2 * size :]
        defined, described = (
            {f"{letter}_{where}": name for letter, name in zip(ascii_uppercase, names, strict=False)}
            for where, names in (("def", clean), ("doc", clean[:documented]))
        )
        places = [f"{{{place}}}" for place in defined], [f"{{{place}}}" for place in described]
        text, spans = fill(function(mark, words, *places), {**defined, **described})
        return Example(
            clean=text,
            corrupt=function(mark, words, other, stray),
            answers=(f" {clean[documented]}",),
            wrong=tuple(f" {name}" for name in clean if name != clean[documented]),
            group=group,
            spans={place: spans[place] for place in (*defined, *described)},
        )

    return write


def function(mark: str, words: list[str], signature: list[str], documented: list[str]) -> str:
    """A function's head and the beginning of its docstring, up to the mark of the next argument."""
    title = " ".join(words[1:4])
    lines = [f"def {words[0]}(self, {', '.join(signature)}):", f'    """ {title}', ""]
    for name, first, second in zip(documented, words[4::2], words[5::2], strict=True):
        lines.append(f"    {mark} {name}: {first} {second}")
    return "\n".join([*lines, f"    {mark}"])
