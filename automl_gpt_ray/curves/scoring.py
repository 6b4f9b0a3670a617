"""How good forecasts were: pinball loss, coverage of the 80 % interval, rank correlation.

All take arrays over questions, on one scale (`curves.scale`), so that metrics of any range compare.
"""

from __future__ import annotations

import numpy as np

from automl_gpt_ray.curves.predictor import Array

LEVELS = (0.1, 0.5, 0.9)


def pinball(quantiles: Array, truth: Array) -> Array:
    """Return the pinball loss of each question, the mean over the three quantiles, shape (n,).

    At level p, p (y - q) where the truth y lies above the forecast q, and (1 - p)(q - y) below it
    (Koenker and Bassett 1978): least in expectation for the true quantile.

    Args:
        quantiles: The 10, 50 and 90 % quantiles, shape (n, 3).
        truth: What happened, shape (n,).
    """
    levels = np.array(LEVELS)
    off = truth[:, None] - quantiles
    return np.asarray(np.maximum(levels * off, (levels - 1.0) * off).mean(axis=1))


def covered(quantiles: Array, truth: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return whether each truth lies in its 80 % interval, ends included, shape (n,)."""
    return np.asarray((quantiles[:, 0] <= truth) & (truth <= quantiles[:, 2]))


def rank_correlation(a: Array, b: Array) -> float | None:
    """Return Spearman's correlation of two arrays of shape (n,), or None where one of them is constant or n < 3."""
    if len(a) < 3:
        return None
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else None


def _ranks(values: Array) -> Array:
    # Equal values share the mean of their ranks.
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2.0)[place])
