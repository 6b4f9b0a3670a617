"""The planner: what every trial and every proposal promises, so that compute goes to the most promising.

Trials that run, wait or could start compete in one pool, by the expected improvement of their final values
(`curves.planner`). The model of the curves is fitted anew now and then (up to seconds) and brought up to date
in milliseconds in between. Who acts on a ranking, and when, is `steering.Steering`'s to say.

    planner = Planner(space, max_step=50)
    ranking = planner.rank(history, asked=["t3"])
    ranking.trials["t3"], ranking.proposals["classical-7-0"], ranking.forecasts["t3"]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np

from automl_gpt_ray.curves.freeze_thaw import Fitted, FittedCurves, FreezeThaw
from automl_gpt_ray.curves.planner import Costs, Ranks, ranks
from automl_gpt_ray.curves.predictor import Array, Context
from automl_gpt_ray.curves.reading import Reader, predicted_logs
from automl_gpt_ray.records import History, PredictedLog, Proposal, TrialState
from automl_gpt_ray.space import SearchSpace

SOURCE = FreezeThaw.name
"""Under which the planner's forecasts are scored."""


@dataclass(frozen=True)
class Ranking:
    """What trials and proposals promised at one moment.

    Attributes:
        version: Of the history.
        trials: Trial that has not ended to the expected improvement of its final value if it goes on, in z of
            `curves.scale`; those that cannot go on are left out.
        proposals: The same of queued proposals, by id.
        finals: Trial that has not ended to the final value predicted of it, on the run's own scale.
        forecasts: Trial that was asked about to what is forecast of it.
    """

    version: int
    trials: Mapping[str, float] = field(default_factory=dict)
    proposals: Mapping[str, float] = field(default_factory=dict)
    finals: Mapping[str, float] = field(default_factory=dict)
    forecasts: Mapping[str, PredictedLog] = field(default_factory=dict)


@final
class Planner:
    """Ranks what one run could do. One caller at a time.

    Args:
        space: The search space.
        max_step: Steps of a full training.
        left: Steps that the budget still covers, over all trials.
        switch_cost: What pausing one trial and starting another costs now, in steps.

    Attributes:
        forecasts: Trial that has not ended to its latest forecast.
    """

    def __init__(
        self,
        space: SearchSpace,
        max_step: int,
        left: Callable[[History], float] = lambda history: float("inf"),
        switch_cost: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._space, self._reader = space, Reader(space)
        self._left, self._switch_cost = left, switch_cost
        self._max_step = max_step
        self._model: FittedCurves | None = None
        self.forecasts: dict[str, PredictedLog] = {}
        self._seen_at_fit = 0

    def rank(self, history: History, asked: Collection[str] = ()) -> Ranking:
        """Return what everything promises, and a forecast of each trial in `asked`."""
        model = self.model(history)
        able = [p for p in history.pending if not self._space.problems(p.config)]
        found = self._ranks(model, history, able)
        open_ids = {t.id for t in history.trials if not t.state.ended}
        curves = [c for c in model.context.curves if c.key in asked and len(c.steps)]
        near = (max(1, round(self._max_step / 20)), max(1, round(self._max_step / 10)))
        logs = predicted_logs(Fitted(model), model.context, curves, near) if curves else []
        told = {c.key: log for c, log in zip(curves, logs, strict=True) if log}
        self.forecasts = {name: log for name, log in self.forecasts.items() if name in open_ids} | told
        return Ranking(
            history.version,
            {
                c.key: float(gain)
                for c, gain in zip(model.context.curves, found.trials, strict=True)
                if c.key in open_ids and np.isfinite(gain)
            },
            {p.id: float(gain) for p, gain in zip(able, found.candidates, strict=True)},
            _finals(model, open_ids),
            told,
        )

    def model(self, history: History) -> FittedCurves:
        """Return the model of a history, fitted anew or brought up to date."""
        return self._up_to_date(self._reader.context(history))

    def _ranks(self, model: FittedCurves, history: History, able: list[Proposal]) -> Ranks:
        running = [t.id for t in history.in_state(TrialState.RUNNING)]
        cost = self._switch_cost()
        costs = Costs(resume=cost, start=cost)
        vectors = np.array([self._space.to_vector(p.config) for p in able]).reshape(-1, self._space.vector_size)
        return ranks(model, vectors, running, None, self._left(history), costs)

    def _up_to_date(self, context: Context) -> FittedCurves:
        seen = sum(len(curve.steps) for curve in context.curves)
        if self._model is None or seen >= self._seen_at_fit + self._refit_after(seen):
            start = self._model.process.theta if self._model else None
            self._model = FreezeThaw().fit(context, start)
            self._seen_at_fit = seen
        elif self._model.context is not context:
            self._model = self._model.updated(context)
        return self._model

    def _refit_after(self, seen: int) -> int:
        return max(round(self._max_step / 5), seen // 40)


def _finals(model: FittedCurves, wanted: Collection[str]) -> dict[str, float]:
    mean, _ = model.known() if model.context.curves else (np.empty(0), np.empty(0))
    values: Array = model.scale.invert(mean)
    return {c.key: float(v) for c, v in zip(model.context.curves, values, strict=True) if c.key in wanted}
