"""Curve facts: what can be computed of a trial's log, so that nobody has to guess it from the numbers.

Notation: y_i the finite values of the metric at steps s_i, in order; sign +1 where larger is better.

    noise   = 1.4826 median |d_i - median d| / sqrt 2, d_i = y_(i+1) - y_i       (robust: Rousseeuw & Croux 1993)
    slope   = least squares over the last LOOK points, in units of the metric a step
    spike   : |y_i - median(y_(i-1), y_i, y_(i+1))| > SPIKE noise
    plateau = steps since the best value was last beaten by more than the noise

Pure; everything is on the metric's own scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automl_gpt_ray.curves.predictor import Array
from automl_gpt_ray.records import History, TrialRecord

LOOK = 5
SPIKE = 5.0
TRAIN = "train_"


@dataclass(frozen=True)
class CurveFacts:
    """What a trial's curve says.

    Attributes:
        step: Its last step.
        value: The last value; NaN where that is what was reported, None where nothing was.
        best: The best finite value so far.
        best_step: Where it was.
        slope: Units of the metric a step, over the last points; None below two finite values.
        gap: Training value minus validation value at the last step that reported both.
        plateau: Steps since the best was last beaten by more than the noise.
        spikes: Single values far off their neighbours.
        missing: Reports that were NaN or infinite.
        rank: Place among all trials at this step by their best so far, from 1; None without a finite value.
        peers: Trials that have reported at this step, this one included.
        surprise: How far the last value lies from the proposer's predicted log at this step, in half widths of its
            80 % interval: above 0 where it is better, beyond 1 outside; None without a predicted log.
    """

    step: int
    value: float | None = None
    best: float | None = None
    best_step: int | None = None
    slope: float | None = None
    gap: float | None = None
    plateau: int = 0
    spikes: int = 0
    missing: int = 0
    rank: int | None = None
    peers: int = 0
    surprise: float | None = None


def facts_of(trial: TrialRecord, history: History) -> CurveFacts:
    """Return the facts of a trial's curve among those of its run."""
    objective = history.objective
    curve = trial.curve(objective.metric)
    finite = [(s, v) for s, v in curve if math.isfinite(v)]
    steps, values = np.array([s for s, _ in finite], dtype=float), np.array([v for _, v in finite], dtype=float)
    signed = objective.sign * values
    rank, peers = _rank(trial, history)
    return CurveFacts(
        step=trial.last_step,
        value=curve[-1][1] if curve else None,
        best=float(values[signed.argmax()]) if len(values) else None,
        best_step=int(steps[signed.argmax()]) if len(values) else None,
        slope=_slope(steps[-LOOK:], values[-LOOK:]),
        gap=_gap(trial, objective.metric),
        plateau=_plateau(steps, signed, trial.last_step),
        spikes=_spikes(values),
        missing=len(curve) - len(finite),
        rank=rank,
        peers=peers,
        surprise=_surprise(trial, curve, objective.sign),
    )


def _noise(values: Array) -> float:
    if len(values) < 3:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        moves = np.diff(values)
        noise = float(1.4826 * np.median(np.abs(moves - np.median(moves))) / 2**0.5)
    return noise if math.isfinite(noise) else math.inf


def _slope(steps: Array, values: Array) -> float | None:
    if len(steps) < 2:
        return None
    around = steps - steps.mean()
    with np.errstate(over="ignore", invalid="ignore"):
        slope = float((around * (values - values.mean())).sum() / (around**2).sum())
    return slope if math.isfinite(slope) else None


def _gap(trial: TrialRecord, metric: str) -> float | None:
    for seen in reversed(trial.observations):
        train, valid = seen.metrics.get(TRAIN + metric), seen.metrics.get(metric)
        if train is not None and valid is not None and math.isfinite(train) and math.isfinite(valid):
            return train - valid
    return None


def _plateau(steps: Array, signed: Array, last: int) -> int:
    if not len(signed):
        return 0
    noise, since, best = _noise(signed), float(steps[0]), float(signed[0])
    for step, value in zip(steps[1:], signed[1:], strict=True):
        if float(value) - noise > best:
            since, best = float(step), float(value)
    return int(last - since)


def _spikes(values: Array) -> int:
    if len(values) < 4:
        return 0
    neighbours = np.stack([values[:-2], values[1:-1], values[2:]])
    off = np.abs(values[1:-1] - np.median(neighbours, axis=0))
    return int((off > max(SPIKE * _noise(values), 1e-12)).sum())


def _rank(trial: TrialRecord, history: History) -> tuple[int | None, int]:
    """Return the place among the trials that have come as far, by their best values up to here, and their number."""
    objective, step = history.objective, trial.last_step
    if not step:
        return None, 0
    reached = [t for t in history.trials if t.last_step >= step]
    best = {t.id: objective.best(v for s, v in t.curve(objective.metric) if s <= step) for t in reached}
    mine = best.get(trial.id)
    if mine is None:
        return None, len(reached)
    return 1 + sum(1 for value in best.values() if objective.better(value, mine)), len(reached)


def _surprise(trial: TrialRecord, curve: Sequence[tuple[int, float]], sign: int) -> float | None:
    log = trial.proposal.predicted_log
    if log is None or not curve or not math.isfinite(curve[-1][1]):
        return None
    step, value = curve[-1]
    expected = log.at(step)
    half = (expected.high - expected.low) / 2
    return sign * (value - expected.value) / half if half > 0 else None
