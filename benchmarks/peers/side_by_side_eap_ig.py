"""What EAP-IG's own repository finds: EAP and EAP-IG, inputs, with the five steps of its demonstrations.

    FOLDER/eap-ig/bin/python benchmarks/peers/side_by_side_eap_ig.py CASE...

Two things are replaced, so that it runs here, and nothing else: prompts are token ids, where it tokenises text with the model's
tokenizer, and its scores, which it makes with ``device='cuda'``, are made on the processor.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import eap.attribute as eap_attribute  # pyright: ignore[reportMissingImports]
import side_by_side_shared as shared
import torch
from eap.graph import Graph  # pyright: ignore[reportMissingImports]

METHODS = {"EAP": ("EAP", {}), "EAP-IG": ("EAP-IG-inputs", {"ig_steps": 5})}


def given_ids(model: Any, prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """In place of its ``tokenize_plus``: ids, attention mask, lengths and the number of positions."""
    ids = torch.tensor(prompts)
    mask = torch.ones_like(ids)
    return ids, mask, mask.sum(1), ids.shape[1]


class OnProcessor:
    """Torch, but for tensors of zeros that ask for a GPU."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def zeros(self, *shape: Any, device: str, **settings: Any) -> torch.Tensor:
        """On the processor, whatever is asked for."""
        return torch.zeros(*shape, **settings)


def loss(case: shared.Case, logits: torch.Tensor, *_: Any) -> torch.Tensor:
    """Minus the mean of the task's metric, so that positive scores support it."""
    return -case.metric_of(logits[:, -1]).mean()


def find(case: shared.Case, given: argparse.Namespace) -> None:
    """Both methods on one case."""
    plain = case.model()
    model, clock = shared.hooked(case, plain), shared.Clock(plain, case.clean)
    batch = [(case.clean.tolist(), case.corrupt.tolist(), None)]
    eap_attribute.tokenize_plus, eap_attribute.torch = given_ids, OnProcessor()
    for name, (method, settings) in METHODS.items():
        graph = Graph.from_model(model)
        run = partial(eap_attribute.attribute, model, graph, batch, partial(loss, case), method, quiet=True, **settings)
        _, cost = clock.cost(run)
        found = {edge: float(graph.edges[edge].score) for edge in graph.edges}
        about = {"package": "EAP-IG", "versions": shared.versions("eap", "transformer-lens")}
        shared.write(case, f"EAP-IG {name}", "scores", found, method=name, settings=settings, cost=cost, **about)


if __name__ == "__main__":
    shared.run(__doc__, find)
