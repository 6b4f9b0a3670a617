"""The scale of a context: any metric, of any range and direction, as numbers whose good end is near 1.

    z = (sign y - low) / (high - low)      low, high: the 20 % quantile and the best of what was reported
    z < 0 is drawn together to -log(1 - z), and ends at FLOOR

so that one exploding loss does not flatten the differences that matter. Diverged values lie at the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from automl_gpt_ray.curves.predictor import Z90, Array, Context, Forecasts

FLOOR = -1.0
LOW_QUANTILE = 0.2


@dataclass(frozen=True)
class Scale:
    """A strictly increasing map of sign x metric, down to the floor; see the module."""

    sign: int
    low: float
    high: float

    @classmethod
    def of(cls, context: Context) -> Self:
        """Return the scale of everything that `context` has reported; of width 1 where that says nothing."""
        sign = context.objective.sign
        reported = [sign * c.values[np.isfinite(c.values)] for c in context.curves]
        values = np.concatenate(reported) if reported else np.empty(0)
        if not len(values):
            return cls(sign, 0.0, 1.0)
        low, high = float(np.quantile(values, LOW_QUANTILE)), float(values.max())
        if not high - low > 1e-12 * max(abs(low), abs(high)) or not np.isfinite(high - low):
            # Equal values: nothing tells their unit but their size.
            return cls(sign, high - max(0.1 * abs(high), 1e-3), high)
        return cls(sign, low, high)

    def apply(self, values: Array) -> Array:
        """Return z, at least FLOOR, finite; NaN and both infinities become FLOOR."""
        finite = np.isfinite(values)
        z = (self.sign * np.where(finite, values, 0.0) - self.low) / (self.high - self.low)
        z = np.where(z < 0, -np.log1p(-np.minimum(z, 0.0)), z)
        return np.maximum(np.where(finite, z, FLOOR), FLOOR)

    def invert(self, z: Array) -> Array:
        """Return the metric's own values; FLOOR and below give the value at the floor."""
        z = np.maximum(z, FLOOR)
        raw = np.where(z < 0, -np.expm1(-np.minimum(z, 0.0)), z)
        return self.sign * (raw * (self.high - self.low) + self.low)

    def forecasts(self, low: Array, median: Array, high: Array) -> Forecasts:
        """Return forecasts from the 10, 50 and 90 % quantiles of z, each of shape (queries,).

        The mean is Swanson's, 0.3 / 0.4 / 0.3 of the quantiles; the standard deviation that of a normal
        with the same 80 % interval. Both are finite and of the metric's unit, whatever the map bends.
        """
        ends = self.invert(low), self.invert(high)
        a, b = (ends[0], ends[1]) if self.sign > 0 else (ends[1], ends[0])
        middle = self.invert(median)
        return Forecasts(a, middle, b, 0.3 * a + 0.4 * middle + 0.3 * b, np.maximum(b - a, 0.0) / (2 * Z90))

    def normal(self, mean: Array, sd: Array) -> Forecasts:
        """Return forecasts from a normal distribution of z, each of shape (queries,)."""
        return self.forecasts(mean - Z90 * sd, mean, mean + Z90 * sd)
