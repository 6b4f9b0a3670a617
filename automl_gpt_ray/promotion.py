"""Promotion by rungs: what goes on, and what waits, while no forecast has earned a say.

Asynchronous successive halving in the form that pauses instead of stopping (Li et al. 2020, algorithm 2): at
each rung the best 1 / eta of the trials that reached it may go on, the others wait, and are promoted later
if they come to belong to the best. A trial is judged by its first value at or beyond a rung: not every trainable
reports every step. Functions of a history.

    rungs: grace, grace eta, grace eta^2, ... up to max_step / sqrt(eta): a pause costs more than the steps it saves
    just before the end
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import final

from automl_gpt_ray.records import History, Observation, TrialRecord, TrialState


@final
@dataclass(frozen=True)
class Promotion:
    """The rule of a run.

    Attributes:
        max_step: Steps of a full training.
        grace: The first rung, in steps.
        eta: One in so many goes on at each rung; above 1.
    """

    max_step: int
    grace: int = 1
    eta: float = 3.0

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The rungs, in steps, lowest first; none where the first is not much shorter than a full training."""
        found, at = list[int](), float(self.grace)
        while round(at) * self.eta**0.5 <= self.max_step:
            found.append(round(at))
            at = max(at * self.eta, at + 1)
        return tuple(dict.fromkeys(found))

    def judges(self, trial: TrialRecord, metric: str) -> bool:
        """Return whether `trial` stands at a rung: its latest report is the first by which it can be judged there."""
        seen = _seen_at(trial, self._rung(trial), metric) if self._rung(trial) else None
        return seen is not None and seen is trial.observations[-1]

    def may_go_on(self, history: History, trial: TrialRecord) -> bool:
        """Return whether `trial`, which stands at a rung, is among the best there."""
        return trial.id in self._best(history, self._rung(trial))

    def promotable(self, history: History) -> list[TrialRecord]:
        """Return the paused trials that may go on, those of the highest rung and the best of each first."""
        found: list[TrialRecord] = []
        for rung in reversed(self.rungs):
            best = self._best(history, rung)
            waiting = {t.id: t for t in history.in_state(TrialState.PAUSED) if self._rung(t) == rung}
            found += [waiting[name] for name in best if name in waiting]
        return found

    def _rung(self, trial: TrialRecord) -> int:
        """Return the last rung that a trial has reached; 0 before the first."""
        return max((rung for rung in self.rungs if rung <= trial.last_step), default=0)

    def _best(self, history: History, rung: int) -> list[str]:
        """Return the ids of the best 1 / eta of all trials that came to `rung`, best first."""
        metric, sign = history.objective.metric, history.objective.sign
        seen = ((_seen_at(trial, rung, metric), trial.id) for trial in history.trials)
        values = ((found.metrics[metric], name) for found, name in seen if found)
        # NaN and the infinities, of either sign, are the worst there is.
        ranked = sorted((-sign * v if math.isfinite(v) else math.inf, name) for v, name in values)
        good = [name for value, name in ranked if math.isfinite(value)]
        return good[: int(len(ranked) / self.eta)]


def passes(trial: TrialRecord, every: int) -> bool:
    """Return whether the latest report of `trial` is its first at or beyond a multiple of `every` steps."""
    before = trial.observations[-2].step if len(trial.observations) > 1 else _inherited(trial)
    return trial.last_step // every > before // every


def _seen_at(trial: TrialRecord, rung: int, metric: str) -> Observation | None:
    """Return the first observation of `metric` at or beyond `rung`; None where a clone's parent had passed it."""
    if rung <= _inherited(trial):
        return None
    seen, first = trial.observations, bisect_left(trial.observations, rung, key=lambda seen: seen.step)
    return next((seen[i] for i in range(first, len(seen)) if metric in seen[i].metrics), None)


def _inherited(trial: TrialRecord) -> int:
    return trial.lineage.parent.step if trial.lineage.parent else 0
