"""The ledger: every forecast, scored against what happened, beside the naive ones on the same questions.

    ledger = Ledger(objective, max_step)
    ledger.forecast("t3", predicted_log)          # at any moment, by any source
    ledger.observe("t3", step, value)             # every report, in order
    ledger.may_stop("language")                   # the gate
    ledger.scores()                               # for the report

Its state is nothing but the forecasts and reports it was given, in order: the same ones give the same ledger,
whether they come from a run or from its journal. Losses are on the scale of the whole run, so they change
with it; what diverged is the worst value there is. Knows no event, no file and no model.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from automl_gpt_ray.curves.gate import Gate
from automl_gpt_ray.curves.predictor import Array, Context, Curve, Query
from automl_gpt_ray.curves.questions import BINS, NAIVE_NAMES, Question, naive_answers
from automl_gpt_ray.curves.scale import Scale
from automl_gpt_ray.curves.scoring import covered, pinball, rank_correlation
from automl_gpt_ray.curves.tally import Tally
from automl_gpt_ray.records import Objective, PredictedLog

# The naive predictors look at the latest so many trials, and so many answered questions are kept a source.
PEERS = 100
KEPT = 5000


@dataclass(frozen=True)
class Score:
    """How one source did on questions with about as much observed.

    Attributes:
        source: Who forecast.
        observed: One of BINS.
        questions: How many were answered.
        trials: Of how many trials.
        pinball: Mean loss, on the run's scale, on which good values lie near 1.
        naive: The same of each naive predictor, by name, on the same questions.
        coverage: Share of the truths within the 80 % interval.
        rank: Spearman's correlation across trials at equal steps, weighted by their number; None where no
            step was forecast for three trials.
        naive_rank: The same of the last value.
    """

    source: str
    observed: str
    questions: int
    trials: int
    pinball: float
    naive: dict[str, float]
    coverage: float
    rank: float | None
    naive_rank: float | None


class Ledger:
    """Forecasts and their scores.

    Args:
        objective: The metric scored; forecasts of others are ignored.
        max_step: Steps of a full training.
        gated: Whether gates are kept; a reader of a long run that needs none is spared their time.
    """

    def __init__(self, objective: Objective, max_step: int, gated: bool = True) -> None:
        self._objective, self._max_step, self._gated = objective, max_step, gated
        self._curves: dict[str, dict[int, float]] = {}
        self._open: dict[str, list[Question]] = defaultdict(list)
        self._answered: dict[str, list[Question]] = defaultdict(list)
        self._gates: dict[str, Gate] = {}
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._made: dict[str, Curve] = {}

    def forecast(self, trial: str, log: PredictedLog) -> None:
        """Enter a forecast of steps that `trial` has not reached; its other points are no forecasts."""
        if log.metric != self._objective.metric:
            return
        curve = self._curve(trial)
        points = [p for p in log.points if p.step > curve.last_step and _sound(p.low, p.value, p.high)]
        naive = naive_answers(self._context(), [Query(curve, point.step) for point in points])
        for point, said in zip(points, naive, strict=True):
            answer = (min(point.low, point.value), point.value, max(point.high, point.value))
            self._open[trial].append(Question(log.source, trial, curve.last_step, point.step, answer, said))

    def observe(self, trial: str, step: int, value: float) -> None:
        """Enter a report, and score the forecasts of the steps it reaches.

        A step that was passed without a report is read linearly between its neighbours. A restarted trial
        that reports a step again changes its curve, and no score.
        """
        curve = self._curves.setdefault(trial, {})
        self._made.pop(trial, None)
        while curve and next(reversed(curve)) >= step:
            curve.popitem()
        before = next(reversed(curve), None)
        curve[step] = value
        due = [q for q in self._open.get(trial, ()) if q.step <= step]
        if due:
            self._open[trial] = [q for q in self._open[trial] if q.step > step]
            self._answer(due, step, value, None if before is None else (before, curve[before]))

    def may_stop(self, source: str) -> bool:
        """Return whether `source` may stop or pause trials now; see `curves.gate`."""
        return self.gate(source).open

    def gate(self, source: str) -> Gate:
        """Return the gate of `source`; shut where it has no scored forecast."""
        return self._gates.get(source, Gate())

    @property
    def sources(self) -> list[str]:
        """Those with a scored forecast, by name."""
        return sorted(self._answered)

    @property
    def answered(self) -> Mapping[str, Sequence[Question]]:
        """Source to its latest scored forecasts, in the order in which they were answered."""
        return {source: tuple(questions) for source, questions in self._answered.items()}

    def scores(self) -> list[Score]:
        """Return a score for each source and bin that has answered questions."""
        scale = self._scale()
        found = []
        for source in self.sources:
            for place, name in enumerate(BINS):
                questions = [q for q in self._answered[source] if q.share(self._max_step) == place]
                if questions:
                    found.append(_score(source, name, questions, scale))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the whole ledger for JSON; `from_dict` reads it."""
        return {
            "metric": self._objective.metric,
            "mode": self._objective.mode,
            "max_step": self._max_step,
            "curves": {
                t: [[s, v if math.isfinite(v) else str(v)] for s, v in c.items()] for t, c in self._curves.items()
            },
            "open": [q.to_dict() for questions in self._open.values() for q in questions],
            "answered": [q.to_dict() for questions in self._answered.values() for q in questions],
            "gates": {s: [g.open, g.trials, g.evidence, g.skill] for s, g in self._gates.items()},
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Ledger:
        """Read what `to_dict` wrote."""
        ledger = cls(Objective(raw["metric"], raw["mode"]), raw["max_step"])
        ledger._curves = {t: {int(s): float(v) for s, v in points} for t, points in raw["curves"].items()}
        for each in map(Question.from_dict, raw["open"]):
            ledger._open[each.trial].append(each)
        for each in map(Question.from_dict, raw["answered"]):
            ledger._keep(each)
        ledger._gates = {source: Gate(*values) for source, values in raw["gates"].items()}
        return ledger

    def _answer(self, due: list[Question], step: int, value: float, before: tuple[int, float] | None) -> None:
        for question in due:
            truth = value
            if before is not None and question.step < step and math.isfinite(value):
                truth = float(np.interp(question.step, [before[0], step], [before[1], value]))
            self._keep(replace(question, truth=truth))
        if not self._gated:
            return
        scale = self._scale()
        for source in sorted({q.source for q in due}):
            losses = self._tallies[source].losses(scale)
            self._gates[source] = self.gate(source).next(losses[:, 0], losses[:, 1:])

    def _keep(self, question: Question) -> None:
        """Enter an answered question, and forget the oldest one too many; gates go by those with something observed."""
        kept, tally = self._answered[question.source], self._tallies[question.source]
        kept.append(question)
        if question.observed:
            tally.add(question)
        tally.forget(sum(1 for old in kept[:-KEPT] if old.observed))
        del kept[:-KEPT]

    def _curve(self, trial: str) -> Curve:
        if trial not in self._made:
            points = self._curves.get(trial, {})
            steps, values = np.array(list(points), dtype=float), np.array(list(points.values()))
            self._made[trial] = Curve(trial, np.empty(0), steps, values)
        return self._made[trial]

    def _context(self) -> Context:
        return Context(tuple(self._curve(t) for t in list(self._curves)[-PEERS:]), self._objective, self._max_step)

    def _scale(self) -> Scale:
        return Scale.of(Context(tuple(map(self._curve, self._curves)), self._objective, self._max_step))


def _sound(low: float, value: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(value) and math.isfinite(high)


def _scaled(answers: Sequence[tuple[float, float, float]], scale: Scale) -> Array:
    """Return the quantiles in z, the lowest first whichever way the metric goes, shape (n, 3)."""
    return np.sort(scale.apply(np.array(answers, dtype=float).reshape(-1, 3)), axis=1)


def _truths(questions: Sequence[Question], scale: Scale) -> Array:
    return scale.apply(np.array([q.truth for q in questions], dtype=float))


def _losses(questions: Sequence[Question], scale: Scale) -> Array:
    """Return the losses of the source and of each naive predictor, shape (n, 1 + naive)."""
    truth = _truths(questions, scale)
    told = [[q.answer for q in questions], *([q.naive[i] for q in questions] for i in range(len(NAIVE_NAMES)))]
    return np.stack([pinball(_scaled(answers, scale), truth) for answers in told], axis=1)


def _score(source: str, observed: str, questions: Sequence[Question], scale: Scale) -> Score:
    losses = _losses(questions, scale).mean(axis=0)
    answers = _scaled([q.answer for q in questions], scale)
    return Score(
        source,
        observed,
        len(questions),
        len({q.trial for q in questions}),
        float(losses[0]),
        dict(zip(NAIVE_NAMES, map(float, losses[1:]), strict=True)),
        float(covered(answers, _truths(questions, scale)).mean()),
        _rank(questions, [q.answer[1] for q in questions]),
        _rank(questions, [q.naive[0][1] for q in questions]),
    )


def _rank(questions: Sequence[Question], values: Sequence[float]) -> float | None:
    groups: dict[int, dict[str, tuple[float, float]]] = defaultdict(dict)
    for question, value in zip(questions, values, strict=True):
        if question.truth is not None and math.isfinite(question.truth):
            groups[question.step][question.trial] = (value, question.truth)
    found = []
    for pairs in groups.values():
        said, truth = np.array(list(pairs.values())).T
        correlation = rank_correlation(said, truth)
        if correlation is not None:
            found.append((correlation, len(said)))
    return float(np.average([c for c, _ in found], weights=[n for _, n in found])) if found else None
