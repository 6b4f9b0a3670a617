"""The anytime curve: the best value so far, by training steps and by seconds, with where each trial stood.

Limits of the request count: a trial within them beats any that is not, so the curve may step back in value once.
"""

from __future__ import annotations

from typing import Any

from automl_gpt_ray.events import ResultReported, TrialStarted
from automl_gpt_ray.records import Observation
from automl_gpt_ray.report.story import Story


def anytime(story: Story) -> dict[str, Any]:
    """Return the curve and the trials.

    Returns:
        `best`: (training steps over all trials so far, seconds, value, number of the trial) whenever it changed,
        and once more at the end; `trials`: (steps, seconds, value, number) of each trial's own best;
        `default`: the value of the default configuration, None where it has none.
    """
    walk = _Walk(story)
    for moment in story.moments:
        if isinstance(moment.event, TrialStarted) and moment.event.parent:
            walk.reached[moment.event.trial] = moment.event.parent.step  # a clone does not train its parent's steps
        elif isinstance(moment.event, ResultReported):
            walk.report(moment.event.trial, moment.event.observation, moment.seconds)
    best = walk.best
    if best:
        best.append((walk.steps, story.moments[-1].seconds, *best[-1][2:]))
    default = story.default.value(story.objective) if story.default else None
    return {"best": best, "trials": list(walk.own.values()), "default": default}


class _Walk:
    """What is known half way through a journal."""

    def __init__(self, story: Story) -> None:
        self._objective, self._numbers = story.objective, story.numbers
        self._limits = story.history.limits
        self.steps = 0
        self.reached: dict[str, int] = {}
        self.own: dict[str, tuple[float, float, float, int]] = {}
        self.best: list[tuple[float, float, float, int]] = []
        self._seen: dict[str, list[Observation]] = {}
        self._rank: tuple[int, float, float] | None = None

    def report(self, trial: str, observation: Observation, seconds: float) -> None:
        self.steps += max(1, observation.step - self.reached.get(trial, 0)) if trial in self._numbers else 0
        self.reached[trial] = observation.step
        value = observation.metrics.get(self._objective.metric)
        if trial not in self._numbers or value is None:
            return
        seen = self._seen.setdefault(trial, [])
        if self._limits:
            seen.append(observation)
        if not self._objective.better(value, self.own[trial][2] if trial in self.own else None):
            return
        point = (self.steps, seconds, value, self._numbers[trial])
        self.own[trial] = point
        rank = (*self._limits.rank(seen, self._objective.metric, value), -self._objective.sign * value)
        if self._rank is None or rank < self._rank:
            self._rank = rank
            self.best.append(point)
