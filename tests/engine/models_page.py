"""The page of families, written by the battery from what it measured."""

from __future__ import annotations

import datetime
import importlib.metadata
from dataclasses import dataclass, field

from circuitsearch.models.families import FAMILIES, REFUSED

CHECKS = {  # in the order of the page's columns
    "writers": "the writers sum to the stream at every port: the logits of the plain sum are the model's own",
    "full": "the full circuit is the clean run, the empty circuit the corrupt run",
    "circuits": "random circuits in one joint batch after a shared prefix, against one plain run for each prompt",
    "exact": "exact effects by replay, against plain runs with the edge ablated",
    "slope": "EAP's scores, against finite differences, relative",
    **{
        name: f"a model in {name} as `from_pretrained` gives it: the full circuit's logits against its own, of the largest"
        for name in ("float64", "float32", "bfloat16")
    },
}


@dataclass
class Measurements:
    """Largest difference of each check on each family, and what was tried."""

    largest: dict[tuple[str, str], float] = field(default_factory=dict)
    variants: dict[str, set[str]] = field(default_factory=dict)
    parts: dict[str, set[str]] = field(default_factory=dict)

    def add(self, family: str, variant: str, kinds: set[str], check: str, difference: float) -> None:
        """Take one measurement of a tiny model."""
        self.largest[family, check] = max(difference, self.largest.get((family, check), 0.0))
        self.variants.setdefault(family, set()).add(variant)
        self.parts.setdefault(family, set()).update(kinds)

    def page(self) -> str:
        """The whole page as Markdown."""
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch"))
        head = HEAD.format(n=len(self.variants), date=datetime.date.today().isoformat(), versions=versions)
        checks = "\n".join(f"- **{name}**: {what}" for name, what in CHECKS.items())
        columns = ["family", "read as", "tiny models tried", *CHECKS]
        rows = [_row(columns), _row(["---"] * len(columns)), *map(self._family, sorted(self.variants))]
        refused = [_row(["family", "why it is refused"]), _row(["---", "---"])]
        refused += [_row([f"`{family}`", reason]) for family, reason in sorted(REFUSED.items())]
        return "\n".join([head, checks, "", *rows, "", TAIL, *refused]) + "\n"

    def _family(self, family: str) -> str:
        kinds = " + ".join(sorted(self.parts[family]))
        tried = ", ".join(sorted(self.variants[family]))
        found = [self.largest.get((family, check)) for check in CHECKS]
        return _row([f"`{family}`", kinds, tried, *("" if value is None else f"{value:.0e}" for value in found)])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def complete(found: Measurements) -> bool:
    """Whether every family was measured."""
    return set(found.variants) == set(FAMILIES)


HEAD = """# Model families

{n} families are supported without conversion, each by a row that names its modules and nothing else. This page is written by the tests that
check them, on tiny random models (`pytest tests/engine/test_architectures.py -m "slow or not slow" -n 0 --models-page docs/models.md`),
last on {date} with {versions}. ([How a model is named and loaded](loading.md).) Numbers are the largest differences found over all models of a family:
"""
TAIL = """Parts: **heads**, attention with a node for each head, with keys and values in the model's own groups; **mlp**, an MLP or a whole
mixture of experts; **mixer**, one node that moves information between positions: Mamba, RWKV, linear attention, and, with
`Granularity(merged_heads=True)`, attention whose heads cannot be separated. Every model is verified again when it is loaded.

Most families compute norms, rotary angles and softmax in float32 whatever the model's dtype. For the first five columns the tests keep
them in float64 (`tests/exact.py`), so that an error in the engine cannot be mistaken for rounding. Your own model is not changed: in
float64 its results agree with another order of additions up to float32's rounding, and verification allows the rounding of the narrowest dtype
in which the model itself computes. The last three columns are of such models. A model may overflow in float16; the error then says so.

No other family is supported. For these the error gives the reason:
"""
