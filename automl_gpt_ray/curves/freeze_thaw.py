"""Curves extrapolated one by one, their finals tied together by a Gaussian process over configurations.

    model = FreezeThaw().fit(context)           # seconds of work at most: off the event loop
    mean, var = model.new(vectors)              # finals of configurations never tried, on `model.scale`
    mean, var = model.known()                   # finals of the context's trials
    forecasts = FreezeThaw().predict(context, queries)

At a step before the last, the extrapolation is corrected by what the process adds at the last one, in
proportion to the covariance of the two. At most MAX_CURVES curves are fitted (`curves.thinning`); the others
are answered as if they were new, with their own curve as evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from automl_gpt_ray.curves import process
from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.parametric import Belief, Population, believe, learn
from automl_gpt_ray.curves.predictor import Array, Context, Curve, Forecasts, Query
from automl_gpt_ray.curves.process import Process, combine
from automl_gpt_ray.curves.scale import Scale
from automl_gpt_ray.curves.thinning import informative

NAME = "gp"
SILENT = 1e4
# Forecasts are scored on their intervals, and a process fitted to n curves is too sure by about 1 + FEW / n.
# The planner goes by the variances as they are: wider ones made it start too many trials.
FEW = 15.0


@final
@dataclass(frozen=True, eq=False)
class FittedCurves:
    """What a context says of the final of every trial and configuration; see the module."""

    context: Context
    scale: Scale
    population: Population
    process: Process
    chosen: tuple[int, ...]
    belief: Belief  # of where each trial stands now, and of its final
    name: str = NAME

    def new(self, vectors: Array) -> tuple[Array, Array]:
        """Return mean and variance of the final z of untried configurations, each of shape (m,)."""
        return self.process.finals(vectors)

    def known(self) -> tuple[Array, Array]:
        """Return mean and variance of the final z of each trial of the context, each of shape (curves,)."""
        mean, var = self._known
        return mean.copy(), var.copy()

    @cached_property
    def _known(self) -> tuple[Array, Array]:
        return combine(*self._others(self.context.curves), *message(self.belief, self.population))

    def reached(self) -> Array:
        """Return z that each trial with a value has reached by now, its noise smoothed away."""
        return np.asarray(self.belief.mean[[i for i, c in enumerate(self.context.curves) if len(c.steps)]])

    def updated(self, context: Context) -> FittedCurves:
        """Return the same model of a later `context`: new points and trials count, what is shared stays.

        Milliseconds, where `FreezeThaw.fit` takes up to seconds. The scale stays too.
        """
        old = {c.key: (i, c.last_step) for i, c in enumerate(self.context.curves)}
        fresh = [i for i, c in enumerate(context.curves) if old.get(c.key, (0, -1))[1] != c.last_step]
        later = [context.curves[i] for i in fresh]
        news = believe(self.population, self.scale, later, _now(later))
        columns = []
        for name in ("mean", "var", "final_mean", "final_var", "cov"):
            column = np.empty(len(context.curves))
            kept = [i for i, c in enumerate(context.curves) if c.key in old]
            column[kept] = getattr(self.belief, name)[[old[context.curves[i].key][0] for i in kept]]
            column[fresh] = getattr(news, name)
            columns.append(column)
        return _of(context, self.scale, self.population, Belief(*columns), self.process)

    def predict(self, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        curves = [query.curve for query in queries]
        steps = np.array([query.step for query in queries], dtype=float)
        belief = believe(self.population, self.scale, curves, steps)
        others, unsure = self._others(curves)
        unsure = unsure * (1.0 + FEW / max(len(self.chosen), 1))
        mean, var = combine(others, unsure, *message(belief, self.population))
        share = belief.cov / belief.final_var
        at = belief.mean + share * (mean - belief.final_mean)
        spread = np.maximum(belief.var - share**2 * (belief.final_var - var), 1e-6)
        return self.scale.normal(at, np.sqrt(spread))

    def _others(self, curves: Sequence[Curve]) -> tuple[Array, Array]:
        """Return what the process says of each curve's final from the other trials."""
        if not curves:
            return np.empty(0), np.empty(0)
        mean, var = self.new(np.stack([c.vector for c in curves]))
        place = {self.context.curves[i].key: n for n, i in enumerate(self.chosen)}
        fitted = [(i, place[c.key]) for i, c in enumerate(curves) if c.key in place]
        if fitted:
            here, there = (list(side) for side in zip(*fitted, strict=True))
            others = self.process.without()
            mean[here], var[here] = others[0][there], others[1][there]
        return mean, var


@final
class Fitted:
    """A model that is fitted already, as a predictor of the context it was fitted to and no other.

    Args:
        model: The model.
    """

    def __init__(self, model: CurveModel) -> None:
        self._model = model
        self.name = model.name

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        return self._model.predict(queries)


@final
class FreezeThaw:
    """See the module."""

    name = NAME

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        return self.fit(context).predict(queries)

    def fit(self, context: Context, start: Array | None = None) -> FittedCurves:
        """Fit a context; `start` is the `process.theta` of an earlier fit, which saves most of the time."""
        scale = Scale.of(context)
        population = learn(context, scale)
        belief = believe(population, scale, context.curves, _now(context.curves))
        chosen = informative(context, belief.final_mean)
        seen, noise = message(belief, population)
        vectors = _vectors(context, chosen)
        centre, variance = float(population.centre[1]), float(population.spread[1, 1])
        fitted = process.fit(vectors, seen[chosen], noise[chosen], centre, variance, start)
        return FittedCurves(context, scale, population, fitted, tuple(chosen), belief)


def _of(context: Context, scale: Scale, population: Population, belief: Belief, old: Process) -> FittedCurves:
    chosen = informative(context, belief.final_mean)
    seen, noise = message(belief, population)
    process = old.given(_vectors(context, chosen), seen[chosen], noise[chosen])
    return FittedCurves(context, scale, population, process, tuple(chosen), belief)


def _now(curves: Sequence[Curve]) -> Array:
    return np.array([float(max(c.last_step, 1)) for c in curves])


def _vectors(context: Context, chosen: Sequence[int]) -> Array:
    width = len(context.curves[0].vector) if context.curves else 0
    return np.stack([context.curves[i].vector for i in chosen]) if len(chosen) else np.empty((0, width))


def message(belief: Belief, population: Population) -> tuple[Array, Array]:
    """Return what each curve alone says of its final, as an observation and its variance.

    That is the belief with the population's prior divided out; a curve that says nothing has variance SILENT.
    """
    centre, variance = float(population.centre[1]), float(population.spread[1, 1])
    precision = np.maximum(1.0 / belief.final_var - 1.0 / variance, 1.0 / SILENT)
    seen = (belief.final_mean / belief.final_var - centre / variance) / precision
    silent = precision <= 1.01 / SILENT
    # Dividing out a prior throws weak evidence far off; what it says stays within reason.
    reach = 3.0 * variance**0.5
    return np.where(silent, centre, np.clip(seen, centre - reach, np.maximum(centre + reach, 1.5))), 1.0 / precision
