"""The seam to whoever predicts learning curves, and what passes through it.

    context = Context((curve_a, curve_b), Objective("accuracy", "max"), max_step=50)
    forecasts = predictor.predict(context, [Query(curve_a, 50), Query(Curve("new", vector), 50)])
    forecasts.low, forecasts.median, forecasts.high        # the 80 % interval, in the metric's own unit

Any range, direction and unit of step. NaN and infinite values are observations like others: the trial
diverged, which is as bad as a value can be. Knows no trial, no history and no search space; `curves.reading`
makes a `Context` of a `History`.

Notation, here and in the implementations:
    t, q, T   an observed step, the step asked for, the last step of a full training
    y         a metric as reported
    z         the same on the context's scale (`curves.scale`): larger is better, good ones near 1
    x         a configuration in the unit cube, shape (d,)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from automl_gpt_ray.records import Objective

Array = np.ndarray[Any, np.dtype[np.float64]]

# The standard normal's 90 % quantile.
Z90 = 1.2815515655446004


def _none() -> Array:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Curve:
    """What is known of one trial, or of a configuration that no trial has tried.

    Attributes:
        key: The trial's id, unique within a context.
        vector: The configuration, shape (d,), in [0, 1]; the same d throughout a context.
        steps: Observed steps, shape (n,), increasing, from 1; n = 0 for a configuration not yet tried.
        values: The metric at each, shape (n,); NaN or infinite where training diverged.
    """

    key: str
    vector: Array
    steps: Array = field(default_factory=_none)
    values: Array = field(default_factory=_none)

    @property
    def last_step(self) -> int:
        """The last observed step; 0 before the first."""
        return int(self.steps[-1]) if len(self.steps) else 0

    @property
    def diverged(self) -> bool:
        """Whether the last value is NaN or infinite."""
        return bool(len(self.values)) and not np.isfinite(self.values[-1])


@dataclass(frozen=True, eq=False)
class Context:
    """Everything a forecast may be made from.

    Attributes:
        curves: In order of their start, keys distinct.
        objective: The metric and its direction.
        max_step: Steps of a full training.
    """

    curves: tuple[Curve, ...]
    objective: Objective
    max_step: int


@dataclass(frozen=True, eq=False)
class Query:
    """What will `curve` have reached at `step`? It may be one of the context's, by its key, or another."""

    curve: Curve
    step: int


@dataclass(frozen=True, eq=False)
class Forecasts:
    """One forecast a query, each array of shape (queries,), finite, in the metric's own unit and direction.

    Attributes:
        low: The 10 % quantile.
        median: The 50 % quantile.
        high: The 90 % quantile.
        mean: The expected value.
        sd: The standard deviation; at least 0.
    """

    low: Array
    median: Array
    high: Array
    mean: Array
    sd: Array


@runtime_checkable
class CurvePredictor(Protocol):
    """Something that predicts a metric at any later step. Pure: equal questions get equal answers."""

    @property
    def name(self) -> str:
        """The source under which its forecasts are scored."""
        ...

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order; from a broad prior where nothing is known."""
        ...
