"""EAP and a whole search on GPT-2 small's shape beside EAP and ACDC of other packages, in one run and in forwards of the same batch.

    sh benchmarks/peers/make.sh FOLDER                         # the packages, each in its environment
    python -m benchmarks.peers.costs FOLDER [--rounds 3]

The model has random weights, the task is what its clean prompts make likelier than the corrupt ones, 16 pairs of 16 tokens that differ at one
position. Packages take turns; in each process a method's processor time is divided by that of plain Hugging Face forwards, before and after
it, of all prompts. ``find`` has its defaults, its report included. ACDC of auto-circuit is timed on a sample of edges (auto_circuit_speed.py):
a threshold takes a test of every edge.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import circuitsearch as cs
from benchmarks.peers import side_by_side_shared as shared
from benchmarks.peers.measuring import gpt2_small
from benchmarks.peers.side_by_side import write_case
from benchmarks.random_task import likelier

HERE, PROMPTS, LENGTH, DIFFERS_AT = Path(__file__).parent, 16, 16, 10
PEERS = {
    "auto-circuit": ["side_by_side_auto_circuit.py", "--methods", "mask gradient"],
    "eap-ig": ["side_by_side_eap_ig.py"],
}
ACDC = ("ACDC, no edge", "ACDC, 24 edges")
FOUND = {
    "auto-circuit, mask gradient": "auto-circuit mask gradient",
    "EAP-IG's repository, EAP": "EAP-IG EAP",
    "EAP-IG's repository, EAP-IG (5)": "EAP-IG EAP-IG",
}


def prepared(folder: Path) -> shared.Case:
    """The model and the prompts."""
    model = gpt2_small()
    write_case(folder, model, likelier(model, 2 * PROMPTS, LENGTH, DIFFERS_AT), PROMPTS, PROMPTS)
    return shared.Case.load(folder)


def peers(environments: Path, case: shared.Case) -> dict[str, float]:
    """What each package's methods cost, in forwards."""
    for package, (script, *options) in PEERS.items():
        command = [environments / package / "bin" / "python", HERE / script, case.folder, *options]
        subprocess.run(command, check=True, stdout=sys.stderr)
    written = {what: json.loads((case.folder / "found" / f"{name}.json").read_text()) for what, name in FOUND.items()}
    return {what: about["cost"]["forwards"] for what, about in written.items()}


def ours(experiment: cs.Experiment, clock: shared.Clock) -> dict[str, float]:
    """EAP and EAP-IG; the model was verified before."""
    methods = {"EAP": cs.EAP(), "EAP-IG (5)": cs.EAPIG(steps=5)}
    costs = {name: clock.cost(lambda method=method: experiment.score(method))[1] for name, method in methods.items()}
    return {f"circuitsearch, {name}": cost["forwards"] for name, cost in costs.items()}


def one_threshold(environments: Path) -> float:
    """ACDC of auto-circuit: tests of all edges, by the mean of a sample, in forwards."""
    batch = ["--prompts", str(PROMPTS), "--length", str(LENGTH), "--differs-at", str(DIFFERS_AT), "--repeats", "1"]
    command = [
        environments / "auto-circuit" / "bin" / "python",
        HERE / "auto_circuit_speed.py",
        *batch,
        "--no-memory",
        "--cases",
        *ACDC,
    ]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return said["acdc_edge_test"]["in_plain_forwards"] * said["edges"]


def rows(environments: Path, folder: Path, rounds: int) -> Iterator[tuple[str, list[float]]]:
    """Every method with its costs."""
    case = prepared(folder)
    task = cs.Task.from_file(folder / "train.jsonl")
    experiment, clock = cs.Experiment(cs.load(folder / "model")[0], task), shared.Clock(case.model(), case.clean)
    turns: list[Callable[[], dict[str, float]]] = [lambda: ours(experiment, clock), lambda: peers(environments, case)]
    measured: dict[str, list[float]] = {}
    for turn in turns * rounds:
        for what, cost in turn().items():
            measured.setdefault(what, []).append(cost)
    yield from measured.items()
    finding, cost = clock.cost(lambda: cs.find(experiment.model, task, listeners=[]))
    yield f"circuitsearch, find ({len(finding.circuit.edges):,} edges, everything)", [cost["forwards"]]
    yield "auto-circuit, ACDC, one threshold", [one_threshold(environments)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="of EAP and EAP-IG; 0 for find and ACDC alone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| method | forwards, median | of rounds |\n|---|--:|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for what, costs in rows(asked.environments.resolve(), Path(folder) / "gpt2-small", asked.rounds):
            print(f"| {what} | {statistics.median(costs):,.1f} | {told(costs)} |", flush=True)


def told(costs: list[float]) -> str:
    """All of them."""
    return ", ".join(f"{cost:,.1f}" for cost in costs)


if __name__ == "__main__":
    main()
