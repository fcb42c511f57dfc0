"""How many clusters some vectors form: by silhouettes, against one normal distribution of the same covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from circuitsearch.files import STRICT, Number


@dataclass(frozen=True)
class Clustering:
    """Clusters of N vectors.

    Attributes
    ----------
    labels : tuple of int
        For each vector its cluster, 0 ... K - 1, the largest first; all 0 if there is one cluster.
    silhouettes : dict
        The mean silhouette (Rousseeuw 1987) of the best partition into 2, 3 ... clusters.
    p : float
        Share of random samples of one normal distribution whose largest silhouette is as large; NaN if there are too few vectors.
    """

    __pydantic_config__ = STRICT

    labels: tuple[int, ...]
    silhouettes: dict[int, float]
    p: Number

    @property
    def k(self) -> int:
        """How many clusters."""
        return len(set(self.labels))


def clustered(vectors: np.ndarray, most: int, least: int, samples: int, level: float, seed: int) -> Clustering:
    """Cluster vectors (N, D) by Ward's method, into the number of clusters of the largest silhouette, or into one.

    There is more than one cluster if the largest silhouette is larger than in all but a share ``level`` of random samples, each of N
    vectors of a normal distribution with the covariance of these. So spread in few directions, which one cluster may have,
    does not count as several clusters (as in SigClust, Liu et al. 2008, which uses another statistic).

    Parameters
    ----------
    vectors : array
        (N, D).
    most, least : int
        Most clusters, and least vectors of one.
    samples : int
        How many random samples.
    level : float
        Of the test.
    seed : int
        Of the samples.
    """
    points = _principal(vectors)
    partitions = _partitions(points, most, least)
    if not partitions:
        return Clustering((0,) * len(points), {}, np.nan)
    silhouettes = {k: value for k, (value, _) in partitions.items()}
    best = max(silhouettes, key=lambda k: silhouettes[k])
    rng, largest = np.random.default_rng(seed), silhouettes[best]
    null = [_largest(rng.standard_normal(points.shape) * points.std(0), most, least) for _ in range(samples)]
    p = (1 + sum(value >= largest for value in null)) / (1 + samples)
    labels = partitions[best][1] if p <= level else np.zeros(len(points), dtype=int)
    return Clustering(tuple(_by_size(labels)), silhouettes, p)


def _principal(vectors: np.ndarray) -> np.ndarray:
    """The vectors, centred, in the basis of their principal components: (N, at most N); distances are the same."""
    left, sizes, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    return (left * sizes)[:, sizes > 1e-9 * max(sizes.max(initial=0.0), 1e-300)]


def _partitions(points: np.ndarray, most: int, least: int) -> dict[int, tuple[float, np.ndarray]]:
    """Silhouette and labels for each number of clusters none of which is smaller than ``least``."""
    if len(points) < 2 * least or not points.size:
        return {}
    tree, distances = linkage(points, "ward"), squareform(pdist(points))
    found = {}
    for k in range(2, most + 1):
        labels = fcluster(tree, k, "maxclust") - 1
        if len(set(labels)) == k and np.bincount(labels).min() >= least:
            found[k] = silhouette(distances, labels), labels
    return found


def _largest(points: np.ndarray, most: int, least: int) -> float:
    return max((value for value, _ in _partitions(points, most, least).values()), default=-1.0)


def silhouette(distances: np.ndarray, labels: np.ndarray) -> float:
    """Mean over N points of (b - a) / max(a, b), from their distances (N, N): a is the mean distance to the other points of the own cluster, b that to the nearest other cluster.

    Examples
    --------
    >>> distances = np.array([[0, 1, 4, 4], [1, 0, 4, 4], [4, 4, 0, 1], [4, 4, 1, 0]])
    >>> silhouette(distances, np.array([0, 0, 1, 1]))
    0.75
    """
    member = np.eye(labels.max() + 1)[labels]  # (N, K)
    counts = member.sum(0)
    sums = distances @ member  # (N, K)
    own = sums[member == 1] / np.maximum(counts[labels] - 1, 1)
    nearest = np.where(member == 1, np.inf, sums / counts).min(1)
    values = (nearest - own) / np.maximum(np.maximum(own, nearest), 1e-300)
    return float(np.where(counts[labels] > 1, values, 0).mean())


def _by_size(labels: np.ndarray) -> list[int]:
    """The labels numbered from the largest cluster to the smallest; of equal ones, that of the first vector comes first."""
    first = {int(label): place for place, label in reversed(list(enumerate(labels)))}
    order = sorted(first, key=lambda label: (-int((labels == label).sum()), first[label]))
    return [order.index(int(label)) for label in labels]
