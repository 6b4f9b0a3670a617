"""Thinning: fewer points of a curve that still look the same.

A report of thousands of trials cannot hold every report of every trial. What is kept: the first, the last, the
best, and of each stretch in between its lowest and highest value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

Point = tuple[float, float]
T = TypeVar("T")

BUDGET = 120_000
"""Points of all curves of a report together."""
MOST, LEAST = 200, 12
"""Points of one curve, however few or many trials there are."""


def most_points(curves: int) -> int:
    """Return how many points each of so many curves may have."""
    return max(LEAST, min(MOST, BUDGET // max(1, curves)))


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most about `most` of `points`, in order; all of them where they are no more."""
    if len(points) <= most:
        return list(points)
    stretches = max(1, (most - 2) // 2)
    edges = [round(1 + i * (len(points) - 2) / stretches) for i in range(stretches + 1)]
    kept = {0, len(points) - 1}
    for start, end in pairwise(edges):
        stretch = range(start, max(end, start))
        finite = [i for i in stretch if math.isfinite(points[i][1])]
        if finite:
            kept |= {min(finite, key=lambda i: points[i][1]), max(finite, key=lambda i: points[i][1])}
        elif stretch:
            kept.add(stretch[0])  # it diverged, and that is worth a mark
    return [points[i] for i in sorted(kept)]


def evenly(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of `items`, evenly spread; the first and, where more than one are, the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, most - 1))] for i in range(most)]
