"""Targets of a regression on one scale: what a penalty or a least gain means must not hang on their unit.

Notation:
    y       a target, in the data's unit
    c, s    mean and standard deviation of the training targets
    z       (y - c) / s, what a model learns and predicts
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.training.labels import Labels
from automl_gpt_ray.training.scores import Floats


@dataclass(frozen=True)
class TargetScale:
    """From the data's unit to the model's and back; classes pass unchanged.

    Attributes:
        centre: c.
        spread: s, above 0.
    """

    centre: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, card: DataCard, labels: Labels) -> Self:
        """Return the scale of training labels."""
        return cls(float(labels.mean()), float(labels.std()) or 1.0) if card.task == "regression" else cls()

    def taught(self, labels: Labels) -> Labels:
        """Return z for y."""
        return labels if self == TargetScale() else (labels - self.centre) / self.spread

    def told(self, predictions: Floats) -> Floats:
        """Return y for predicted z."""
        return predictions if self == TargetScale() else predictions.astype(np.float64) * self.spread + self.centre
