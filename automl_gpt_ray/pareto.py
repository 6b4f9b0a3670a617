"""What the limits of a request came to: how the chosen trial stands against each, and what the others trade.

A trial is on the front where no other is at least as good in the objective and in every limited quantity, and
better in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from automl_gpt_ray.limits import BROKEN, UNKNOWN, WITHIN, Limit, measured, ranked
from automl_gpt_ray.records import History, TrialRecord

MOST = 12
"""Rows of the table."""

STANDINGS: Mapping[int, str] = {WITHIN: "within", UNKNOWN: "not measured", BROKEN: "breaks"}


@dataclass(frozen=True)
class LimitCheck:
    """How the chosen trial stands against one limit; `kept` is None where `measured` is."""

    name: str
    low: float | None
    high: float | None
    measured: float | None
    kept: bool | None


@dataclass(frozen=True)
class ParetoRow:
    """A trial that trades best: its value, the limited quantities it was measured for, and how it stands."""

    trial: str
    source: str
    value: float
    measured: Mapping[str, float]
    standing: str


def check_limits(history: History) -> tuple[LimitCheck, ...]:
    """Return how the best trial stands against each limit; empty without limits or without a value."""
    best = history.best
    found = _measured(best, history) if best else {}
    return tuple(_check(limit, found.get(limit.name)) for limit in history.limits.limits) if best else ()


def pareto_front(history: History) -> tuple[ParetoRow, ...]:
    """Return the trials on the front, best first; empty without limits. Those lacking a measurement are not on it."""
    limits = history.limits.limits
    rows: list[tuple[TrialRecord, tuple[float, ...]]] = []
    for trial in ranked(history.trials, history.objective, history.limits) if limits else ():
        found = _measured(trial, history)
        if all(limit.name in found and found[limit.name] == found[limit.name] for limit in limits):
            value = trial.value(history.objective) or 0.0
            costs = tuple(c for limit in limits for c in _costs(limit, found[limit.name]))
            rows.append((trial, (-history.objective.sign * value, *costs)))
    front = [trial for trial, point in rows if not any(_dominates(other, point) for _, other in rows)]
    return tuple(_row(trial, history) for trial in front[:MOST])


def _check(limit: Limit, value: float | None) -> LimitCheck:
    return LimitCheck(limit.name, limit.low, limit.high, value, None if value is None else not limit.excess(value))


def _measured(trial: TrialRecord, history: History) -> dict[str, float]:
    return measured(trial.observations, history.objective.metric, trial.value(history.objective))


def _costs(limit: Limit, value: float) -> list[float]:
    """Return the quantity as something of which less is better; of a range, how far it is outside."""
    if limit.low is None:
        return [value]
    return [-value] if limit.high is None else [limit.excess(value)]


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def _row(trial: TrialRecord, history: History) -> ParetoRow:
    value, found = trial.value(history.objective), _measured(trial, history)
    standing, _ = history.limits.rank(trial.observations, history.objective.metric, value)
    shown = {limit.name: found[limit.name] for limit in history.limits.limits}
    return ParetoRow(trial.id, trial.proposal.source, value or 0.0, shown, STANDINGS[standing])
