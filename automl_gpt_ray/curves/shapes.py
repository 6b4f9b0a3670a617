"""The shapes a learning curve may take between its first and its last step, and how it strays from them.

Each shape g falls from g(1) = 1 to g(T) = 0, so that a curve is where it begins, where it ends, and g:

    z(t) = b g(t) + e (1 - g(t)) + kappa W(u(t)) + noise        u(t) = log t / log T
    power        g ~ t^-p                     p in POWERS; 0 is the logarithm
    exponential  g ~ exp(-(t - 1) / (r T))    r in RATES; the largest is nearly a straight line
    peers        what the context's own curves do on average, and what the better half of them does

W is a Brownian motion in logarithmic time: the curve strays the further, the longer it is unobserved. A
*model* is a shape with one kappa and one noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from automl_gpt_ray.curves.predictor import Array

POWERS = (0.0, 0.25, 0.5, 1.0, 2.0)
RATES = (0.02, 0.05, 0.12, 0.3, 1.0)
STRAYS = (0.03, 0.1, 0.3)
NOISES = (0.005, 0.02, 0.08)
PEER_SHAPES = 2
SHAPES = len(POWERS) + len(RATES) + PEER_SHAPES
GRID = 40
MIN_PEERS = 3


@dataclass(frozen=True, eq=False)
class Models:
    """Every shape with every stray and noise; arrays over the models, shape (m,)."""

    shape: np.ndarray[tuple[int], np.dtype[np.int64]]
    stray: Array
    noise: Array

    def __len__(self) -> int:
        return len(self.stray)


@lru_cache(maxsize=1)
def models() -> Models:
    """Return all models."""
    rows = list(itertools.product(range(SHAPES), STRAYS, NOISES))
    shape, stray, noise = zip(*rows, strict=True)
    return Models(np.array(shape), np.array(stray), np.array(noise))


@dataclass(frozen=True, eq=False)
class Shapes:
    """All shapes of one context; g of each tabulated at GRID steps, shape (SHAPES, GRID)."""

    max_step: int
    steps: Array
    table: Array

    def falls(self, steps: Array) -> Array:
        """Return g of every shape at `steps` of any shape, shape (SHAPES, *steps.shape); 0 beyond the last step."""
        t = np.clip(steps, 1.0, float(max(self.max_step, 1)))
        return np.stack([np.interp(t, self.steps, row) for row in self.table])


def shapes(curves: Sequence[tuple[Array, Array]], max_step: int) -> Shapes:
    """Return the shapes for a context whose curves have these steps and z (finite), each of shape (points,)."""
    grid = np.geomspace(1.0, float(max(max_step, 1)), GRID)
    rows = [-np.log(grid) if p == 0.0 else grid**-p for p in POWERS]
    rows += [np.exp(-(grid - 1.0) / (rate * max(max_step, 2))) for rate in RATES]
    rows += [-row for row in _peers(curves, grid)]
    return Shapes(max_step, grid, np.stack([_between(row) for row in rows]))


def _peers(curves: Sequence[tuple[Array, Array]], grid: Array) -> list[Array]:
    """Return the mean curve of all peers, and that of the better half at the last step they share."""
    if not curves:
        return [np.log(grid)] * PEER_SHAPES
    read = np.stack([np.interp(grid, steps, z, right=np.nan) for steps, z in curves])
    alike = np.nan_to_num(read[:, 0], nan=0.0)
    gains = np.array([z[-1] - alike[i] for i, (_, z) in enumerate(curves)])
    better = read[gains >= np.median(gains)]
    return [_chained(read), _chained(better)]


def _chained(read: Array) -> Array:
    """Return the mean curve from the gains between neighbouring steps, of the peers that reached both.

    Gains that too few peers saw are taken to be what is left of a slowing curve: a log-step like the last.
    """
    gains = np.diff(read, axis=1)
    seen = np.isfinite(gains)
    count = seen.sum(axis=0)
    mean = np.where(seen, gains, 0.0).sum(axis=0) / np.maximum(count, 1)
    reach = int(np.argmax(count < MIN_PEERS)) if (count < MIN_PEERS).any() else len(count)
    tail = mean[max(0, reach - 3) : reach].mean() if reach else 1.0
    mean[reach:] = max(tail, 0.0) * 0.8 ** np.arange(1, len(count) - reach + 1)
    return np.concatenate([[0.0], np.cumsum(mean)])


def _between(row: Array) -> Array:
    """Return `row` moved and stretched to fall from 1 to 0; the logarithm where it goes nowhere."""
    way = row[0] - row[-1]
    line = np.linspace(1.0, 0.0, len(row))
    turns = np.abs(row - row[-1]).max() > 3.0 * abs(way) or abs(way) < 1e-3 * max(1.0, float(np.abs(row).max()))
    return line if turns else (row - row[-1]) / way


def log_time(steps: Array, max_step: int) -> Array:
    """Return u in [0, 1] of every step."""
    return np.asarray(np.log(np.clip(steps, 1.0, float(max(max_step, 1)))) / np.log(max(max_step, 2)))
