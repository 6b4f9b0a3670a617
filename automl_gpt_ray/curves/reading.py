"""A history as curve predictors read it: configurations as vectors, trials as curves.

    context = Reader(space).context(history)

One number in [0, 1] for each searched hyperparameter, on its own scale, 0.5 where it is inactive; a choice
has one number an option instead (one for two options), all 0 where it is inactive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from automl_gpt_ray.curves.predictor import Array, Context, Curve
from automl_gpt_ray.parameters import ChoiceParameter
from automl_gpt_ray.records import Config, History, LogPoint, PredictedLog, TrialRecord, TrialState
from automl_gpt_ray.space import SearchSpace

HARMLESS = ("lost",)
"""Failures that say nothing about the configuration."""


@final
class Reader:
    """Reads histories of one search space; remembers the curves that did not change.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._curves: dict[str, tuple[object, Curve]] = {}

    def context(self, history: History) -> Context:
        """Return the trials of a history as curves, those that have not reported yet included."""
        curves = tuple(self._curve(trial, history.objective.metric) for trial in history.trials)
        return Context(curves, history.objective, history.max_step)

    def vectors(self, configs: Sequence[Config]) -> Array:
        """Return shape (len(configs), dimensions)."""
        return np.array([self.vector(config) for config in configs]).reshape(len(configs), self.dimensions)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return len(self.vector(self._space.default))

    def vector(self, config: Config) -> Array:
        """Return shape (dimensions,), each in [0, 1]."""
        parts: list[float] = []
        for name, parameter in self._space.searched.items():
            if not isinstance(parameter, ChoiceParameter):
                parts.append(parameter.to_unit(config[name]) if name in config else 0.5)
            elif len(parameter.choices) <= 2:
                parts.append(float(parameter.index(config[name])) if name in config else 0.0)
            else:
                chosen = parameter.index(config[name]) if name in config else -1
                parts += [float(place == chosen) for place in range(len(parameter.choices))]
        return np.array(parts, dtype=float)

    def _curve(self, trial: TrialRecord, metric: str) -> Curve:
        mark = (len(trial.observations), trial.last_step, trial.state, trial.failure)
        known = self._curves.get(trial.id)
        if known and known[0] == mark:
            return known[1]
        vector = known[1].vector if known else self.vector(trial.config)
        points = list(trial.curve(metric))
        if trial.state is TrialState.FAILED and trial.failure not in HARMLESS:
            # It would not have trained any further: as bad as a value can be.
            points.append((trial.last_step + 1, float("nan")))
        steps = np.array([step for step, _ in points], dtype=float)
        curve = Curve(trial.id, vector, steps, np.array([value for _, value in points], dtype=float))
        self._curves[trial.id] = (mark, curve)
        return curve


def log_of(metric: str, source: str, steps: Sequence[int], low: Array, median: Array, high: Array) -> PredictedLog:
    """Return forecasts of one trial, each array of shape (len(steps),), as a predicted log."""
    points = (LogPoint(s, float(m), float(a), float(b)) for s, m, a, b in zip(steps, median, low, high, strict=True))
    return PredictedLog(metric, tuple(points), source)
