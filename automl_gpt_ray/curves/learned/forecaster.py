"""The learned forecaster: any curve at any later step in one forward pass, from all that the run has shown.

    forecaster = LearnedForecaster.shipped()            # reads the weights; torch is imported here
    forecasts = forecaster.predict(context, queries)

Where several networks are shipped their distributions are averaged. One thread, no gradient, no randomness.
A run that has reported nothing finite is answered as the last value would be: nothing tells its unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from automl_gpt_ray.curves.last_value import LastValue
from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.curves.learned.reading import Reading, read, row
from automl_gpt_ray.curves.predictor import Z90, Array, Context, Curve, Forecasts, Query
from automl_gpt_ray.curves.scale import Scale

if TYPE_CHECKING:
    from automl_gpt_ray.curves.learned.asking import Asked
    from automl_gpt_ray.curves.learned.model import Network

LEAST, LEAST_SD = 0.004, 1e-3
NAME = "network"


@final
@dataclass(frozen=True, eq=False)
class Ends:
    """What the network believes of trials, in z, arrays of shape (curves,).

    Attributes:
        reached: What each has reached by now, its noise smoothed away; of an untried one nothing.
        mean: Of its final value.
        var: Of its final value.
        median: Of its final value.
        upside: Variance of a normal with this median and the same 90 % quantile. What may come out well is
            judged by it: a trial that may break is not the more promising for that.
    """

    reached: Array
    mean: Array
    var: Array
    median: Array
    upside: Array

    def reached_of(self, context: Context) -> Array:
        """Return `reached` of the curves of `context`, which are those asked about, that have reported something."""
        return self.reached[[i for i, c in enumerate(context.curves) if len(c.steps)]]


@final
class LearnedForecaster:
    """See the module.

    Args:
        networks: At least one.
    """

    name = NAME

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = list(networks)
        self._last: tuple[Context, Ends | None] | None = None
        self._told: tuple[Context, Sequence[Query], Forecasts] | None = None

    @classmethod
    def shipped(cls) -> LearnedForecaster:
        """Return the one that comes with the package.

        Raises:
            DataError: Its weights are missing or damaged; ask `weights.unavailable` first.
        """
        return _loaded(weights.SHIPPED)

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order; the latest are kept, for several models ask the same in turn."""
        told = self._told  # one tuple, so that threads never see halves of two
        if told is None or told[0] is not context or not _same(told[1], queries):
            told = self._told = (context, tuple(queries), self._forecasts(context, queries))
        return told[2]

    def _forecasts(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        if not queries:
            return Scale.of(context).normal(np.empty(0), np.empty(0))
        scale = Scale.of(context)
        found = self._asked(context, scale, [q.curve for q in queries], np.array([q.step for q in queries]), 0.0)
        if found is None:
            return LastValue().predict(context, queries)
        reading, asked = found
        z = _settled(reading, queries, asked.quantiles, scale, context.max_step)
        return scale.forecasts(z[:, 0], z[:, 1], z[:, 2])

    def own_ends(self, context: Context) -> Ends | None:
        """Return `ends` of the context's own curves; the latest are kept, for several models ask after them in turn."""
        last = self._last  # one tuple, so that threads never see halves of two
        if last is None or last[0] is not context:
            last = self._last = (context, self.ends(context, Scale.of(context), context.curves))
        return last[1]

    def ends(self, context: Context, scale: Scale, curves: Sequence[Curve]) -> Ends | None:
        """Return what is believed of the values without noise; None where nothing finite was reported."""
        last = np.array([float(context.max_step)] * len(curves) + [float(max(c.last_step, 1)) for c in curves])
        found = self._asked(context, scale, [*curves, *curves], last, 1.0)
        if found is None:
            return None
        n = len(curves)
        reading, asked = found
        rows = np.array([row(reading, c) for c in curves])
        lost = reading.lost[rows]
        low, middle, high = asked.quantiles[:n].T
        mean, sd = 0.3 * low + 0.4 * middle + 0.3 * high, np.maximum((high - low) / (2 * Z90), LEAST_SD)
        done = reading.last[rows] >= 1.0
        reached = np.where(lost, -1.0, np.where(done, reading.ends[rows], asked.quantiles[n:, 1]))
        mean, middle = (np.where(lost, -1.0, np.where(done, reached, v)) for v in (mean, middle))
        up = np.where(lost | done, LEAST_SD, np.maximum((high - asked.quantiles[:n, 1]) / Z90, LEAST_SD))
        return Ends(reached, mean, np.where(lost, LEAST_SD, sd) ** 2, middle, up**2)

    def _asked(
        self, context: Context, scale: Scale, curves: Sequence[Curve], steps: Array, clean: float
    ) -> tuple[Reading, Asked] | None:
        reading = read(context, scale, curves)
        if reading is None:
            return None
        from automl_gpt_ray.curves.learned.asking import ask

        rows = np.array([row(reading, c) for c in curves])
        return reading, ask(self._networks, reading, rows, np.minimum(steps / context.max_step, 1.0), clean)


@cache
def _loaded(folder: Path) -> LearnedForecaster:
    return LearnedForecaster(weights.load(folder))


def _same(asked: Sequence[Query], again: Sequence[Query]) -> bool:
    if len(asked) != len(again):
        return False
    return all(a.curve is b.curve and a.step == b.step for a, b in zip(asked, again, strict=True))


def _settled(reading: Reading, queries: Sequence[Query], z: Array, scale: Scale, max_step: int) -> Array:
    """Return quantiles with what needs no forecast put right: steps that were seen, and what diverged."""
    z = z.copy()
    for i, query in enumerate(queries):
        curve = query.curve
        if curve.diverged:
            z[i] = scale.apply(curve.values[-1:])[0]
        elif query.step <= curve.last_step:
            z[i] = np.interp(query.step, curve.steps, scale.apply(curve.values))
        else:
            continue
        z[i] += np.array([-LEAST, 0.0, LEAST])
    return z
