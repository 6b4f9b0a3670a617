"""Reading a history as a context for curve predictors, and their forecasts as predicted logs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import numpy as np

from automl_gpt_ray.curves.predictor import Context, Curve, CurvePredictor, Query
from automl_gpt_ray.metrics import METRICS
from automl_gpt_ray.records import Config, History, LogPoint, PredictedLog, TrialRecord
from automl_gpt_ray.space import SearchSpace

POINTS = 4


@final
class Reader:
    """Reads the histories of one run, again and again: what did not change is not read twice.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._curves: dict[str, tuple[object, Curve | None]] = {}

    def context(self, history: History) -> Context:
        """Return what `context_of` returns."""
        curves = (self._curve(trial, history) for trial in history.trials)
        return Context(tuple(curve for curve in curves if curve), history.objective, history.max_step)

    def _curve(self, trial: TrialRecord, history: History) -> Curve | None:
        mark = (len(trial.observations), trial.last_step, trial.failure)
        known = self._curves.get(trial.id)
        if known is None or known[0] != mark:
            inside = known[1] is not None if known else not self._space.problems(trial.config)
            known = self._curves[trial.id] = (mark, _curve(trial, history, self._space) if inside else None)
        return known[1]


def context_of(history: History, space: SearchSpace) -> Context:
    """Return every trial's configuration and curve; a trial that failed without a value is one that diverged.

    Trials from outside the space (imported ones) are left out: their vectors would mean nothing.
    """
    curves = [_curve(trial, history, space) for trial in history.trials if not space.problems(trial.config)]
    return Context(tuple(curves), history.objective, history.max_step)


def untried(key: str, config: Config, space: SearchSpace) -> Curve:
    """Return a configuration without a trial, to be asked about under `key`."""
    return Curve(key, space.to_vector(config))


def predicted_logs(
    predictor: CurvePredictor, context: Context, curves: Sequence[Curve], near: Sequence[int] = ()
) -> list[PredictedLog | None]:
    """Return a forecast of each curve at four later steps, the last of them the final one.

    None for a curve that has reached its end. A metric that is known keeps to its range, unless something reported
    does not.

    Args:
        predictor: Who forecasts.
        context: From what.
        curves: What of.
        near: So many steps on from where a curve stands it is forecast too.
    """
    asked = [(i, step) for i, c in enumerate(curves) for step in _steps(c.last_step, context.max_step, near)]
    told = predictor.predict(context, [Query(curves[i], step) for i, step in asked])
    found: list[list[LogPoint]] = [[] for _ in curves]
    ends = _range(context)
    for n, (i, step) in enumerate(asked):
        middle, low, high = (min(max(float(q[n]), ends[0]), ends[1]) for q in (told.median, told.low, told.high))
        found[i].append(LogPoint(step, middle, low, high))
    metric = context.objective.metric
    return [PredictedLog(metric, tuple(line), predictor.name) if line else None for line in found]


def _range(context: Context) -> tuple[float, float]:
    """Return what values of the objective can be; somebody's own accuracy may be in per cent."""
    known = METRICS.get(context.objective.metric)
    seen = [curve.values[np.isfinite(curve.values)] for curve in context.curves]
    if known is None or any(len(v) and not known.low <= v.min() <= v.max() <= known.high for v in seen):
        return -math.inf, math.inf
    return known.low, known.high


def _curve(trial: TrialRecord, history: History, space: SearchSpace) -> Curve:
    points = trial.curve(history.objective.metric)
    if not points and trial.failure:
        points = ((1, np.nan),)
    steps, values = np.array(points, dtype=float).reshape(-1, 2).T
    return Curve(trial.id, space.to_vector(trial.config), steps, values)


def _steps(last: int, max_step: int, near: Sequence[int]) -> list[int]:
    ahead = max_step - last
    if ahead <= 0:
        return []
    far = {last + max(1, round(ahead * i / POINTS)) for i in range(1, POINTS + 1)}
    return sorted(far | {last + step for step in near if step <= ahead})
