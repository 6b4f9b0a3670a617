"""Curves extrapolated by the network, carried to new configurations by a Gaussian process.

    model = Hybrid(LearnedForecaster.shipped()).fit(context)

What the network believes of each trial's final value enters the process as an observation with its own noise,
as in `curves.freeze_thaw`. Of the trials themselves the network is believed. The planner goes by the process for
new configurations: the best of hundreds of the network's wider beliefs would always beat going on. Forecasts are
the network's, whose intervals hold what they promise for new configurations too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from automl_gpt_ray.curves import process
from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned.forecaster import Ends, LearnedForecaster
from automl_gpt_ray.curves.predictor import Array, Context, Forecasts, Query
from automl_gpt_ray.curves.process import Process
from automl_gpt_ray.curves.scale import Scale
from automl_gpt_ray.curves.thinning import informative

# What is believed of finals before any is seen, and how many trials this is worth.
CENTRE, VARIANCE, PSEUDO = 0.6, 0.25, 2.0
NAME = "combination"


@final
@dataclass(frozen=True, eq=False)
class LearnedCurves:
    """A fitted model; make one with `Hybrid.fit`."""

    context: Context
    scale: Scale
    process: Process
    ends: Ends
    forecaster: LearnedForecaster
    name: str = NAME

    def known(self) -> tuple[Array, Array]:
        """Return mean and variance of the final z of each trial of the context, each of shape (curves,)."""
        mean, var = self.ends.median.copy(), self.ends.upside.copy()
        untried = [i for i, c in enumerate(self.context.curves) if not len(c.steps)]
        if untried:
            vectors = np.stack([self.context.curves[i].vector for i in untried])
            mean[untried], var[untried] = self.process.finals(vectors)
        return mean, var

    def reached(self) -> Array:
        """Return z that each trial with a value has reached by now, its noise smoothed away."""
        return self.ends.reached_of(self.context)

    def updated(self, context: Context) -> CurveModel:
        """Return the same model of a later `context`: all is asked anew but what the process has learned."""
        scale = Scale.of(context)
        ends = self.forecaster.own_ends(context)
        if ends is None:
            return FreezeThaw().fit(context)
        chosen = informative(context, ends.mean)
        kept = replace(self.process, centre=_moments(ends, chosen)[0])
        kept = kept.given(_vectors(context, chosen), ends.mean[chosen], ends.var[chosen])
        return LearnedCurves(context, scale, kept, ends, self.forecaster)

    def predict(self, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        return self.forecaster.predict(self.context, queries)


@final
class Hybrid:
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
        chosen = informative(context, ends.mean)
        centre, variance = _moments(ends, chosen)
        fitted = process.fit(_vectors(context, chosen), ends.mean[chosen], ends.var[chosen], centre, variance, start)
        return LearnedCurves(context, scale, fitted, ends, self._forecaster)


def _moments(ends: Ends, chosen: Sequence[int]) -> tuple[float, float]:
    """Return centre and variance of the finals."""
    mean, var = ends.mean[list(chosen)], ends.var[list(chosen)]
    total = len(mean) + PSEUDO
    centre = float((mean.sum() + PSEUDO * CENTRE) / total)
    apart = ((mean - centre) ** 2 + var).sum() + PSEUDO * VARIANCE
    return centre, float(apart / total)


def _vectors(context: Context, chosen: Sequence[int]) -> Array:
    return np.stack([context.curves[i].vector for i in chosen])
