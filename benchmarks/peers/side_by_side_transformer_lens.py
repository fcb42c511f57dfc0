"""What TransformerLens 4's own attribution patching finds, of edges and of nodes.

    FOLDER/transformer-lens/bin/python benchmarks/peers/side_by_side_transformer_lens.py CASE...

``transformer_lens.tools.analysis.attribution_patch`` on the bridge around the Hugging Face model, as it is built. It scores every position by itself;
scores of an edge are summed over positions, as its demonstration of attribution patching does for heads. Each pair is given alone, as
the function's metric is not told which pair it has. It takes gradients on the corrupt prompt.
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from typing import Any

import side_by_side_shared as shared
from transformer_lens.model_bridge.sources import build_bridge_from_module  # pyright: ignore[reportMissingImports]
from transformer_lens.tools.analysis.attribution_patching import (  # pyright: ignore[reportMissingImports]
    EdgeAttributionConfig,
    Node,
    attribution_patch,
)

METHODS = {"edges": ("edge", "scores"), "nodes": ("node", "nodes")}  # granularity and kind of file


def name_of(node: Node) -> str:
    """Such as ``a1.h3<q>`` or ``m0``."""
    port = {"q_input": "<q>", "k_input": "<k>", "v_input": "<v>", "mlp_in": "<in>"}.get(node.kind, "")
    if node.kind in ("embed", "logits"):
        return node.kind
    return (f"m{node.layer}" if node.head is None else f"a{node.layer}.h{node.head}") + port


def attribute(case: shared.Case, model: Any, granularity: str) -> dict[str, float]:
    """Mean scores over pairs, summed over positions."""
    config, clean, corrupt, totals = EdgeAttributionConfig(granularity), case.clean, case.corrupt, Counter()
    for row in range(len(case.rows)):
        pair = slice(row, row + 1)

        def metric(logits: Any, pair: slice = pair) -> Any:
            return case.metric_of(logits[:, -1], pair)[0]

        found = attribution_patch(model, clean[pair], corrupt[pair], metric, config)
        if granularity == "edge":
            scores = {f"{name_of(writer)}->{name_of(reader)}": [] for writer, reader in found.edge_scores}
            for (writer, reader), score in found.edge_scores.items():
                scores[f"{name_of(writer)}->{name_of(reader)}"].append(score)
        else:
            scores = {name_of(node): [] for node in found.node_scores}
            for node, score in found.node_scores.items():
                scores[name_of(node)].append(score)
        totals.update({name: sum(values) / len(case.rows) for name, values in scores.items()})
    return dict(totals)


def find(case: shared.Case, given: argparse.Namespace) -> None:
    """Every method on one case."""
    plain = case.model()
    clock, wrapped = shared.Clock(plain, case.clean), case.model().requires_grad_(True)
    model = build_bridge_from_module(wrapped, type(wrapped).__name__, hf_config=wrapped.config).eval()
    shared.check_logits(case, plain, model)
    about = {"package": "TransformerLens", "versions": shared.versions("transformer-lens")}
    for method in given.methods:
        granularity, kind = METHODS[method]
        name, settings = f"TransformerLens attribution patching, {method}", {"granularity": granularity}
        run = partial(attribute, case, model, granularity)
        with shared.refusals(case, name):
            scores, cost = clock.cost(run)
            scores.pop("embed", None)
            shared.write(case, name, kind, scores, method="attribution patching", settings=settings, cost=cost, **about)


if __name__ == "__main__":
    shared.run("TransformerLens", __doc__, find, methods=list(METHODS))
