"""What auto-circuit finds: mask gradients, ACDC and subnetwork probing.

    FOLDER/auto-circuit/bin/python benchmarks/peers/side_by_side_auto_circuit.py CASE...

The settings are those of its own list of algorithms (``auto_circuit.prune_algos.prune_algos``), where it has some: EAP as the mask gradient at 0 of
the logit difference, integrated edge gradients with 50 samples, subnetwork probing with learning rate 0.1 and lambda 0.5, of edges with 200 epochs. Its
list has 2,000 for tree probing, which here has as many as the other. ACDC runs once a threshold, with the default divergence; each run gives one circuit.

One thing is replaced: it makes its optimizer as ``torch.optim.adam.Adam``, and ``torch.optim`` has had no attribute ``adam`` for some versions.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # read when the package is imported

import side_by_side_shared as shared
import torch
from auto_circuit.data import PromptDataLoader, PromptDataset  # pyright: ignore[reportMissingImports]
from auto_circuit.prune_algos.ACDC import acdc_prune_scores  # pyright: ignore[reportMissingImports]
from auto_circuit.prune_algos.mask_gradient import mask_gradient_prune_scores  # pyright: ignore[reportMissingImports]
from auto_circuit.prune_algos.subnetwork_probing import (  # pyright: ignore[reportMissingImports]
    subnetwork_probing_prune_scores,
)
from auto_circuit.utils.graph_utils import patchable_model  # pyright: ignore[reportMissingImports]
from side_by_side_hooked import check_name, hooked

torch.optim.adam = sys.modules[torch.optim.Adam.__module__]  # pyright: ignore[reportAttributeAccessIssue]

VERSIONS = ("auto-circuit", "transformer-lens", "numpy", "pandas")
METHODS = ["mask gradient", "integrated mask gradient", "subnetwork edge probing", "subnetwork tree probing", "ACDC"]
THRESHOLDS = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
GRADIENT = {"grad_function": "logit", "answer_function": "avg_diff"}
PROBING = {"learning_rate": 0.1, "regularize_lambda": 0.5, "mask_fn": "hard_concrete"}


def prompts_of(case: shared.Case, batch: int) -> Any:
    """The prompts in batches of this size, or in one; ACDC takes the first alone."""
    pairs = PromptDataset(case.clean, case.corrupt, case.answers("answer_id"), case.answers("wrong_id"))
    return PromptDataLoader(pairs, seq_len=None, diverge_idx=0, batch_size=batch or len(case.rows), shuffle=False)


def masked(case: shared.Case, plain: Any) -> Any:
    """The model with a mask on every edge; frozen, as the package's own loader leaves it."""
    model = hooked(case, plain).requires_grad_(False)
    return patchable_model(model, factorized=True, slice_output="last_seq", separate_qkv=True)


def named(model: Any, scores: dict[str, torch.Tensor]) -> dict[str, float]:
    """Every edge's score by the package's name of the edge."""
    return {edge.name: float(edge.prune_score(scores)) for edge in model.edges}


def rankings(epochs: int) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Methods that score every edge, with their settings."""
    probing = PROBING | {"epochs": epochs}
    return {
        "mask gradient": (mask_gradient_prune_scores, GRADIENT | {"mask_val": 0.0}),
        "integrated mask gradient": (mask_gradient_prune_scores, GRADIENT | {"integrated_grad_samples": 50}),
        "subnetwork edge probing": (subnetwork_probing_prune_scores, probing | {"tree_optimisation": False}),
        "subnetwork tree probing": (subnetwork_probing_prune_scores, probing | {"tree_optimisation": True}),
    }


def acdc(model: Any, prompts: Any, threshold: float) -> list[str]:
    """The edges that one threshold leaves."""
    scores = named(model, acdc_prune_scores(model, prompts, None, tao_exps=[0], tao_bases=[threshold]))
    return [name for name, score in scores.items() if score == float("inf")]


def find(case: shared.Case, given: argparse.Namespace) -> None:
    """Every method on one case."""
    plain = case.model()
    with shared.refusals(case, "auto-circuit by name"):
        check_name(case, plain)
    clock, model, prompts = shared.Clock(plain, case.clean), masked(case, plain), prompts_of(case, given.batch[0])
    about = {"package": "auto-circuit", "versions": shared.versions(*VERSIONS)}
    for method, (score, settings) in rankings(given.epochs[0]).items():
        name = f"auto-circuit {method}"
        with shared.refusals(case, name):
            if method in given.methods:
                scores, cost = clock.cost(partial(score, model, prompts, None, **settings))
                shared.write(
                    case, name, "scores", named(model, scores), method=method, settings=settings, cost=cost, **about
                )
    for threshold in given.thresholds if "ACDC" in given.methods else ():
        name, settings = f"auto-circuit ACDC {threshold:g}", {"threshold": threshold, "faithfulness_target": "kl_div"}
        with shared.refusals(case, name):
            edges, cost = clock.cost(lambda threshold=threshold: acdc(model, prompts, threshold))
            shared.write(case, name, "circuit", edges, method="ACDC", settings=settings, cost=cost, **about)


if __name__ == "__main__":
    shared.run("auto-circuit", __doc__, find, methods=METHODS, thresholds=THRESHOLDS, batch=[0], epochs=[200])
