"""What several processes compute together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

import circuitsearch as cs
from circuitsearch import saved_state
from circuitsearch.ablation import Mean
from circuitsearch.bench import benchmark
from circuitsearch.distributed import World, joined
from circuitsearch.engine.pair import Pair
from circuitsearch.methods import EAP, EAPIG, EdgePruning, Exact, Recheck
from circuitsearch.methods.acdc import acdc
from circuitsearch.methods.paths import direct_sweep
from circuitsearch.models.planted import induction_model, induction_task
from circuitsearch.progress import Progress
from circuitsearch.scores import Work
from tests.bench.conftest import asked
from tests.conftest import mixed_task, tiny_model

TASK = mixed_task()  # 9 prompts of two lengths that differ at three places
THRESHOLDS = (0.05, 0.3)


def of_prompts(world: World) -> dict[str, Tensor]:
    """Numbers of a random model: by prompts that are shared, and on one prompt by interventions that are shared."""
    experiment = cs.Experiment(tiny_model("gpt2"), TASK, Mean(), world=world)
    mask = experiment.graph.mask & (torch.rand(experiment.graph.mask.shape, generator=torch.manual_seed(0)) < 0.7)
    one = experiment.on(TASK.subset([4])).evaluator
    found = {
        "eap-ig": experiment.score(EAPIG(steps=2)).values,
        "edge pruning": experiment.score(EdgePruning(steps=3, prompts=4)).values,
        "recheck": experiment.score(Recheck(k=70)).values,
        "clean": experiment.evaluator.clean()[0],
        "alone": experiment.evaluator.metric_of(mask),
        "together": experiment.evaluator.circuits(torch.stack([mask, experiment.graph.mask]))[0],
        "one prompt": one.circuits(torch.stack([mask, ~mask, experiment.graph.mask]) & experiment.graph.mask)[0],
        "paths": direct_sweep(experiment, TASK, "logits").values,
    }
    return found | {f"acdc {level}": each.mask for level, each in acdc(experiment, TASK, THRESHOLDS).items()}


def of_search(world: World) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Exact effects, the circuit, and its report, of a model with a known circuit."""
    finding = cs.find(induction_model(), induction_task(48), method=Exact(), world=world, listeners=[])
    report = finding.report.to_dict()
    return {"exact": finding.scores.values, "circuit": finding.circuit.mask}, report


def results(world: World, folder: Path) -> None:
    """Compute all of it, and write what this process has then."""
    of_circuit, report = of_search(world)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: each.contiguous() for name, each in (of_prompts(world) | of_circuit).items()}, folder / "tensors")
    ran: list[str] = []
    rows = benchmark(
        asked(seeds=[0, 1]),
        folder.parent / f"bench-{world.size}",
        world=world,
        told=lambda cell, what: ran.append(str(cell)),
    ).rows()
    content = {"report": report, "ran": ran, "table": rows}
    (folder / "others.json").write_text(json.dumps(content))


def results_together(folder: Path) -> None:
    """The same in one of several processes."""
    with joined() as together:
        results(together, folder / f"rank-{together.rank}")


def eap_until(folder: Path, name: str, stop: float) -> None:
    """EAP, a prompt at once, in one of several processes that all end when so much is done; writes which prompts it has run."""
    saved_state.SECONDS = 0
    effects = EAP.effects

    def noted(self: EAP, pair: Pair, work: Work) -> Tensor:
        with (folder / f"{name}-prompts").open("a") as file:
            file.writelines(f"{row}\n" for row in pair.batch.rows.tolist())
        return effects(self, pair, work)

    EAP.effects = noted
    with joined() as together:
        experiment = cs.Experiment(tiny_model("gpt2"), TASK, memory=1, world=together)
        own = folder / f"{name}-{together.rank}"
        experiment.score("eap", journal=Path(f"{own}.journal"), progress=stop_at(stop)).save(own)


def stop_at(share: float) -> Progress:
    """Progress that ends the work when so much of it is done."""

    def progress(done: int, total: int) -> None:
        if done >= share * total:
            raise Stopped

    return progress


class Stopped(Exception):
    """As a kill: nothing is tidied up."""
