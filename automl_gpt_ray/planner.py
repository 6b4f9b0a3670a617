"""The planner: what every trial and every proposal promises, so that compute goes to the most promising.

Trials that run, wait or could start compete in one pool, by the expected improvement of their final values
(`curves.planner`). The model of the curves is fitted anew now and then (up to seconds) and brought up to date
in milliseconds in between. Several may compete: all forecast, and the one whose forecasts did best on this run
is gone by (`curves.merit`). Who acts on a ranking, and when, is `steering.Steering`'s to say.

    planner = Planner(space, max_step=50)
    ranking = planner.rank(history, asked=["t3"])
    ranking.trials["t3"], ranking.proposals["classical-7-0"], ranking.forecasts["t3"]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from automl_gpt_ray.curves.curve_model import CurveModel, CurveModelMaker
from automl_gpt_ray.curves.freeze_thaw import Fitted, FreezeThaw
from automl_gpt_ray.curves.gate import Gate
from automl_gpt_ray.curves.merit import best
from automl_gpt_ray.curves.planner import Costs, Ranks, ranks
from automl_gpt_ray.curves.predictor import Array, Context
from automl_gpt_ray.curves.reading import Reader, predicted_logs
from automl_gpt_ray.records import History, PredictedLog, Proposal, TrialState
from automl_gpt_ray.space import SearchSpace

SOURCE = FreezeThaw.name
"""Under which the planner's forecasts are scored, where one model is all there is."""


@dataclass(frozen=True)
class Ranking:
    """What trials and proposals promised at one moment.

    Attributes:
        version: Of the history.
        trials: Trial that has not ended to the expected improvement of its final value if it goes on, in z of
            `curves.scale`, weighed by the steps it takes (`curves.planner`); those that cannot go on are left out.
        proposals: The same of queued proposals, by id.
        finals: Trial that has not ended to the final value predicted of it, on the run's own scale.
        forecasts: Trial that was asked about to what is forecast of it, by the model that is gone by.
        others: The same by the other models, which are scored too: trial and forecast.
        source: Whose model it is.
    """

    version: int
    trials: Mapping[str, float] = field(default_factory=dict)
    proposals: Mapping[str, float] = field(default_factory=dict)
    finals: Mapping[str, float] = field(default_factory=dict)
    forecasts: Mapping[str, PredictedLog] = field(default_factory=dict)
    others: Sequence[tuple[str, PredictedLog]] = ()
    source: str = SOURCE


@final
class Planner:
    """Ranks what one run could do. One caller at a time.

    Args:
        space: The search space.
        max_step: Steps of a full training.
        left: Steps that the budget still covers, over all trials.
        switch_cost: What pausing one trial and starting another costs now, in steps.
        makers: Gives the models that compete, asked at each ranking; by default one alone. The first is
            preferred while nothing is known of any.
        gates: Gives how each did so far.

    Attributes:
        forecasts: Trial that has not ended to its latest forecast.
        source: Whose model is gone by.
    """

    def __init__(
        self,
        space: SearchSpace,
        max_step: int,
        left: Callable[[History], float] = lambda history: float("inf"),
        switch_cost: Callable[[], float] = lambda: 0.0,
        makers: Callable[[], Sequence[CurveModelMaker]] = lambda: [FreezeThaw()],
        gates: Callable[[], Mapping[str, Gate]] = dict,
    ) -> None:
        self._space, self._reader = space, Reader(space)
        self._left, self._switch_cost = left, switch_cost
        self._max_step = max_step
        self._makers, self._gates = makers, gates
        self._kept: dict[str, Kept] = {}
        self.forecasts: dict[str, PredictedLog] = {}
        self.source = SOURCE

    def rank(self, history: History, asked: Collection[str] = (), bare: Collection[str] = ()) -> Ranking:
        """Return what everything promises, and a forecast of each trial in `asked`; those in `bare` begin anew."""
        model = self.model(history)
        able = [p for p in history.pending if not self._space.problems(p.config)]
        redo = {t.id: t.last_step for t in history.trials if t.id in bare}
        found = self._ranks(model, history, able, redo)
        open_ids = {t.id for t in history.trials if not t.state.ended}
        told = self._told(model, asked)
        self.forecasts = {name: log for name, log in self.forecasts.items() if name in open_ids} | told
        others = (self._told(k.of(model.context), asked) for n, k in self._kept.items() if n != self.source)
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
            [(key, log) for logs in others for key, log in logs.items()] if told else (),
            self.source,
        )

    def model(self, history: History) -> CurveModel:
        """Return the model of a history that is gone by, fitted anew or brought up to date."""
        makers = self._makers()
        self._kept = {m.name: self._kept.get(m.name) or Kept(m, self._max_step) for m in makers}
        self.source = best(list(self._kept), self._gates(), self.source)
        return self._kept[self.source].of(self._reader.context(history))

    def _ranks(self, model: CurveModel, history: History, able: list[Proposal], redo: Mapping[str, int]) -> Ranks:
        running = [t.id for t in history.in_state(TrialState.RUNNING)]
        cost = self._switch_cost()
        costs = Costs(resume=cost, start=cost, redo=redo)
        vectors = np.array([self._space.to_vector(p.config) for p in able]).reshape(-1, self._space.vector_size)
        return ranks(model, vectors, running, None, self._left(history), costs)

    def _told(self, model: CurveModel, asked: Collection[str]) -> dict[str, PredictedLog]:
        curves = [c for c in model.context.curves if c.key in asked and len(c.steps)]
        near = (max(1, round(self._max_step / 20)), max(1, round(self._max_step / 10)))
        logs = predicted_logs(Fitted(model), model.context, curves, near) if curves else []
        return {c.key: log for c, log in zip(curves, logs, strict=True) if log}


@final
class Kept:
    """A model of one run's curves, fitted anew now and then and brought up to date in between.

    Args:
        maker: Of the model.
        max_step: Steps of a full training.
    """

    def __init__(self, maker: CurveModelMaker, max_step: int) -> None:
        self._maker, self._max_step = maker, max_step
        self._model: CurveModel | None = None
        self._seen_at_fit = 0

    def of(self, context: Context) -> CurveModel:
        """Return the model of `context`, the same or a later one than before."""
        seen = sum(curve.last_step for curve in context.curves)  # however many of its steps a trial reports
        if self._model is None or seen >= self._seen_at_fit + max(round(self._max_step / 5), seen // 40):
            start = self._model.process.theta if self._model else None
            self._model = self._maker.fit(context, start)
            self._seen_at_fit = seen
        elif self._model.context is not context:
            self._model = self._model.updated(context)
        return self._model


def _finals(model: CurveModel, wanted: Collection[str]) -> dict[str, float]:
    mean, _ = model.known() if model.context.curves else (np.empty(0), np.empty(0))
    values: Array = model.scale.invert(mean)
    return {c.key: float(v) for c, v in zip(model.context.curves, values, strict=True) if c.key in wanted}
