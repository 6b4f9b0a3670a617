"""A context and the curves asked about, as the arrays that the network reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from automl_gpt_ray.curves.predictor import Array, Context, Curve
from automl_gpt_ray.curves.scale import Scale
from automl_gpt_ray.curves.thinning import informative

MOST_CURVES = 150
MOST_ENTRIES = 24
CELLS = 64
"""A full training is read in so many steps at most, as the network was trained."""

Whole = np.ndarray[Any, np.dtype[np.int64]]
Truths = np.ndarray[Any, np.dtype[np.bool_]]


@final
@dataclass(frozen=True, eq=False)
class Reading:
    """The context's chosen curves, then those asked about that are not among them.

    Attributes:
        place: Key and last step of a curve to its row.
        context: How many rows are the context.
        steps: Shares of a full training, shape (rows, points).
        z: Values on the context's scale, same shape.
        seen: Points of each, shape (rows,).
        lost: Whether the last value is NaN or infinite, shape (rows,).
        resolution: One step as a share of a full training.
        vectors: Shape (rows, entries).
        last: Share of the last known step, 0 for none, shape (rows,).
        ends: Last z, shape (rows,); 0 for none.
    """

    place: dict[tuple[str, int], int]
    context: int
    steps: Array
    z: Array
    seen: Whole
    lost: Truths
    resolution: float
    vectors: Array
    last: Array
    ends: Array


def read(context: Context, scale: Scale, asked: Sequence[Curve]) -> Reading | None:
    """Return a reading; None where the context has reported nothing finite."""
    known = _chosen(context, scale)
    if not any(np.isfinite(c.values).any() for c in known):
        return None
    place = {_mark(c): i for i, c in enumerate(known)}
    rows = list(known)
    for curve in asked:
        if _mark(curve) not in place:
            place[_mark(curve)] = len(rows)
            rows.append(curve)
    points = [_points(c, scale, context.max_step) for c in rows]
    width = max(3, *(len(p[0]) for p in points))
    steps, z = np.full((len(rows), width), 2.0), np.zeros((len(rows), width))
    for i, (s, y) in enumerate(points):
        steps[i, : len(s)], z[i, : len(y)] = s, y
    seen = np.array([len(s) for s, _ in points])
    last = np.array([s[-1] if len(s) else 0.0 for s, _ in points])
    ends = np.array([y[-1] if len(y) else 0.0 for _, y in points])
    lost = np.array([c.diverged for c in rows], dtype=bool)
    resolution = max(1.0 / context.max_step, 1.0 / CELLS)
    vectors = _entries(np.stack([c.vector for c in rows]), len(known))
    return Reading(place, len(known), steps, z, seen, lost, resolution, vectors, last, ends)


def row(reading: Reading, curve: Curve) -> int:
    """Return the row of a curve that was asked about."""
    return reading.place[_mark(curve)]


def _mark(curve: Curve) -> tuple[str, int]:
    return curve.key, curve.last_step


def _chosen(context: Context, scale: Scale) -> list[Curve]:
    lasts = np.array([scale.apply(c.values[-1:])[0] if len(c.steps) else -np.inf for c in context.curves])
    return [context.curves[i] for i in informative(context, lasts, MOST_CURVES)]


def _points(curve: Curve, scale: Scale, max_step: int) -> tuple[Array, Array]:
    """Return shares and z of at most CELLS points, the last one of each cell."""
    if not len(curve.steps):
        return np.empty(0), np.empty(0)
    shares = np.clip(curve.steps / max_step, 0.0, 1.0)
    z = np.minimum(scale.apply(curve.values), 1e6)
    cells = np.ceil(shares * CELLS - 1e-9)
    kept = np.append(cells[1:] != cells[:-1], True)
    return np.maximum(shares[kept], 1.0 / CELLS), z[kept]


def _entries(vectors: Array, known: int) -> Array:
    """Return the MOST_ENTRIES entries that differ most among the trials; one of zeros where there is none."""
    if vectors.shape[1] == 0:
        return np.zeros((len(vectors), 1))
    if vectors.shape[1] <= MOST_ENTRIES:
        return vectors
    spread = vectors[:known].std(axis=0)
    return vectors[:, np.sort(np.argsort(-spread, kind="stable")[:MOST_ENTRIES])]
