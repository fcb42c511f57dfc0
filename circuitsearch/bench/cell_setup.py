"""All that the numbers of a cell depend on: a cell of another setup is another cell."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from circuitsearch.finding import Plan
from circuitsearch.setup import Setup, Spec

from .definition import Benchmark


class CellSetup(BaseModel):
    """The setup of the prompts that choose edges, with the method or search, and how the result is measured.

    Attributes
    ----------
    setup : Setup
        Of the selection: digests of weights and prompts, metric, ablation, granularity, method, seed, versions.
    stopping_sha256, held_out_sha256 : str
        Digests of the prompts that searches use to decide, and of those that the cell is measured on.
    n_held_out : int
        Number of the latter.
    faithfulness : float
        The target of searches.
    sizes : tuple of float
        Shares of the edges at which rankings are measured.
    agree_at : float
        The share whose strongest edges are compared over seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    setup: Setup
    stopping_sha256: str
    held_out_sha256: str
    n_held_out: int
    faithfulness: float
    sizes: tuple[float, ...]
    agree_at: float

    @classmethod
    def of(cls, plan: Plan, method: Any, benchmark: Benchmark) -> CellSetup:
        """Of a method or search on a plan's prompts."""
        held_out = plan.held_out.setup
        return cls(
            setup=plan.selection.setup.model_copy(update={"method": Spec.of(method)}),
            stopping_sha256=plan.stopping.setup.prompts_sha256,
            held_out_sha256=held_out.prompts_sha256,
            n_held_out=held_out.n,
            faithfulness=benchmark.faithfulness,
            sizes=tuple(benchmark.sizes),
            agree_at=benchmark.agree_at,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it, names and the prompts' own digests left out, versions of packages not."""
        content = self.model_dump(mode="json") | {"setup": self.setup.identity(), "versions": self.setup.versions}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def differences(self, other: CellSetup) -> list[str]:
        """In what two setups differ, each in a few words."""
        named = {"stopping_sha256": "stopping prompts", "held_out_sha256": "held-out prompts", "faithfulness": "target"}
        named |= {"sizes": "sizes", "agree_at": "agree_at"}
        others = [f"other {words}" for name, words in named.items() if getattr(self, name) != getattr(other, name)]
        packages = {**self.setup.versions, **other.setup.versions}
        changed = [
            f"{name} {other.setup.versions.get(name)}, not {self.setup.versions.get(name)}"
            for name in packages
            if self.setup.versions.get(name) != other.setup.versions.get(name)
        ]
        return [*self.setup.differences(other.setup), *others, *changed]
