"""Calibration: whether intervals cover, p values are uniform under the null hypothesis, and few false edges are let through.

    python -m benchmarks.calibration coverage [--samples 1000]
    python -m benchmarks.calibration null [--samples 1000]
    python -m benchmarks.calibration edges [--models 40] [--out calibration.jsonl]

*coverage*: as :mod:`benchmarks.coverage`, but of the intervals of reports themselves. *null*: the tests on data for which the null hypothesis is true, drawn from what was
measured on planted models. Exact binomial tests have few p values and are conservative; their *randomised* p, uniform where the test is exact, is tested for uniformity. *edges*: exact effects
of every edge of planted models, tested prompt by prompt (Student's t), with Benjamini and Hochberg's correction at 5%.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch
from scipy import stats

import circuitsearch as cs
from benchmarks.coverage import NAMES, Columns, pool
from benchmarks.known_tasks import line
from circuitsearch.faithfulness import Faithfulness, bounded
from circuitsearch.models.planted import MOTIFS, Design, Planted, plant
from circuitsearch.validation import binomial, bootstrap
from circuitsearch.validation.checks.edge_minimality import _random_changes, random_additions
from circuitsearch.validation.checks.independence import permutation_p
from circuitsearch.validation.hypothesis import without_each

LEVEL, SIZES, POOL, PROMPTS, RESAMPLES = 0.05, (16, 32, 128), 800, 32, 600
MARGIN = 0.01  # of the metric's fall: a smaller mean effect is none


def planted_model(seed: int, n: int, noise: float = 0.005) -> tuple[Planted, cs.Experiment]:
    """A model of each motif in turn, among distractors."""
    random, motif = Random(seed), list(MOTIFS)[seed % len(MOTIFS)]
    design = Design(
        layers=3, heads=4, distractor_heads=random.randint(0, 4), distractor_mlps=random.randint(0, 1), rotated=True,
        noise=noise,
    )  # fmt: skip
    planted = plant(motif, seed, n=n, design=design)
    return planted, cs.Experiment(planted.model, planted.task)


# ---- coverage


def planted_pool(seed: int, size: int) -> dict[str, Columns]:
    """As :func:`benchmarks.coverage.pool`, of the true circuit of a planted model with much noise."""
    planted, experiment = planted_model(seed, size, noise=0.02)
    measure = Faithfulness(experiment)
    (values,) = measure.metrics(experiment.graph.edge_mask(planted.edges)[None])
    each = bounded(values[0], measure.clean, measure.ablated).numpy()
    ratio = ((values[0] - measure.ablated).numpy(), (measure.clean - measure.ablated).numpy())
    return {"ratio": ratio, "per prompt": (each, np.ones_like(each))}


def covered(columns: Columns, n: int, samples: int) -> float:
    """Share of samples whose interval, as reports compute it, holds the pool's value."""
    parts, wholes = (torch.from_numpy(column) for column in columns)
    truth, rng = float(parts.mean() / wholes.mean()), np.random.default_rng(n)

    def held(seed: int) -> bool:
        rows = torch.from_numpy(rng.integers(len(parts), size=n))
        found = bootstrap.interval(_ratio, parts[rows], wholes[rows], confidence=0.95, n_resamples=RESAMPLES, seed=seed)
        return found.low - 1e-12 <= truth <= found.high + 1e-12

    return float(np.mean([held(seed) for seed in range(samples)]))


def _ratio(parts: np.ndarray, wholes: np.ndarray, axis: int) -> np.ndarray:
    return parts.mean(axis) / wholes.mean(axis)


def print_coverage(samples: int) -> None:
    """Mean over pools, and the lowest."""
    groups = {
        "pico, five tasks": [pool(name, POOL) for name in NAMES],
        "planted, five motifs": [planted_pool(seed, 500) for seed in range(5)],
    }
    print(line(["faithfulness", "circuits", *map(str, SIZES)]), line(["---"] * 5), sep="\n")
    for kind in ("ratio", "per prompt"):
        for name, pools in groups.items():
            shares = [[covered(each[kind], n, samples) for each in pools] for n in SIZES]
            print(line([kind, name, *(f"{np.mean(of):.3f} ({min(of):.3f})" for of in shares)]), flush=True)


# ---- null hypotheses


def randomised(count: int, n: int, share: float, rng: np.random.Generator) -> float:
    """P of an exact one-sided test, uniform if the share is the true one."""
    return binomial.at_least(count + 1, n, share) + rng.random() * float(stats.binom.pmf(count, n, share))


def null_equivalence(rng: np.random.Generator) -> Callable[[], tuple[float, float]]:
    """Differences of a circuit from its model, shifted so that it wins on 60% of the prompts: the margin."""
    planted, experiment = planted_model(0, 1000)
    clean = experiment.evaluator.clean()[0]
    differences = (experiment.evaluator.metric_of(experiment.graph.edge_mask(planted.edges)) - clean).numpy()
    shifted = differences - np.quantile(differences, 0.4)

    def once() -> tuple[float, float]:
        wins = int((rng.choice(shifted, 128) > 0).sum())
        return binomial.equivalence_p(wins, 128 - wins, 0, 0.1), randomised(128 - wins, 128, 0.4, rng)

    return once


def null_independence(rng: np.random.Generator) -> Callable[[], tuple[float, float]]:
    """The metric of the model, and that without the circuit on other prompts."""
    planted, experiment = planted_model(0, 1000)
    clean = experiment.evaluator.clean()[0].numpy()
    rest = experiment.evaluator.metric_of(experiment.graph.mask & ~experiment.graph.edge_mask(planted.edges)).numpy()

    def once() -> tuple[float, float]:
        p = permutation_p(rng.choice(clean, PROMPTS), rng.choice(rest, PROMPTS), 199, int(rng.integers(10**9)))
        return p, p

    return once


def null_binomial(rng: np.random.Generator) -> Callable[[], tuple[float, float]]:
    """Changes by random edges of inflated circuits; the edge that is tested changes as much as their .9 quantile."""
    planted, experiment = planted_model(0, PROMPTS)
    mask = experiment.graph.edge_mask(planted.edges)
    additions = random_additions(experiment.graph, mask, POOL, rng)
    changes = _random_changes(Faithfulness(experiment), mask, additions, rng).numpy()
    own = np.quantile(changes, 0.9)
    share = float((changes < own).mean())  # nearly .9: some edges were drawn twice

    def once() -> tuple[float, float]:
        count = int((rng.choice(changes, 100) < own).sum())
        return binomial.at_least(count, 100, share), randomised(count, 100, share, rng)

    return once


def print_null(samples: int) -> None:
    """The share of p values up to 5%, and the uniformity of the randomised ones."""
    print(line(["test", "p <= .05", "p <= .05, randomised", "KS p"]), line(["---"] * 4), sep="\n")
    tests = {
        "equivalence (128 prompts, margin .1)": null_equivalence,
        "independence (32 prompts, 199 permutations)": null_independence,
        "sufficiency, necessity, minimality (100 random)": null_binomial,
    }
    for name, test in tests.items():
        once = test(np.random.default_rng(0))
        exact, uniform = np.array([once() for _ in range(samples)]).T
        ks = stats.kstest(uniform, "uniform").pvalue
        print(
            line([name, f"{(exact <= LEVEL).mean():.3f}", f"{(uniform <= LEVEL).mean():.3f}", f"{ks:.2f}"]), flush=True
        )


# ---- edges


def effects(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Exact effects of every edge on every prompt of a pool (E, N), which edges are true (E,), and the metric's fall."""
    planted, experiment = planted_model(seed, 4 * PROMPTS)
    graph, places = experiment.graph, experiment.graph.mask.nonzero()
    ((clean, ablated),) = experiment.evaluator.ends()
    values = [experiment.evaluator.circuits(without_each(graph.mask, some), near=graph.mask)[0] for some in places.split(200)]  # fmt: skip
    return (
        (clean - torch.cat(values)).numpy(),
        graph.edge_mask(planted.edges)[places[:, 0], places[:, 1]].numpy(),
        float((clean - ablated).mean()),
    )


def p_of_effects(effects: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """P that the mean effect (E,) over prompts (E, N) is within the margin of 0: Student's t."""
    n = effects.shape[-1]
    error = np.maximum(effects.std(-1, ddof=1) / np.sqrt(n), np.finfo(float).tiny)
    return np.minimum(2 * stats.t.sf((abs(effects.mean(-1)) - margin) / error, n - 1), 1)


def false_share(p: np.ndarray, null: np.ndarray) -> float:
    """Share of the edges found by Benjamini and Hochberg's correction for which the null hypothesis is true; 0 if none is found."""
    found = stats.false_discovery_control(p) <= LEVEL
    return float(null[found].mean()) if found.any() else 0.0


def of_model(seed: int) -> dict[str, float]:
    """Both null hypotheses, on a sample of the prompts."""
    every, true, fall = effects(seed)
    rows = np.random.default_rng(seed).choice(every.shape[1], PROMPTS, replace=False)
    centred = np.where(true[:, None], every, every - every.mean(-1, keepdims=True))
    effect = abs(every.mean(-1))
    p, p_margin = p_of_effects(centred[:, rows]), p_of_effects(every[:, rows], MARGIN * fall)
    strong = true & (effect > 10 * MARGIN * fall)
    found = stats.false_discovery_control(p_margin) <= LEVEL
    return {
        "no effect: false share": false_share(p, ~true),
        "small effect: false share": false_share(p_margin, effect <= MARGIN * fall),
        "small effect: not planted": float((~true[found]).mean()) if found.any() else 0.0,
        "strong edges found": float(found[strong].mean()) if strong.any() else np.nan,
        "KS of edges without effect": float(stats.kstest(p[~true & (centred.std(-1) > 1e-12 * fall)][::10], "uniform").pvalue),
        "p <= .05 of edges without effect": float((p[~true & (centred.std(-1) > 1e-12 * fall)] <= LEVEL).mean()),
    }  # fmt: skip


def print_edges(models: int, out: Path) -> None:
    """Means over models, and their range; a line of the file for each model, from which a run that was stopped goes on."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    for seed in range(len(lines), models):
        lines.append(json.dumps(of_model(seed)))
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [json.loads(each) for each in lines]
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(
            line([name, f"{np.nanmean(values):.4f}", f"{np.nanmin(values):.4f} to {np.nanmax(values):.4f}"]), flush=True
        )


def main() -> None:
    """Read the options and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("coverage", "null", "edges"))
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("calibration.jsonl"), help="of edges: a line for each model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "edges":
        print_edges(options.models, options.out)
    else:
        {"coverage": print_coverage, "null": print_null}[options.what](options.samples)


if __name__ == "__main__":
    main()
