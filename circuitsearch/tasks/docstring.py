"""Docstring arguments: the next ":param" of a Python docstring names the next argument of the signature."""

from __future__ import annotations

from functools import partial
from random import Random
from string import ascii_uppercase
from typing import Any

from circuitsearch.example import Example
from circuitsearch.task import Task

from .pools import Pool, Pools, select
from .template import fill
from .words import ARGUMENTS, THINGS
from .writer import Writer

MARKS = [":param", ":arg", "@param", ":parameter", "@arg", "@parameter"]
"""How a docstring introduces an argument."""
TEMPLATES = [
    f"def {{name}}(self, {{signature}}):\n    {quotes} {{title}}\n{{documented}}\n    {mark}"
    for quotes in ('"""', "'''")
    for mark in MARKS
]
"""A method's head and the beginning of its docstring."""

Layout = tuple[int, int]
"""Number of arguments in the signature, and how many of them are already documented."""


def docstring(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    '''Docstring arguments, as in ``def port(self, load, size, files, last): """... :param load: ... :param``.

    The signature has four arguments, two are documented, the third is the answer; wrong are the other three.

    Counterfactual: other argument names, and different ones in signature and docstring (the paper's random names in both), so
    that the next argument cannot be inferred. Metric: logit of the right argument minus mean logit of the wrong ones. Spans:
    ``A_def``, ``B_def`` ..., the arguments in the signature (``C_def`` is the right one), ``A_doc``, ``B_doc`` in the docstring,
    ``END``.

    References
    ----------
    Heimersheim and Janiak, A Circuit for Python Docstrings in a 4-layer Attention-Only Transformer, 2023.
    '''
    return writer(tokenizer).draw_by_group(n, seed)


def writer(tokenizer: Any, layouts: tuple[Layout, ...] = ((4, 2),)) -> Writer:
    """The writer of the task, with any of these layouts."""
    most = max(2 * size + documented for size, documented in layouts)
    pools = [Pool("names", "argument names", ARGUMENTS, most), Pool("words", "words", THINGS, 2)]
    chosen = select("docstring", tokenizer, pools, [TEMPLATES])
    return Writer("docstring", partial(write, layouts), chosen.by_group, tokenizer, words=chosen.words)


def write(layouts: tuple[Layout, ...], random: Random, pools: Pools) -> Example:
    """One example, with other arguments in the corrupt prompt's signature, and again others in its docstring."""
    size, documented = random.choice(layouts)
    template = random.choice(pools["templates"])
    words = random.choices(pools["words"], k=4 + 2 * documented)
    names = random.sample(pools["names"], 2 * size + documented)
    clean, other, stray = names[:size], names[size : 2 * size], names[2 * size :]
    defined, described = (
        {f"{letter}_{where}": name for letter, name in zip(ascii_uppercase, names, strict=False)}
        for where, names in (("def", clean), ("doc", clean[:documented]))
    )
    places = [f"{{{place}}}" for place in defined], [f"{{{place}}}" for place in described]
    text, spans = fill(function(template, words, *places), {**defined, **described})
    return Example(
        clean=text,
        corrupt=function(template, words, other, stray),
        answers=(f" {clean[documented]}",),
        wrong=tuple(f" {name}" for name in clean if name != clean[documented]),
        spans={place: spans[place] for place in (*defined, *described)},
        factors={"names": tuple(names), "words": tuple(words), "templates": (template,)},
    )


def function(template: str, words: list[str], signature: list[str], documented: list[str]) -> str:
    """A function's head and the beginning of its docstring, up to the mark of the next argument."""
    mark = template.split()[-1]
    about = zip(documented, words[4::2], words[5::2], strict=True)
    return template.format(
        name=words[0],
        signature=", ".join(signature),
        title=" ".join(words[1:4]),
        documented="".join(f"\n    {mark} {name}: {first} {second}" for name, first, second in about),
    )
