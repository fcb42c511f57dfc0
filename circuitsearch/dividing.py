"""Divide rows into parts by whole labels, so that what one part uses is new to the others."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def numbered(labels: Iterable[Hashable]) -> tuple[int, ...]:
    """A number for each label, in the order of first occurrence."""
    numbers: dict[Hashable, int] = {}
    return tuple(numbers.setdefault(label, len(numbers)) for label in labels)


def divided(labels: Sequence[int], fractions: Sequence[float], seed: int) -> list[list[int]]:
    """The rows of each part: whole labels in random order, at least one a part, and numbers of rows close to the fractions."""
    known = sorted(set(labels))
    order = [known[i] for i in np.random.default_rng(seed).permutation(len(known))]
    rows = np.cumsum([labels.count(label) for label in order])  # rows of the first 1, 2, ... labels
    ends = [0]
    for place, share in enumerate(np.cumsum(fractions)[:-1], 1):
        first, last = ends[-1] + 1, len(known) - len(fractions) + place  # each later part needs a label, too
        ends.append(first + int(np.abs(rows[first - 1 : last] - share * len(labels)).argmin()))
    parts = [set(order[start:end]) for start, end in zip(ends, [*ends[1:], len(known)], strict=True)]
    return [[row for row, label in enumerate(labels) if label in part] for part in parts]


def joined(groups: Sequence[int], prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The groups, with groups that share a prompt merged under the least of their labels."""
    parent = {label: label for label in groups}

    def least(label: int) -> int:
        while parent[label] != label:
            label = parent[label]
        return label

    seen: dict[tuple[int, ...], int] = {}
    for label, prompt in zip(groups, prompts, strict=True):
        first, second = sorted((least(label), least(seen.setdefault(prompt, label))))
        parent[second] = first
    return tuple(least(label) for label in groups)
