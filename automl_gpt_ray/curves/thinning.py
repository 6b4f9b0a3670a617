"""Thinning: which points of a long curve, and which curves of a long run, a model looks at.

Points: on a logarithmic grid of steps counted back and forth, the first and the last always kept; curves
change fast first and matter most where they end. Curves: the best half by their last value (each within
those observed about as long would be fairer; in a run that freezes trials the good ones are the long
ones), then the latest started. Both are deterministic.
"""

from __future__ import annotations

import numpy as np

from automl_gpt_ray.curves.predictor import Array, Context, Curve

MAX_POINTS = 10
MAX_CURVES = 96


def thinned(curve: Curve, count: int = MAX_POINTS) -> Curve:
    """Return `curve` with at most `count` points; the last is kept, the others lie log-evenly over the steps."""
    n = len(curve.steps)
    if n <= count:
        return curve
    wanted = np.geomspace(max(curve.steps[0], 1.0), curve.steps[-1], count)
    chosen = np.unique(np.searchsorted(curve.steps, wanted * (1 - 1e-9)).clip(0, n - 1))
    return Curve(curve.key, curve.vector, curve.steps[chosen], curve.values[chosen])


def informative(context: Context, scores: Array, count: int = MAX_CURVES) -> list[int]:
    """Return the positions of at most `count` curves to learn from, in order of their start.

    Args:
        context: Its curves without an observation are never chosen.
        scores: How good each curve is, larger is better, shape (curves,).
        count: At most so many: half of them the best, half the latest of the others.
    """
    seen = [i for i, curve in enumerate(context.curves) if len(curve.steps)]
    if len(seen) <= count:
        return seen
    best = sorted(seen, key=lambda i: (-scores[i], i))[: count // 2]
    rest = [i for i in seen if i not in set(best)]
    return sorted([*best, *rest[-(count - len(best)) :]])
