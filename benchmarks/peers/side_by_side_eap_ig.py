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
from side_by_side_hooked import check_name, hooked

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


def loss(case: shared.Case, logits: torch.Tensor, clean_logits: Any, lengths: Any, rows: slice) -> torch.Tensor:
    """Minus the mean of the task's metric over these rows, so that positive scores support it."""
    return -case.metric_of(logits[:, -1], rows).mean()


def batches(case: shared.Case, size: int) -> list[tuple[list[list[int]], list[list[int]], slice]]:
    """Clean and corrupt ids, and which rows these are, in place of labels."""
    rows = [slice(first, first + size) for first in range(0, len(case.rows), size)]
    return [(case.clean[each].tolist(), case.corrupt[each].tolist(), each) for each in rows]


def find(case: shared.Case, given: argparse.Namespace) -> None:
    """Both methods on one case."""
    plain = case.model()
    with shared.refusals(case, "EAP-IG by name"):
        check_name(case, plain)
    model, clock = hooked(case, plain), shared.Clock(plain, case.clean)
    pairs = batches(case, given.batch[0] or len(case.rows))
    eap_attribute.tokenize_plus, eap_attribute.torch = given_ids, OnProcessor()
    about = {"package": "EAP-IG", "versions": shared.versions("eap", "transformer-lens")}
    for method, (its_name, settings) in METHODS.items():
        name, graph = f"EAP-IG {method}", Graph.from_model(model)
        run = partial(
            eap_attribute.attribute, model, graph, pairs, partial(loss, case), its_name, quiet=True, **settings
        )
        with shared.refusals(case, name):
            _, cost = clock.cost(run)
            found = {edge: float(graph.edges[edge].score) for edge in graph.edges}
            shared.write(case, name, "scores", found, method=its_name, settings=settings, cost=cost, **about)


if __name__ == "__main__":
    shared.run("EAP-IG", __doc__, find, batch=[0])
