"""How often 95% intervals of a circuit's faithfulness hold the truth, by the number of prompts.

    python -m benchmarks.coverage [--samples 1000] [--pool 1500] [--tasks ioi ...]

For each task, the smallest prefix of pico's ranking that reaches .9 on 32 prompts is measured on a pool of other prompts. Samples of n prompts are
drawn from the pool, each gives an interval by each method, and the truth is the pool's own value. Prints how many intervals hold it:
the mean over tasks and, in brackets, the lowest of any task.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy import stats

import circuitsearch as cs
from benchmarks.known_tasks import line
from circuitsearch.faithfulness import Faithfulness, bounded
from circuitsearch.registry import TASKS
from circuitsearch.search import smallest_prefix
from circuitsearch.validation.bootstrap import widened

CONFIDENCE, RESAMPLES, SIZES = 0.95, 600, (8, 16, 32, 64)
NAMES = ("ioi", "induction", "greater_than", "gendered_pronoun", "docstring")
Ends = tuple[float, float]
Columns = tuple[np.ndarray, np.ndarray]  # the parts and the wholes (N,) whose means' ratio is estimated


def pool(name: str, size: int) -> dict[str, Columns]:
    """Parts and wholes of both kinds of faithfulness of one circuit on many prompts."""
    model, tokenizer = cs.load("pico")
    search = TASKS.load(name)(tokenizer, n=32, seed=1)
    circuit = smallest_prefix(model, search, cs.score(model, search, "eap-ig"), 0.9)
    prompts = TASKS.load(name)(tokenizer, n=96, seed=2).writer.draw(size, seed=2, at_most=True)
    measure = Faithfulness(cs.Experiment(model, prompts))
    (values,) = measure.metrics(circuit.mask[None])
    clean, ablated = measure.clean, measure.ablated
    each = bounded(values[0], clean, ablated).numpy()
    return {
        "ratio": ((values[0] - ablated).numpy(), (clean - ablated).numpy()),
        "per prompt": (each, np.ones_like(each)),
    }


def standard_error(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Of a ratio of means over the last dimension, by the delta method."""
    n, value = parts.shape[-1], parts.mean(-1) / wholes.mean(-1)
    return (parts - value[..., None] * wholes).std(-1, ddof=1) / np.sqrt(n) / abs(wholes.mean(-1))


def intervals(parts: np.ndarray, wholes: np.ndarray, rng: np.random.Generator) -> dict[str, Ends]:
    """One interval by each method."""
    n, value = len(parts), parts.mean() / wholes.mean()
    rows = rng.integers(n, size=(RESAMPLES, n))
    found = parts[rows].mean(-1) / wholes[rows].mean(-1)
    error, errors = standard_error(parts, wholes), standard_error(parts[rows], wholes[rows])
    high, low = np.quantile((found - value)[errors > 0] / errors[errors > 0], [0.975, 0.025])
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * error
    end, kurtosis = bca(parts, wholes, found), float(stats.kurtosis(parts - value * wholes, fisher=False))
    return {
        "BCa": end(CONFIDENCE),
        "BCa, t-widened": end(widened(CONFIDENCE, n, kurtosis)),
        "t": (value - half, value + half),
        "bootstrap-t": (value - high * error, value - low * error),
    }


def bca(parts: np.ndarray, wholes: np.ndarray, found: np.ndarray) -> Callable[[float], Ends]:
    """The bias-corrected and accelerated interval of these resamples, for any confidence."""
    value = parts.mean() / wholes.mean()
    without = (parts.sum() - parts) / (wholes.sum() - wholes)
    pull = without.mean() - without
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    below = ((found < value).mean() + (found <= value).mean()) / 2
    bias = stats.norm.ppf(np.clip(below, 0.5 / RESAMPLES, 1 - 0.5 / RESAMPLES))

    def ends(confidence: float) -> Ends:
        shifted = bias + stats.norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
        low, high = np.quantile(found, stats.norm.cdf(bias + shifted / (1 - acceleration * shifted)))
        return float(low), float(high)

    return ends


def coverage(columns: Columns, n: int, samples: int) -> dict[str, float]:
    """Share of samples whose interval holds the pool's value, by method."""
    parts, wholes = columns
    truth, rng = parts.mean() / wholes.mean(), np.random.default_rng(n)
    drawn: Iterator[np.ndarray] = (rng.integers(len(parts), size=n) for _ in range(samples))
    found = [intervals(parts[rows], wholes[rows], rng) for rows in drawn]
    return {name: float(np.mean([one[name][0] <= truth <= one[name][1] for one in found])) for name in found[0]}


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--pool", type=int, default=1500)
    parser.add_argument("--tasks", nargs="+", default=NAMES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pools = [pool(name, options.pool) for name in options.tasks]
    for kind in ("ratio", "per prompt"):
        for n in SIZES:
            shares = [coverage(each[kind], n, options.samples) for each in pools]
            cells = [
                f"{np.mean(of):.3f} ({min(of):.3f})" for of in zip(*(each.values() for each in shares), strict=True)
            ]
            if kind == "ratio" and n == SIZES[0]:
                print(line(["faithfulness", "prompts", *shares[0]]), line(["---"] * (2 + len(cells))), sep="\n")
            print(line([kind, str(n), *cells]), flush=True)


if __name__ == "__main__":
    main()
