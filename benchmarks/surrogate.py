"""A table between its rows: a small network fitted to all of its curves answers for any configuration.

    problem = Surrogate(load("lcbench", curves)[0])
    problem.report(problem.open(config), 1)

A table answers a proposal with a row some way off, which is noise to every method that models configurations. Here
what is asked for is what is trained, as in a real run. LCBench's table was itself drawn from a network, without
noise: one fitted to it tells nine tenths or more of the variance of rows it was not shown (`benchmarks/LOG.md`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, final

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from automl_gpt_ray.ray_tune.domains import flatten
from automl_gpt_ray.records import Config
from benchmarks.problems import Floats, Table, embed

WIDTHS = (128, 128)
SHAPES = 8
"""Principal components of the curves that the network predicts."""


@final
class Surrogate:
    """A `Problem` whose curves are predicted from those of a table.

    Regret 0 is the best of the table's configurations as predicted, so that better ones have less than 0.

    Args:
        table: Without trainings that fail.

    Raises:
        ValueError: The table has some, or values that are not finite.
    """

    def __init__(self, table: Table) -> None:
        if table.failed.any() or not np.isfinite(table.values).all():
            raise ValueError(f"`{table.name}` holds trainings that fail: no surrogate is fitted to those")
        self.table, self.name, self.suite, self.brief = table, table.name, f"{table.suite}@surrogate", table.brief
        self.test_best = self.test_median = math.nan
        self._step_s = float(table.step_seconds.mean())
        self._curves: list[Floats] = []
        self._handles: dict[str, int] = {}

    @cached_property
    def best(self) -> float:
        """Best value of any of the table's configurations at any step, as predicted."""
        sign = self.brief.objective.sign
        return float(sign * (sign * self._known).max())

    @cached_property
    def median(self) -> float:
        """Median of their final values, as predicted."""
        return float(np.median(self._known[:, -1]))

    def open(self, config: Mapping[str, Any]) -> int:
        """Return the handle of the curve of `config`."""
        flat: Config = flatten(config)
        key = self.brief.space.key(flat)
        if key not in self._handles:
            self._handles[key] = len(self._curves)
            self._curves.append(self._model.predict(embed(self.brief.space, flat)[None])[0])
        return self._handles[key]

    def snap(self, config: Mapping[str, Any], tried: Collection[int] = ()) -> Mapping[str, Any]:
        """Return `config`: it is what is trained."""
        return config

    def length(self, curve: int) -> int:
        """Return the steps of a full training."""
        return self.brief.max_steps

    def fails(self, curve: int) -> bool:
        """Return False."""
        return False

    def seconds(self, curve: int, step: int) -> float:
        """Return the mean seconds of the table's steps."""
        return self._step_s

    def report(self, curve: int, step: int) -> Mapping[str, float]:
        """Return the predicted value at `step`."""
        return {self.brief.objective.metric: float(self._curves[curve][step - 1])}

    def test(self, curve: int) -> float:
        """Return NaN: only curves are predicted."""
        return math.nan

    def revise(self, curve: int, step: int, config: Mapping[str, Any]) -> int:
        """Return the curve of `config` where nothing was trained yet; else nobody knows."""
        return self.open(config) if step == 0 else self.table.revise(curve, step, config)

    @cached_property
    def _points(self) -> Floats:
        return np.array([embed(self.brief.space, config) for config in self.table.configs])

    @cached_property
    def _model(self) -> TransformedTargetRegressor:
        return fitted(self._points, self.table.values)  # seconds: not before somebody asks

    @cached_property
    def _known(self) -> Floats:
        return np.asarray(self._model.predict(self._points))


def fitted(points: Floats, curves: Floats) -> TransformedTargetRegressor:
    """Return a network from points, shape (rows, d), to curves, shape (rows, steps); the same one each time."""
    network = MLPRegressor(hidden_layer_sizes=WIDTHS, alpha=1e-3, max_iter=300, early_stopping=True, random_state=0)
    shapes = make_pipeline(PCA(min(SHAPES, *curves.shape)), StandardScaler())
    model = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network), transformer=shapes, check_inverse=False
    )
    return model.fit(points, curves)
