"""Limits on what a chosen model may cost or must reach, and where a trial stands against them.

A trial is judged by the step of its best value, whose checkpoint is the one that is kept; its latency, which
depends on what else the machine does, by the median of its steps. What was not measured is neither kept nor
broken: such a trial stands between the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol, TypeVar

TRAINING_SECONDS, LATENCY = "training_seconds", "latency_ms"
WITHIN, UNKNOWN, BROKEN = 0, 1, 2


class Seen(Protocol):
    """One step of a trial: an `Observation`."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it reported."""

    @property
    def seconds(self) -> float:
        """Of training, since the trial began."""


class Goal(Protocol):
    """What is optimised: an `Objective`."""

    @property
    def metric(self) -> str:
        """Its name."""

    @property
    def sign(self) -> int:
        """+1 when larger is better, -1 when smaller is."""


class Judged(Protocol):
    """A trial: a `TrialRecord`."""

    @property
    def observations(self) -> Sequence[Seen]:
        """What it reported."""

    def value(self, objective: Any) -> float | None:
        """Return its best finite value so far, or None."""


Trial = TypeVar("Trial", bound=Judged)


@dataclass(frozen=True)
class Limit:
    """What a measured quantity must keep to: `low` <= value <= `high`; None where there is no such end."""

    name: str
    low: float | None = None
    high: float | None = None

    def excess(self, value: float) -> float:
        """Return how far `value` is outside, as a share of the limit that it breaks; 0 inside, infinite for NaN."""
        return max(0.0, self.margin(value))

    def margin(self, value: float) -> float:
        """Return how far `value` is outside (positive) or inside (negative or 0), as a share of the nearest limit."""
        if math.isnan(value):
            return math.inf
        ends = ((self.high, 1.0), (self.low, -1.0))
        return max(beyond * (value - end) / max(abs(end), 1e-12) for end, beyond in ends if end is not None)

    def __str__(self) -> str:
        ends = ((self.low, ">="), (self.high, "<="))
        return " and ".join(f"{self.name} {sign} {end:g}" for end, sign in ends if end is not None)


@dataclass(frozen=True)
class Limits:
    """All limits of a run; none by default."""

    limits: tuple[Limit, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limits)

    def excesses(self, measured: Mapping[str, float]) -> dict[str, float | None]:
        """Return limit to excess; None where it was not measured."""
        return {
            limit.name: limit.excess(measured[limit.name]) if limit.name in measured else None for limit in self.limits
        }

    def rank(self, observations: Sequence[Seen], metric: str, value: float | None) -> tuple[int, float]:
        """Return where a trial with this best value of `metric` stands; smaller is better.

        Returns:
            (WITHIN, 0) within all limits, (UNKNOWN, 0) where something was not measured and nothing is broken,
            else (BROKEN, sum of the excesses).
        """
        if not self.limits:
            return (WITHIN, 0.0)
        found = self.excesses(measured(observations, metric, value)).values()
        broken = sum(excess for excess in found if excess)
        if broken:
            return (BROKEN, broken)
        return (UNKNOWN if None in found else WITHIN, 0.0)


NO_LIMITS = Limits()


def ranked(trials: Iterable[Trial], objective: Goal, limits: Limits) -> list[Trial]:
    """Return the trials with a value, best first: by the limits, then by the value; earlier ones first on a tie."""
    found = [trial for trial in trials if trial.value(objective) is not None]
    return sorted(found, key=lambda trial: _rank(trial, objective, limits))


def best_of(trials: Iterable[Trial], objective: Goal, limits: Limits) -> Trial | None:
    """Return the first of `ranked`, None where no trial has a value."""
    best: tuple[tuple[int, float, float], Trial] | None = None
    for trial in trials:
        if trial.value(objective) is not None:
            rank = _rank(trial, objective, limits)
            best = (rank, trial) if best is None or rank < best[0] else best
    return best[1] if best else None


def _rank(trial: Judged, objective: Goal, limits: Limits) -> tuple[int, float, float]:
    value = trial.value(objective)
    worth = math.inf if value is None else -objective.sign * value
    return (*limits.rank(trial.observations, objective.metric, value), worth)


def measured(observations: Sequence[Seen], metric: str, value: float | None) -> dict[str, float]:
    """Return what a trial cost and scored at the last step at which `metric` was `value`; empty where it never was."""
    best = next(
        (seen for seen in reversed(observations) if value is not None and seen.metrics.get(metric) == value), None
    )
    if best is None:
        return {}
    latencies = [seen.metrics[LATENCY] for seen in observations if LATENCY in seen.metrics]
    latency = {LATENCY: median(latencies)} if latencies else {}
    return {**best.metrics, **latency, TRAINING_SECONDS: best.seconds}
