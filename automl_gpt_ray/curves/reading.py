"""Reading a history as a context for curve predictors, and their forecasts as predicted logs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automl_gpt_ray.curves.predictor import Context, Curve, CurvePredictor, Query
from automl_gpt_ray.records import Config, History, LogPoint, PredictedLog, TrialRecord
from automl_gpt_ray.space import SearchSpace


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
    predictor: CurvePredictor, context: Context, curves: Sequence[Curve], points: int = 4
) -> list[PredictedLog | None]:
    """Return a forecast of each curve at up to `points` later steps, the last of them the final one.

    None for a curve that has reached its end.
    """
    asked = [(i, step) for i, c in enumerate(curves) for step in _steps(c.last_step, context.max_step, points)]
    told = predictor.predict(context, [Query(curves[i], step) for i, step in asked])
    found: list[list[LogPoint]] = [[] for _ in curves]
    for n, (i, step) in enumerate(asked):
        found[i].append(LogPoint(step, float(told.median[n]), float(told.low[n]), float(told.high[n])))
    metric = context.objective.metric
    return [PredictedLog(metric, tuple(line), predictor.name) if line else None for line in found]


def _curve(trial: TrialRecord, history: History, space: SearchSpace) -> Curve:
    points = trial.curve(history.objective.metric)
    if not points and trial.failure:
        points = ((1, np.nan),)
    steps, values = np.array(points, dtype=float).reshape(-1, 2).T
    return Curve(trial.id, space.to_vector(trial.config), steps, values)


def _steps(last: int, max_step: int, points: int) -> list[int]:
    ahead = max_step - last
    return sorted({last + max(1, round(ahead * i / points)) for i in range(1, points + 1)}) if ahead > 0 else []
