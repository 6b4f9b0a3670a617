"""The network alone: it extrapolates the curves, and it carries to new configurations.

    model = Alone(LearnedForecaster.shipped()).fit(context)

What is about to be learned of other trials is told to it as curves that have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned.forecaster import NAME, Ends, LearnedForecaster
from automl_gpt_ray.curves.predictor import Array, Context, Curve, Forecasts, Query
from automl_gpt_ray.curves.scale import Scale

CENTRE = 0.6
COURSE, RISE = 6, 0.4
"""Points of a curve that is believed to have ended, and how far below its end it begins, in z."""
NARROWER = 0.5
"""Of standard deviations for new configurations: the best of hundreds of wide ones always beats going on."""


@final
@dataclass(frozen=True, eq=False)
class NetworkCarrier:
    """See `curve_model.Carrier`."""

    context: Context
    scale: Scale
    forecaster: LearnedForecaster
    centre: float = CENTRE
    narrower: float = NARROWER

    @property
    def theta(self) -> Array:
        """Nothing."""
        return np.empty(0)

    def finals(self, vectors: Array) -> tuple[Array, Array]:
        """Return mean and variance of the finals of configurations, in z."""
        asked = [Curve(f"candidate-{i}", vector) for i, vector in enumerate(vectors)]
        ends = self.forecaster.ends(self.context, self.scale, asked) if asked else None
        if ends is None:
            return np.full(len(vectors), self.centre), np.ones(len(vectors))
        return ends.median, ends.upside * self.narrower**2

    def and_also(self, vectors: Array, seen: Array, noise: Array) -> NetworkCarrier:
        """Return what would be believed had these finals been seen too."""
        # A lone last value would be like no curve that the network was trained on.
        steps = np.unique(np.geomspace(1, self.context.max_step, COURSE).round())
        way = 1 - np.log(steps) / max(np.log(self.context.max_step), 1e-9)
        told = self.scale.invert(seen[:, None] - RISE * way)
        ended = (Curve(f"believed-{i}", v, steps, told[i]) for i, v in enumerate(vectors))
        return replace(self, context=replace(self.context, curves=(*self.context.curves, *ended)))


@final
@dataclass(frozen=True, eq=False)
class NetworkCurves:
    """A model; make one with `Alone.fit`."""

    context: Context
    scale: Scale
    process: NetworkCarrier
    ends: Ends
    name: str = NAME

    def known(self) -> tuple[Array, Array]:
        """Return mean and variance of the final z of each trial of the context, each of shape (curves,)."""
        return self.ends.median.copy(), self.ends.upside.copy()

    def reached(self) -> Array:
        """Return z that each trial with a value has reached by now, its noise smoothed away."""
        return self.ends.reached_of(self.context)

    def updated(self, context: Context) -> CurveModel:
        """Return the model of a later `context`."""
        return Alone(self.process.forecaster).fit(context)

    def predict(self, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        return self.process.forecaster.predict(self.context, queries)


@final
class Alone:
    """Makes models of contexts.

    Args:
        forecaster: The network.
    """

    name = NAME

    def __init__(self, forecaster: LearnedForecaster) -> None:
        self._forecaster = forecaster

    def fit(self, context: Context, start: Array | None = None) -> CurveModel:
        """Return a model; where nothing finite was reported, that of parametric fits."""
        scale = Scale.of(context)
        ends = self._forecaster.own_ends(context)
        if ends is None:
            return FreezeThaw().fit(context, start)
        return NetworkCurves(context, scale, NetworkCarrier(context, scale, self._forecaster), ends)
