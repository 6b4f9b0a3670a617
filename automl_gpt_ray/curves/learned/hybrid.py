"""Curves extrapolated by the network, carried to new configurations by a Gaussian process.

    model = Hybrid(LearnedForecaster.shipped()).fit(context)

What the network believes of each trial's final value enters the process as an observation with its own noise,
as in `curves.freeze_thaw`. Of the trials themselves the network is believed. Forecasts of a configuration that no
trial has tried, which are scored on their intervals, hear process and network alike, each as far as it is sure:

    w_i ~ 1 / var_i,   mean = sum w_i mean_i,   var = sum w_i (var_i + (mean_i - mean)^2)

They know the same trials, so that two opinions make nobody surer than one. The planner goes by the process alone:
with the wider variances of both it starts too many trials or, narrowed, too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from automl_gpt_ray.curves import process
from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned.alone import NetworkCarrier
from automl_gpt_ray.curves.learned.forecaster import Ends, LearnedForecaster
from automl_gpt_ray.curves.predictor import Z90, Array, Context, Forecasts, Query
from automl_gpt_ray.curves.process import Process
from automl_gpt_ray.curves.scale import Scale
from automl_gpt_ray.curves.thinning import informative

# What is believed of finals before any is seen, and how many trials this is worth.
CENTRE, VARIANCE, PSEUDO = 0.6, 0.25, 2.0
FEW = 15.0
"""A process fitted to n trials is too sure by about 1 + FEW / n, as in `curves.freeze_thaw`."""
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
        return self.ends.reached[[i for i, c in enumerate(self.context.curves) if len(c.steps)]]

    def updated(self, context: Context) -> CurveModel:
        """Return the same model of a later `context`: all is asked anew but what the process has learned."""
        scale = Scale.of(context)
        ends = self.forecaster.ends(context, scale, context.curves)
        if ends is None:
            return FreezeThaw().fit(context)
        chosen = informative(context, ends.mean)
        kept = replace(self.process, centre=_moments(ends, chosen)[0])
        kept = kept.given(_vectors(context, chosen), ends.mean[chosen], ends.var[chosen])
        return LearnedCurves(context, scale, kept, ends, self.forecaster)

    def predict(self, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        told = self.forecaster.predict(self.context, queries)
        new = [i for i, q in enumerate(queries) if not len(q.curve.steps)]
        return self._carried(told, queries, new) if new else told

    def _carried(self, told: Forecasts, queries: Sequence[Query], new: Sequence[int]) -> Forecasts:
        """Return forecasts in which those of untried configurations end where both together say.

        Before the end they keep the network's way there, moved and stretched as their ends are.
        """
        curves = [queries[i].curve for i in new]
        ends = self.forecaster.predict(self.context, [Query(c, self.context.max_step) for c in curves])
        mean, var = self._heard(np.stack([c.vector for c in curves]))
        low, middle, high = (self.scale.apply(v) for v in (ends.low, ends.median, ends.high))
        wide = np.maximum(np.abs(high - low), 1e-3)
        z = np.stack([self.scale.apply(v) for v in (told.low, told.median, told.high)])
        z = z if self.scale.sign > 0 else z[::-1].copy()
        at = z[:, new]
        share = np.clip(np.ptp(at, axis=0) / wide, 0.0, 1.0)
        centre = at[1] + share * (mean - middle)
        z[:, new] = centre + (at - at[1]) * (2 * Z90 * np.sqrt(var) / wide)
        return self.scale.forecasts(*z)

    def _heard(self, vectors: Array) -> tuple[Array, Array]:
        """Return mean and variance of finals as the module says."""
        network = NetworkCarrier(self.context, self.scale, self.forecaster, narrower=1.0)
        pairs = zip(self.process.finals(vectors), network.finals(vectors), strict=True)
        of, var = (np.stack(pair) for pair in pairs)
        var[0] *= 1.0 + FEW / max(len(self.process.vectors), 1)
        share = var[1] / var.sum(axis=0)
        mean = share * of[0] + (1 - share) * of[1]
        apart = share * (of[0] - mean) ** 2 + (1 - share) * (of[1] - mean) ** 2
        return mean, share * var[0] + (1 - share) * var[1] + apart


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
        ends = self._forecaster.ends(context, scale, context.curves)
        if ends is None:
            return FreezeThaw().fit(context, start)
        chosen = informative(context, ends.mean)
        centre, variance = _moments(ends, chosen)
        fitted = process.fit(_vectors(context, chosen), ends.mean[chosen], ends.var[chosen], centre, variance, start)
        return LearnedCurves(context, scale, fitted, ends, self._forecaster)


@final
class Combination:
    """The same as a predictor of any context; reads the shipped weights when first asked."""

    name = NAME

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        return Hybrid(LearnedForecaster.shipped()).fit(context).predict(queries)


def _moments(ends: Ends, chosen: Sequence[int]) -> tuple[float, float]:
    """Return centre and variance of the finals."""
    mean, var = ends.mean[list(chosen)], ends.var[list(chosen)]
    total = len(mean) + PSEUDO
    centre = float((mean.sum() + PSEUDO * CENTRE) / total)
    apart = ((mean - centre) ** 2 + var).sum() + PSEUDO * VARIANCE
    return centre, float(apart / total)


def _vectors(context: Context, chosen: Sequence[int]) -> Array:
    return np.stack([context.curves[i].vector for i in chosen])
