"""The circuit of one task on one model by two methods, and how far they agree.

    python benchmarks/two_circuits.py MODEL TASK.jsonl [--n 64] [--methods "EAPIG(steps=5)" "Exact()"]

Half of the prompts are searched on and half held out, at most ``--n`` each. Prints the agreement of the scores over all
edges, of the strongest edges, and of the minimal circuits; their faithfulness on the held-out prompts; and the heads of both
circuits by what their kept edges do: the sum of the exact effects of the edges that leave them.
"""

from __future__ import annotations

import argparse

import torch
from estimates import correlation, line
from scipy.stats import rankdata

import circuitsearch as cs

FAITHFULNESS, STRONGEST = 0.9, (20, 50, 100)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("task")
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--methods", nargs=2, default=["EAPIG(steps=5)", "Exact()"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = cs.load(args.model)
    train, held_out = cs.Task.from_file(args.task, tokenizer).split(0.5, seed=0)
    train, held_out = (part.subset(range(min(args.n, len(part)))) for part in (train, held_out))
    scores = [cs.score(model, train, name) for name in args.methods]
    print_scores(scores)
    circuits = [cs.minimal(model, train, each, faithfulness=FAITHFULNESS) for each in scores]
    for name, circuit in zip(args.methods, circuits, strict=True):
        print(f"\n{name}\n{cs.validate(model, circuit, held_out)}")
    print_circuits(circuits, scores[-1])


def print_scores(scores: list[cs.Scores]) -> None:
    """How far two sets of scores agree."""
    mask = scores[0].graph.mask
    first, second = (each.values[mask].numpy() for each in scores)
    ranks = correlation(rankdata(first), rankdata(second))
    print(f"{len(first)} edges: Pearson {correlation(first, second):.3f}, Spearman {ranks:.3f}")
    for n in STRONGEST:
        first, second = ({tuple(place) for place in each.ranking()[:n].tolist()} for each in scores)
        print(f"of the {n} strongest of each, {len(first & second)} are the same")


def print_circuits(circuits: list[cs.Circuit], truth: cs.Scores) -> None:
    """How far two circuits agree, and the heads that both hold."""
    first, second = (set(circuit.edges) for circuit in circuits)
    print(f"\n{len(first & second)} edges in both circuits, {len(first | second)} in either")
    heads = [name for name in circuits[0].nodes if ".h" in name]
    both = [name for name in heads if name in circuits[1].nodes]
    print(f"{len(both)} heads in both, {len(set(heads) | {n for n in circuits[1].nodes if '.h' in n})} in either\n")
    print(line(["head", "sum of the exact effects of its kept edges"]))
    print(line(["---", "---"]))
    effects = {head: sum(truth[edge] for edge in first | second if edge[0] == head) for head in both}
    for head, effect in sorted(effects.items(), key=lambda item: -abs(item[1])):
        print(line([head, f"{effect:.3f}"]))


if __name__ == "__main__":
    main()
