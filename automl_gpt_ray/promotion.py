"""Promotion by rungs: what goes on, and what waits, while no forecast has earned a say.

Asynchronous successive halving in the form that pauses instead of stopping (Li et al. 2020, algorithm 2): at
each rung the best 1 / eta of the trials that reached it may go on, the others wait, and are promoted later
if they come to belong to the best. Functions of a history.

    rungs: grace, grace eta, grace eta^2, ... up to max_step / sqrt(eta): a pause costs more than the steps it saves
    just before the end
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import final

from automl_gpt_ray.records import History, TrialRecord, TrialState


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

    def may_go_on(self, history: History, trial: TrialRecord) -> bool:
        """Return whether `trial`, which stands at a rung, is among the best there."""
        return trial.id in self._best(history, trial.last_step)

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
        """Return the ids of the best 1 / eta of all trials that reported at `rung`, best first."""
        metric, sign = history.objective.metric, history.objective.sign
        values = ((_value_at(trial, rung, metric), trial.id) for trial in history.trials)
        # NaN is the worst there is; it equals nothing.
        ranked = sorted((-sign * v if v == v else float("inf"), name) for v, name in values if v is not None)
        good = [name for value, name in ranked if value != float("inf")]
        return good[: int(len(ranked) / self.eta)]


def _value_at(trial: TrialRecord, step: int, metric: str) -> float | None:
    place = bisect_left(trial.observations, step, key=lambda seen: seen.step)
    if place == len(trial.observations) or trial.observations[place].step != step:
        return None
    return trial.observations[place].metrics.get(metric)
