"""What the peers of a trial gained between two steps, on the context's scale.

A curve between two of its points is read linearly; beyond its last point it is unknown. A peer that
diverged has gained down to the floor from then on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from automl_gpt_ray.curves.predictor import Array, Context, Curve
from automl_gpt_ray.curves.scale import FLOOR, Scale


@dataclass(frozen=True, eq=False)
class PeerGains:
    """The curves of a context on one scale; those without an observation are left out."""

    scale: Scale
    keys: tuple[str, ...]
    steps: tuple[Array, ...]
    values: tuple[Array, ...]
    ended: tuple[bool, ...]

    @classmethod
    def of(cls, context: Context) -> Self:
        """Read `context`."""
        scale = Scale.of(context)
        seen = [c for c in context.curves if len(c.steps)]
        return cls(
            scale,
            tuple(c.key for c in seen),
            tuple(c.steps for c in seen),
            tuple(scale.apply(c.values) for c in seen),
            tuple(c.diverged for c in seen),
        )

    def lasts(self, but: str) -> Array:
        """Return the last z of every peer except `but`."""
        return np.array([z[-1] for key, z in zip(self.keys, self.values, strict=True) if key != but])

    def at(self, step: float, but: str) -> Array:
        """Return z at `step` of the peers that reached it, except `but`."""
        found = [self._read(i, step) for i, key in enumerate(self.keys) if key != but]
        return np.array([z for z in found if not math.isnan(z)])

    def gains(self, curve: Curve, step: float) -> Array:
        """Return what the peers of `curve` gained from its last step to `step`, of those that reached it."""
        pairs = [
            (self._read(i, curve.last_step), self._read(i, step)) for i, key in enumerate(self.keys) if key != curve.key
        ]
        return np.array([b - a for a, b in pairs if not math.isnan(a) and not math.isnan(b)])

    def reach(self, but: str, count: int) -> float:
        """Return the last step that `count` peers reached, 0 where so many never began."""
        ends = sorted((float(s[-1]) for key, s in zip(self.keys, self.steps, strict=True) if key != but), reverse=True)
        return ends[count - 1] if len(ends) >= count else 0.0

    def _read(self, i: int, step: float) -> float:
        steps = self.steps[i]
        if step > steps[-1]:
            return FLOOR if self.ended[i] else math.nan
        return float(np.interp(step, steps, self.values[i]))


def way(start: float, end: float, max_step: int) -> float:
    """Return the share of a training, in the logarithm of its steps, that lies between two steps."""
    return max(0.0, math.log((end + 1) / (start + 1)) / math.log(max_step + 1))
