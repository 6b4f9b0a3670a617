"""Reading a history as a context for curve predictors, and their forecasts as predicted logs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import final

import numpy as np

from automl_gpt_ray.curves.predictor import Array, Context, Curve, CurvePredictor, Query
from automl_gpt_ray.metrics import METRICS
from automl_gpt_ray.records import Config, History, LogPoint, PredictedLog, TrialRecord, config_key
from automl_gpt_ray.space import SearchSpace

POINTS = 4
KEPT = 4
"""Of so many times the trials that are looked at, curves are kept."""


@final
class Reader:
    """Reads the histories of one run, again and again: what did not change is not read twice.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._curves: dict[str, tuple[object, Curve | None]] = {}
        self._vectors: dict[str, Array | None] = {}
        self._last: Context | None = None

    def context(self, history: History) -> Context:
        """Return what `context_of` returns: the same object again where no curve has changed, as models know it by."""
        curves = (self._curve(trial, history) for trial in history.trials)
        found = Context(tuple(curve for curve in curves if curve), history.objective, history.max_step)
        if self._last is None or not _alike(self._last, found):
            self._last = found
        return self._last

    def latest(self, history: History, count: int) -> Context:
        """Return what `context_of` returns, of the latest `count` trials within the space only.

        What it reads of earlier ones it forgets: a long run costs no more than a short one.
        """
        curves = (self._curve(trial, history) for trial in reversed(history.trials))
        found = tuple(islice((curve for curve in curves if curve), count))[::-1]
        if len(self._curves) > KEPT * max(count, 1):
            kept = {curve.key for curve in found}
            self._curves = {name: known for name, known in self._curves.items() if name in kept}
            self._vectors.clear()
        return Context(found, history.objective, history.max_step)

    def _curve(self, trial: TrialRecord, history: History) -> Curve | None:
        mark = (len(trial.observations), trial.last_step, trial.failure, trial.lineage.schedule)
        known = self._curves.get(trial.id)
        if known is None or known[0] != mark:
            vector = self._vector(trial)
            made = None if vector is None else _curve(trial, history, vector)
            known = self._curves[trial.id] = (mark, made)
        return known[1]

    def _vector(self, trial: TrialRecord) -> Array | None:
        """Return the vector of the trial's configuration, None where it is from outside the space."""
        # Most of the time that reading takes, and the same at each of a trial's reports.
        key = config_key(trial.config) if trial.lineage.schedule else trial.proposal.key
        if key not in self._vectors:
            outside = self.space.problems(trial.config)
            self._vectors[key] = None if outside else self.space.to_vector(trial.config)
        return self._vectors[key]


def context_of(history: History, space: SearchSpace) -> Context:
    """Return every trial's configuration and curve; a trial that failed without a value is one that diverged.

    Trials from outside the space (imported ones) are left out: their vectors would mean nothing.
    """
    return Reader(space).context(history)


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


def _alike(one: Context, other: Context) -> bool:
    if (one.objective, one.max_step, len(one.curves)) != (other.objective, other.max_step, len(other.curves)):
        return False
    return all(a is b for a, b in zip(one.curves, other.curves, strict=True))


def _range(context: Context) -> tuple[float, float]:
    """Return what values of the objective can be; somebody's own accuracy may be in per cent."""
    known = METRICS.get(context.objective.metric)
    seen = [curve.values[np.isfinite(curve.values)] for curve in context.curves]
    if known is None or any(len(v) and not known.low <= v.min() <= v.max() <= known.high for v in seen):
        return -math.inf, math.inf
    return known.low, known.high


def _curve(trial: TrialRecord, history: History, vector: Array) -> Curve:
    points = trial.curve(history.objective.metric)
    if not points and trial.failure:
        points = ((1, np.nan),)
    steps, values = np.array(points, dtype=float).reshape(-1, 2).T
    return Curve(trial.id, vector, steps, values)


def _steps(last: int, max_step: int, near: Sequence[int]) -> list[int]:
    ahead = max_step - last
    if ahead <= 0:
        return []
    far = {last + max(1, round(ahead * i / POINTS)) for i in range(1, POINTS + 1)}
    return sorted(far | {last + step for step in near if step <= ahead})
