"""Noise on what methods are shown: each report of the objective is off by a normal error of its own.

The regret is that of the truth: of the configuration and step that look best, what they really reached.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Noise:
    """Independent normal errors.

    Attributes:
        sd: Their standard deviation, in the objective's own unit; 0 for none.
        seed: Of the run.
    """

    sd: float = 0.0
    seed: int = 0

    def of(self, trial: int, step: int) -> float:
        """Return the error of a trial's report; the same whenever it is asked."""
        return self.sd * float(np.random.default_rng([self.seed, 13, trial, step]).standard_normal())

    def shown(self, metrics: Mapping[str, float], metric: str, trial: int, step: int) -> Mapping[str, float]:
        """Return `metrics` with the error on `metric`; what diverged stays so."""
        if self.sd <= 0 or not math.isfinite(metrics[metric]):
            return metrics
        return {**metrics, metric: metrics[metric] + self.of(trial, step)}


EXACT = Noise()
