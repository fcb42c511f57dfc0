"""Names with knobs, read in every spelling; all else is refused in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.ablation import Mean, Resample
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import PROMPT, RATIO
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.knobs import Knobs
from circuitsearch.methods import EAP, EAPIG, Exact, Recheck, RelP
from circuitsearch.metrics import logit_diff
from circuitsearch.registry import ABLATIONS, CHECKS, FAITHFULNESS, GRANULARITIES, METHODS, METRICS, TASKS, Registry
from circuitsearch.setup import Spec


@dataclass(frozen=True)
class After(Knobs):
    """A method that holds another."""

    first: Any
    k: int = 200


REGISTRY = replace(METHODS, known={**METHODS.known, "here-after": "tests.test_registry:After"})


@pytest.mark.parametrize(
    ("registry", "text", "value"),
    [
        (METHODS, "EAP-IG", EAPIG()),
        (METHODS, "eap_ig", EAPIG()),
        (METHODS, "EAPIG(steps=10)", EAPIG(10)),
        (METHODS, " eap-ig( steps = 10 )", EAPIG(10)),
        (METHODS, "eap-ig(10)", EAPIG(10)),
        (METHODS, "recheck(first=relp, k=3)", Recheck(RelP(), 3)),
        (METHODS, "exact(edges=(('eap-ig', \"eap-ig\"),))", Exact((("eap-ig", "eap-ig"),))),
        (ABLATIONS, "Mean(over_positions=True)", Mean(over_positions=True)),
        (ABLATIONS, "mean-over-positions", Mean(over_positions=True)),
        (ABLATIONS, "RESAMPLE()", Resample()),
        (METRICS, "logit-diff", logit_diff),
        (TASKS, "Greater_Than", cs.tasks.greater_than),
        (GRANULARITIES, "Granularity(spans=('IO', 'END'))", Granularity(spans=("IO", "END"))),
        (GRANULARITIES, "heads-and-mlps", WHOLE),
        (FAITHFULNESS, "ratio", RATIO),
        (FAITHFULNESS, "Prompt", PROMPT),
        (REGISTRY, "here-after(first=eap-ig, k=3)", After(EAPIG(), 3)),
        (REGISTRY, "After(first=After(first=eap-ig(steps=5)), k=-3)", After(After(EAPIG(5)), -3)),
    ],
)
def test_every_spelling_reads(registry: Registry, text: str, value: Any):
    """Case, hyphens and underscores do not matter, knobs may hold others, and quotes are left alone."""
    assert registry.read(text) == value


def test_a_function_keeps_the_knobs_that_are_given():
    """A task with its number of prompts is that task."""
    _, tokenizer = cs.load("pico")
    assert len(TASKS.read("induction(n=4)")(tokenizer)) == 4


def test_a_value_comes_back_as_it_is():
    """From Python no text is needed."""
    method = EAPIG(3)
    assert METHODS.read(method) is method


@pytest.mark.parametrize(
    "registry", [METHODS, ABLATIONS, METRICS, TASKS, GRANULARITIES, FAITHFULNESS, CHECKS], ids=lambda each: each.kind
)
def test_everything_that_is_listed_is_there(registry: Registry):
    """Each name can be imported, and each is read back as itself."""
    for name in registry.names():
        assert registry.load(name) is not None and registry.canonical(name.upper()) == name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("eap-igg(steps=3)", "unknown method 'eap-igg': did you mean 'eap-ig'"),
        ("EAPIG(step=3)", "EAPIG has no knob 'step': did you mean 'steps'"),
        ("EAPIG(steps=1.5)", "EAPIG's steps must be an integer, not 1.5"),
        ("EAPIG(steps=True)", "EAPIG's steps must be an integer, not True"),
        ("EAPIG(steps='3')", "EAPIG's steps must be an integer, not '3'"),
        ("EAPIG(steps=0)", "at least 1, not 0"),
        ("EAPIG(3, steps=3)", "give each once, as name=value"),
        ("After(first=eap-igg())", "unknown method 'eap-igg'"),
        ("After(first=__import__('os'))", "unknown method '__import__'"),
        ("After(first=EAP)(k=3)", "cannot be understood"),
        ("After(first=EAP().effects)", "cannot be understood"),
        ("After(first=EAP.effects(pair=1))", "cannot be understood"),
        ("After(first=open)", "unknown method 'open'"),
        ("After(first=[EAP()])", "cannot be understood"),
        ("After(**{'first': 1})", "takes no knobs"),
        ("After()", "cannot be understood"),
        ("After(first=" * 80, "cannot be understood"),
        ("After(first=" * 9999, "more than 1000 characters"),
        ("", "cannot be understood"),
        ("EAP\0", "cannot be understood"),
        ("EAP(); EAP()", "cannot be understood"),
        ("Recheck(k=1e999)", "must be an integer, not inf"),
    ],
)
def test_all_else_is_refused(text: str, sentence: str):
    """In one sentence; nothing is evaluated but names and literals."""
    with pytest.raises(InputError, match=r"^[^\n]{1,300}$") as caught:
        REGISTRY.read(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (EAPIG, "must be a value, not a class: write EAPIG()"),
        (3, "3 is not a method: give a name such as 'EAPIG(steps=5)', or a value"),
        (None, "None is not a method"),
        (Mean(), "is not a method"),
    ],
)
def test_values_of_another_kind_are_refused(given: Any, sentence: str):
    """A class, a number, an ablation."""
    with pytest.raises(InputError) as caught:
        METHODS.read(given)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EAPIG(steps=1.5),  # pyright: ignore[reportArgumentType]
        lambda: Recheck(EAP),  # pyright: ignore[reportArgumentType]
        lambda: Recheck(EAP(), k="3"),  # pyright: ignore[reportArgumentType]
        lambda: Mean(over_positions=1),  # pyright: ignore[reportArgumentType]
        lambda: Mean(reference="ioi"),  # pyright: ignore[reportArgumentType]
        lambda: cs.GIM(temperature="hot"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_knobs_of_another_type_are_refused_from_python_too(make):
    """When the value is made, not when it is used."""
    with pytest.raises(InputError, match="must be"):
        make()


# ---- other packages


def entries(monkeypatch: pytest.MonkeyPatch, **points: str) -> Registry:
    """The methods, as if another package had these entry points."""
    found = [EntryPoint(name.replace("_", "-"), value, "circuitsearch.methods") for name, value in points.items()]
    monkeypatch.setattr("circuitsearch.registry.entry_points", lambda group: found)
    return replace(METHODS)


def test_another_package_adds_a_method(monkeypatch: pytest.MonkeyPatch):
    """By an entry point, under its name and its class's."""
    methods = entries(monkeypatch, here_after="tests.test_registry:After")
    assert methods.read("here-after(first=eap)") == After(EAP()) == methods.read("After(first=eap)")
    assert methods.names()[-1] == "here-after"


def test_another_package_cannot_take_a_name_of_our_own(monkeypatch: pytest.MonkeyPatch):
    """In any spelling; the sentence says whose it is."""
    with pytest.raises(InputError, match=r"EAPIG.*tests.test_registry:After"):
        entries(monkeypatch, EAPIG="tests.test_registry:After").read("eap")


def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch):
    """Only when its method is asked for."""
    methods = entries(monkeypatch, broken="no_such_package:Method")
    assert methods.read("eap") == EAP()
    with pytest.raises(InputError, match="'broken' of another package cannot be imported"):
        methods.read("broken")


# ---- as data


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (EAP(), "EAP()"),
        (Mean(), "Mean()"),
        (Mean(over_positions=True), "Mean(over_positions=True)"),
        (Recheck(EAPIG(3), 7), "Recheck(first=EAPIG(steps=3), k=7)"),
        (Exact((("embed", "m0<in>"),)), "Exact(edges=(('embed', 'm0<in>'),))"),
        (Granularity(spans=("IO",), neurons=(1, 2)), "Granularity(neurons=(1, 2), spans=('IO',))"),
    ],
    ids=repr,
)
def test_a_value_is_rebuilt_from_its_data_and_from_its_text(value: Any, text: str):
    """Through JSON, at any depth."""
    registry = GRANULARITIES if isinstance(value, Granularity) else ABLATIONS if isinstance(value, Mean) else METHODS
    spec = Spec.model_validate_json(Spec.of(value).model_dump_json())
    assert str(spec) == text and spec == Spec.of(value)
    assert registry.rebuild(spec) == value == registry.read(text)


def test_what_cannot_be_saved_is_refused():
    """A method that is no dataclass, or has a knob of no kind that JSON knows."""

    class Loose:
        pass

    with pytest.raises(InputError, match="make it a frozen dataclass"):
        Spec.of(Loose())
    with pytest.raises(InputError, match="make it a frozen dataclass"):
        Spec.of(After(Loose()))
