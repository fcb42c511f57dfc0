"""Registries of methods, ablations, metrics, tasks, checks, searches, variations, granularities and formats, and the parser of their names.

A registry lists names and where each is defined, as ``"package.module:attribute"``: those of this package here, those of
other packages by their entry points (groups ``circuitsearch.methods``, ``.ablations``, ``.metrics``, ``.tasks``, ``.checks``,
``.variations``, ``.formats``). Each is
imported when it is first used.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from circuitsearch.errors import InputError, nearest, shortened, unknown
from circuitsearch.knobs import in_words

LONGEST = 1000  # characters of a text that is parsed
_PACKAGE = "circuitsearch"


@dataclass(frozen=True)
class Registry:
    """All values of one kind that have names.

    Attributes
    ----------
    kind : str
        The kind, for messages: ``"method"``.
    known : mapping
        From each name to where it is defined.
    usable : callable
        Whether a value is one of the kind.
    example : str
        A correct spelling, for messages.
    plain_texts : bool
        Whether a knob's value may be a text without quotation marks, as in ``ioi(counterfactual=s2_flip)``.
    """

    kind: str
    known: Mapping[str, str]
    usable: Callable[[Any], bool]
    example: str
    plain_texts: bool = False

    def read(self, given: Any) -> Any:
        """Read a name with knobs, in any spelling; a value of the kind is returned as it is.

        Raises
        ------
        InputError
            If the name or a knob is unknown (the message gives the nearest), a knob's value is wrong, or a class is given in place of
            a value.

        Examples
        --------
        >>> METHODS.read("EAP-IG"), METHODS.read("eap_ig(steps=10)"), METHODS.read("Recheck(first=RelP(), k=50)")
        (EAPIG(steps=5), EAPIG(steps=10), Recheck(first=RelP(), k=50))
        >>> METRICS.read("logit-dif")
        Traceback (most recent call last):
        circuitsearch.errors.InputError: unknown metric 'logit-dif': did you mean 'logit_diff'? Known: logit_diff, prob_diff, log_likelihood, answer_log_prob, neg_kl, accuracy, top1.
        """
        if isinstance(given, str):
            return self._parsed(given.strip())
        if isinstance(given, type):
            raise InputError(f"the {self.kind} must be a value, not a class: write {given.__name__}()")
        if not self.usable(given):
            text = shortened(repr(given), 60)
            raise InputError(f"{text} is not a {self.kind}: give a name such as {self.example!r}, or a value")
        return given

    def rebuild(self, spec: Any) -> Any:
        """Build a value from its :class:`circuitsearch.setup.Spec`."""
        return self._rebuilt({"name": spec.name, "knobs": spec.knobs})

    def in_words(self, spec: Any) -> str:
        """A recorded value in words, without tasks and tensors, of which only digests are kept; as it is written if it has no words, empty if there is none."""
        if spec is None:
            return ""
        try:
            return in_words(self._rebuilt({"name": spec.name, "knobs": _without_digests(spec.knobs)}))
        except InputError:  # of another package, which is not installed here
            return str(spec)

    def text_in_words(self, text: str) -> str:
        """The same of a value as it is written; as it is, if it cannot be read.

        Examples
        --------
        >>> METHODS.text_in_words("EAPIG(steps=5)"), METHODS.text_in_words("of another program")
        ('integrated gradients, 5 steps', 'of another program')
        """
        try:
            return in_words(self.read(text))
        except InputError:
            return text

    def _rebuilt(self, data: Any) -> Any:
        if isinstance(data, list):
            return tuple(map(self._rebuilt, data))
        if not isinstance(data, dict):
            return data
        made, knobs = self.load(data["name"]), {name: self._rebuilt(knob) for name, knob in data["knobs"].items()}
        _check_knobs(made, data["name"], [], knobs)
        return made(**knobs)

    def names(self) -> list[str]:
        """All names, the package's own first."""
        return list(self._places)

    def load(self, name: str) -> Any:
        """Import what a name refers to; :class:`InputError` if it is unknown or cannot be imported."""
        return self._load(self.canonical(name))

    def knows(self, name: str) -> bool:
        """Whether the name is known."""
        return _bare(name) in self._spellings

    def names_one(self, text: str) -> bool:
        """Whether a text is a known name, with knobs or without."""
        return self.knows(text.partition("(")[0].strip())

    def canonical(self, name: str) -> str:
        """The listed name, from any spelling; :class:`InputError` if it is unknown."""
        if not self.knows(name):
            raise unknown(self.kind, name, self._places)
        return self._spellings[_bare(name)]

    # ---- from text to a value

    def _parsed(self, text: str) -> Any:
        if len(text) > LONGEST:
            raise InputError(f"the {self.kind} {shortened(text, 40)!r} has more than {LONGEST} characters")
        try:
            return self._build(ast.parse(_as_identifiers(text), mode="eval").body, text)
        except InputError:
            raise
        except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
            raise InputError(
                f"the {self.kind} {shortened(text)!r} cannot be understood ({shortened(error)}): write it as {self.example!r}"
            ) from None

    def _build(self, tree: ast.expr, text: str) -> Any:
        """Build ``name(knob=value, ...)``; a name alone has the default knobs; a function with knobs becomes a partial."""
        call = tree if isinstance(tree, ast.Call) else None
        name = tree if call is None else call.func
        if not isinstance(name, ast.Name):
            raise ValueError("it must begin with a name")
        spelled = ast.get_source_segment(text, name) or name.id
        made = self.load(spelled)
        if call is None:
            return made() if isinstance(made, type) else made
        if not callable(made) or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError(f"{spelled} takes no knobs")
        given = [self._value(each, text) for each in call.args]
        knobs = {str(keyword.arg): self._value(keyword.value, text) for keyword in call.keywords}
        _check_knobs(made, spelled, given, knobs)
        return made(*given, **knobs) if isinstance(made, type) else partial(made, *given, **knobs)

    def _value(self, tree: ast.expr, text: str) -> Any:
        """A knob's value: another value of this kind, a tuple of such, or a literal. Nothing is evaluated."""
        if isinstance(tree, ast.Tuple):
            return tuple(self._value(each, text) for each in tree.elts)
        if isinstance(tree, ast.Name) and self.plain_texts:
            return tree.id
        return self._build(tree, text) if isinstance(tree, ast.Call | ast.Name) else ast.literal_eval(tree)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        """From a name, or that of its class, without case, hyphens and underscores, to the listed name."""
        of_classes = {_bare(place.rpartition(":")[2]): listed for listed, place in reversed(self._places.items())}
        return of_classes | {_bare(listed): listed for listed in self._places}

    def _load(self, listed: str) -> Any:
        module, _, attribute = self._places[listed].partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            if module.startswith(_PACKAGE):
                raise
            raise InputError(
                f"the {self.kind} {listed!r} of another package cannot be imported ({shortened(error, 80)}):"
                f" repair or uninstall the package of {module}"
            ) from None

    @cached_property
    def _places(self) -> dict[str, str]:
        """From each name to where it is defined; other packages cannot use names of this package."""
        others = {point.name: point.value for point in entry_points(group=f"{_PACKAGE}.{self.kind}s")}
        taken = {_bare(name) for name in self.known} & {_bare(name) for name in others}
        if taken:
            twice = next(name for name in others if _bare(name) in taken)
            raise InputError(
                f"another package registers a {self.kind} {twice!r} ({others[twice]}), which is a name of {_PACKAGE} itself:"
                " uninstall that package, or ask its authors to rename it"
            )
        return {**self.known, **others}


def _without_digests(knobs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: knob for name, knob in knobs.items() if not (isinstance(knob, dict) and "sha256" in knob)}


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _as_identifiers(text: str) -> str:
    """Make the hyphens of names such as ``eap-ig`` underscores; quoted texts do not change."""
    names_and_quotes = r"'[^']*'|\"[^\"]*\"|[A-Za-z]\w*(?:-[A-Za-z]\w*)+"
    return re.sub(
        names_and_quotes, lambda found: found[0] if found[0][0] in "'\"" else found[0].replace("-", "_"), text
    )


def _check_knobs(made: Any, name: str, given: list[Any], knobs: dict[str, Any]) -> None:
    """Raise an InputError that names the nearest knob unless ``made`` takes these."""
    known = list(inspect.signature(made).parameters)
    strange = next((knob for knob in knobs if knob not in known), None)
    if strange is not None:
        raise InputError(
            f"{name} has no knob {shortened(strange, 40)!r}:{nearest(strange, known)} It takes {', '.join(known) or 'none'}."
        )
    if len(given) > len(known) or set(known[: len(given)]) & set(knobs):
        raise InputError(f"{name} takes {', '.join(known) or 'no knobs'}: give each once, as name=value")


# ---- the registries


def _has(attribute: str) -> Callable[[Any], bool]:
    return lambda value: hasattr(value, attribute)


METHODS = Registry(
    "method",
    {
        "eap": "circuitsearch.methods.eap:EAP",
        "eap-ig": "circuitsearch.methods.eap:EAPIG",
        "eap-ig-activations": "circuitsearch.methods.eap:EAPIGActivations",
        "clean-corrupt": "circuitsearch.methods.eap:CleanCorrupt",
        "conductance": "circuitsearch.methods.conductance:Conductance",
        "relp": "circuitsearch.methods.relp:RelP",
        "gim": "circuitsearch.methods.gim:GIM",
        "qk-fix": "circuitsearch.methods.atp:QKFix",
        "exact": "circuitsearch.methods.exact:Exact",
        "recheck": "circuitsearch.methods.recheck:Recheck",
        "matryoshka": "circuitsearch.methods.matryoshka:Matryoshka",
        "edge-pruning": "circuitsearch.methods.edge_pruning:EdgePruning",
        "ensemble": "circuitsearch.methods.ensemble:Ensemble",
    },
    lambda value: any(hasattr(value, name) for name in ("effects", "second", "rank")),
    "EAPIG(steps=5)",
)
ABLATIONS = Registry(
    "ablation",
    {
        "resample": "circuitsearch.ablation:Resample",
        "mean": "circuitsearch.ablation:Mean",
        "mean-over-positions": "circuitsearch.ablation:MEAN_OVER_POSITIONS",
        "zero": "circuitsearch.ablation:Zero",
    },
    _has("fit"),
    "mean(over_positions=True)",
)
METRICS = Registry(
    "metric",
    {
        name: f"circuitsearch.metrics:{name}"
        for name in ("logit_diff", "prob_diff", "log_likelihood", "answer_log_prob", "neg_kl", "accuracy", "top1")
    },
    callable,
    "logit_diff",
)
TASKS = Registry(
    "task",
    {
        name: f"circuitsearch.tasks:{name}"
        for name in (
            "ioi", "induction", "greater_than", "gendered_pronoun", "docstring", "country_facts", "agreement",
            "induction_tokens", "induction_text", "greater_than_price", "greater_than_sequence", "gender_bias",
            "agreement_simple", "agreement_relative", "hypernymy", "colored_objects", "sports", "copy_suppression", "acronyms",
            "multiple_choice", "addition", "subtraction", "arc", "entity_binding",
        )
    },
    callable,
    "ioi(counterfactual=s2_flip)",
    plain_texts=True,
)  # fmt: skip
CHECKS = Registry(
    "check",
    {
        "metric-means": "circuitsearch.validation.checks:MetricMeans",
        "ratio": "circuitsearch.validation.checks:Ratio",
        "per-prompt": "circuitsearch.validation.checks:PerPrompt",
        "new-prompts": "circuitsearch.validation.checks:NewPrompts",
        "kl": "circuitsearch.validation.checks:KL",
        "accuracy": "circuitsearch.validation.checks:Accuracy",
        "accuracy-kept": "circuitsearch.validation.checks:AccuracyKept",
        "random-circuits": "circuitsearch.validation.checks:RandomCircuits",
        "matched-circuits": "circuitsearch.validation.checks:MatchedCircuits",
        "worst-prompts": "circuitsearch.validation.checks:WorstPrompts",
        "size-curve": "circuitsearch.validation.checks:SizeCurve",
        "minimality": "circuitsearch.validation.checks:Minimality",
        "redundant": "circuitsearch.validation.checks:Redundant",
        "hypothesis-tests": "circuitsearch.validation.checks:HypothesisTests",
        "equivalence": "circuitsearch.validation.checks:Equivalence",
        "independence": "circuitsearch.validation.checks:Independence",
        "edge-minimality": "circuitsearch.validation.checks:EdgeMinimality",
        "sufficiency": "circuitsearch.validation.checks:Sufficiency",
        "partial-necessity": "circuitsearch.validation.checks:PartialNecessity",
        "completeness": "circuitsearch.validation.checks:Completeness",
        "certified-edges": "circuitsearch.validation.checks:CertifiedEdges",
        "subsets": "circuitsearch.validation.checks:Subsets",
        "conventions": "circuitsearch.validation.checks:Conventions",
    },
    _has("measure"),
    "RandomCircuits(count=100)",
)
VARIATIONS = Registry(
    "variation",
    {
        "resamples": "circuitsearch.replication.samples:Resamples",
        "parts": "circuitsearch.replication.samples:Parts",
        "seeds": "circuitsearch.replication.samples:Seeds",
        "templates": "circuitsearch.replication.templates:Templates",
        "targets": "circuitsearch.replication.settings:Targets",
        "methods": "circuitsearch.replication.settings:Methods",
    },
    _has("configurations"),
    "Parts(count=4)",
)
SEARCHES = Registry(
    "search",
    {
        "find": "circuitsearch.bench.searches:Find",
        "minimal": "circuitsearch.bench.searches:Minimal",
    },
    _has("circuit"),
    "find(passes=6)",
)
FAITHFULNESS = Registry(
    "faithfulness",
    {"ratio": "circuitsearch.faithfulness:RATIO", "prompt": "circuitsearch.faithfulness:PROMPT"},
    _has("estimate"),
    "ratio",
)
ALIGNMENTS = Registry(
    "alignment",
    {name: f"circuitsearch.alignment:{name.capitalize()}" for name in ("error", "drop", "span")},
    _has("align"),
    "span",
)
GRANULARITIES = Registry(
    "granularity",
    {"heads-and-mlps": "circuitsearch.granularity:WHOLE", "granularity": "circuitsearch.graph:Granularity"},
    _has("merged_heads"),
    "Granularity(spans=('IO', 'END'))",
)
FORMATS = Registry(
    "format",
    {
        "circuitsearch": "circuitsearch.formats.targets:CircuitFile",
        "eap-ig": "circuitsearch.formats.targets:EAPGraph",
        "edge-pruning": "circuitsearch.formats.targets:EdgePruningEdges",
        "neuronpedia": "circuitsearch.formats.targets:AttributionGraph",
        "mib": "circuitsearch.formats.targets:MIBFolder",
    },
    _has("write"),
    "eap-ig(d_model=768)",
)
