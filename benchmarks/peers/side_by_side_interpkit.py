"""What interpkit's ``find_circuit`` finds, with its default (mean ablation), with the ablation that judges (resample) and with its EAP-IG.

    FOLDER/interpkit/bin/python benchmarks/peers/side_by_side_interpkit.py CASE...

Its components are whole attention layers and MLPs; each has an effect, by which they are ranked. The metric is its own, the logit of the token that
the model itself prefers, as it takes no other that compares two answers. It runs one pair after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
from typing import Any

import interpkit  # pyright: ignore[reportMissingImports]
import side_by_side_shared as shared

METHODS = ["mean", "resample", "eap-ig"]


def name_of(component: dict[str, Any]) -> str:
    """Such as ``a1`` or ``m0``."""
    return f"{'m' if component['type'] == 'mlp' else 'a'}{component['layer']}"


def load(case: shared.Case) -> Any:
    """Its model; without a prompt to look at it does not see the residual stream, and refuses its gradients."""
    return interpkit.load_module(case.model().requires_grad_(True), case.clean[:1])


def search(model: Any, case: shared.Case, method: str) -> dict[str, Any]:
    """Its circuit, without the table that it prints."""
    clean, corrupt = ([ids[None] for ids in side] for side in (case.clean, case.corrupt))
    with contextlib.redirect_stdout(io.StringIO()):
        return model.find_circuit(clean, corrupt, method=method)


def find(case: shared.Case, given: argparse.Namespace) -> None:
    """Every method on one case."""
    logging.disable(logging.WARNING)
    plain = case.model()
    clock, model = shared.Clock(plain, case.clean), load(case)
    about = {"package": "interpkit", "versions": shared.versions("interpkit")}
    for method in given.methods:
        name, settings = f"interpkit find_circuit {method}", {"method": method, "threshold": 0.01}
        with shared.refusals(case, name):
            found, cost = clock.cost(lambda method=method: search(model, case, method))
            effects = {name_of(each): each["effect"] for each in [*found["circuit"], *found["excluded"]]}
            own = {"components": len(found["circuit"]), "of": len(effects), "verification": found["verification"]}
            shared.write(
                case, name, "nodes", effects, method="find_circuit", settings=settings, cost=cost, own=own, **about
            )


if __name__ == "__main__":
    shared.run("interpkit", __doc__, find, methods=METHODS)
