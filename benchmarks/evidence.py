"""All evidence on a model's circuits in one report.

    python -m benchmarks.evidence --model smollm2 --task ioi --task greater_than --out evidence

For each task: the circuit with the report of `find`, hypothesis tests, completeness, matched controls and worst prompts; its stability over disjoint
sets of prompts and over templates; whether its prompts are one mechanism; and at the end the specificity of the circuits. It is written to one page, and goes on
where it was stopped. Costs are processor time in plain Hugging Face forwards of a task's prompts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import circuitsearch as cs
from benchmarks.real import forward_seconds
from circuitsearch.pipeline import parts
from circuitsearch.replication import Find
from circuitsearch.replication.templates import has_factor

TESTS = (  # as few random edges and circuits as can be significant, on few prompts
    "HypothesisTests(edge_minimality=EdgeMinimality(count=66, prompts=4, edges=20),"
    " sufficiency=Sufficiency(count=45, prompts=4), partial_necessity=PartialNecessity(count=45, prompts=4))"
)
CHECKS = (
    TESTS,
    "Completeness(count=5, steps=3, tries=5, prompts=16)",
    "matched-circuits",
    "worst-prompts",
)


@dataclass(frozen=True)
class Study:
    """What is measured of one model.

    Parameters
    ----------
    model, tokenizer
        The model.
    name : str
        Its name.
    n : int
        Prompts of each task.
    searches : int
        Disjoint sets of prompts, and of templates.
    passes : int
        Of each search, at most.
    out : Path
        Where everything is kept.
    """

    model: Any
    tokenizer: Any
    name: str
    n: int
    searches: int
    passes: int
    out: Path

    def task(self, name: str) -> cs.Task:
        """The prompts of a task."""
        return getattr(cs.tasks, name)(self.tokenizer, n=self.n, seed=0)

    @property
    def refine(self) -> cs.Refine:
        """How every search is done."""
        return cs.Refine(passes=self.passes)

    def find(self, task: str) -> cs.Finding:
        """The circuit and its report."""
        with self._timed(f"{task}: circuit and report"):
            return cs.find(
                self.model, self.task(task), refine=self.refine, checks=CHECKS, tokenizer=self.tokenizer,
                out=self.out / task, listeners=[],
            )  # fmt: skip

    def stability(self, task: str) -> cs.Stability:
        """Of circuits on disjoint sets of prompts, and on disjoint sets of templates where the task has several."""
        prompts = self.task(task)
        templates = [cs.Templates(self.searches)] if has_factor(prompts, cs.Templates.factor) else []
        with self._timed(f"{task}: stability"):
            return cs.stability(
                self.model, prompts, vary=(cs.Parts(self.searches), *templates), discover=Find(self.refine),
                out=self.out / f"{task}-stability",
            )  # fmt: skip

    def report(self, tasks: list[str]) -> Iterator[str]:
        """The page, section by section."""
        yield f"# Evidence on {self.name}: {', '.join(tasks)}"
        circuits: dict[str, cs.Circuit] = {}
        for task in tasks:
            found = self.find(task)
            circuits[task] = found.circuit
            yield f"## {task}: the circuit\n\n{_verbatim(found.report)}"
        yield f"## Specificity\n\n{self._specificity(circuits)}"
        for task in tasks:
            yield f"## {task}: mechanisms\n\n{self._mechanisms(task)}"
        for task in tasks:
            yield f"## {task}: stability\n\n{_verbatim(self.stability(task))}"
        yield f"## Cost\n\n{self._costs(tasks)}"

    def _specificity(self, circuits: dict[str, cs.Circuit]) -> str:
        held_out = {name: parts(self.task(name), 0)[2] for name in circuits}
        return self._kept("specificity", lambda: cs.specificity(self.model, circuits, held_out).to_markdown())

    def _mechanisms(self, task: str) -> str:
        few = self.task(task).subset(range(min(self.n, 48)))
        return self._kept(
            f"{task}-mechanisms", lambda: _verbatim(cs.mechanisms(self.model, few, refine=cs.Refine(passes=4)))
        )

    def _kept(self, name: str, make: Any) -> str:
        """A text that is written once."""
        path = self.out / f"{name}.md"
        if not path.exists():
            with self._timed(name.replace("-", ": ")):
                path.write_text(make(), encoding="utf-8")
        return path.read_text(encoding="utf-8")

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Adds the processor seconds of a stage to those that it took before it was stopped."""
        began = time.process_time()
        try:
            yield
        finally:
            spent = self._spent()
            spent[stage] = spent.get(stage, 0) + time.process_time() - began
            self._costs_file.write_text(json.dumps(spent, indent=1), encoding="utf-8")

    @property
    def _costs_file(self) -> Path:
        return self.out / "seconds.json"

    def _spent(self) -> dict[str, float]:
        return json.loads(self._costs_file.read_text(encoding="utf-8")) if self._costs_file.exists() else {}

    def _costs(self, tasks: list[str]) -> str:
        """A row for each stage; a forward is one of the first task's prompts where a stage is about all."""
        forward = {name: forward_seconds(self.model, self.task(name)) for name in tasks}
        rows = ["| stage | forwards |", "|---|--:|"]
        for stage, seconds in self._spent().items():
            per = forward.get(stage.split(":")[0], forward[tasks[0]])
            rows.append(f"| {stage} | {seconds / per:.0f} |")
        return "\n".join(rows)


def _verbatim(value: object) -> str:
    return f"```\n{value}\n```"


def main() -> None:
    """Write the page as far as it goes, section by section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--passes", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("evidence"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    model, tokenizer = cs.load(asked.model)
    study = Study(model, tokenizer, Path(asked.model).name, asked.n, asked.searches, asked.passes, asked.out)
    sections: list[str] = []
    for section in study.report(asked.task or ["ioi", "greater_than"]):
        sections.append(section)
        (asked.out / "evidence.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
        print(section, flush=True)


if __name__ == "__main__":
    main()
