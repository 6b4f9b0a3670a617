"""The freeze-thaw planner: which trial, paused or new, runs next, and for how many steps.

Compute goes to whatever has the highest expected improvement of the final value over the best value so far
(Swersky et al. 2014; expected improvement rather than entropy search), weighed by the root of the steps it takes:
half way to improvement per cost (Snoek et al. 2012, section 3.2), for the cost is paid a slice at a time. Where
the budget no longer covers those steps it counts for less. Running trials are believed to reach what is predicted
of them, so that workers do not pile on one region. A pure function of its arguments.

    EI(f) = s (r Phi(r) + phi(r)),   r = (mean - target) / s        over the final z of `curves.scale`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from automl_gpt_ray.curves.curve_model import CurveModel
from automl_gpt_ray.curves.predictor import Array

MARGIN = 1e-3
BELIEVED = 1e-4


@dataclass(frozen=True)
class Costs:
    """What it takes besides training, in steps.

    Attributes:
        resume: To bring a paused trial back.
        start: To start a new one.
        redo: Trial without a checkpoint to the steps it has to train again.
    """

    resume: float = 0.0
    start: float = 0.0
    redo: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What runs next.

    Attributes:
        trial: The paused trial to go on with, or None for a new one.
        candidate: Position of the candidate to start, or None where a trial goes on.
        steps: For how many steps, before planning again.
        improvement: Its expected improvement, in z.
        target: What was to be improved on, in z.
    """

    trial: str | None
    candidate: int | None
    steps: int
    improvement: float
    target: float


@dataclass(frozen=True)
class Ranks:
    """What each trial and candidate promises.

    Attributes:
        trials: Expected improvement of each curve of the context if it goes on, in z, weighed by the steps it
            takes, shape (curves,); -inf where it cannot: at its end, or diverged.
        candidates: The same of new configurations, shape (m,).
        rest: Steps that each curve still has, shape (curves,).
        target: What was to be improved on, in z.
    """

    trials: Array
    candidates: Array
    rest: Array
    target: float


def ranks(
    model: CurveModel,
    candidates: Array,
    running: Sequence[str] = (),
    starting: Array | None = None,
    budget: float = np.inf,
    costs: Costs | None = None,
) -> Ranks:
    """Return what every trial and candidate promises; arguments as of `plan`."""
    context, costs = model.context, costs or Costs()
    mean, var = model.known() if context.curves else (np.empty(0), np.empty(0))
    busy = set(running)
    held = np.array([c.key in busy for c in context.curves], dtype=bool)
    target = goal(model, mean)
    rest = np.array([context.max_step - c.last_step for c in context.curves], dtype=float)
    able = np.array([not c.diverged for c in context.curves], dtype=bool) & (rest > 0)
    again = np.array([costs.redo.get(c.key, 0) for c in context.curves], dtype=float)
    full = context.max_step
    old = expected_improvement(mean, var, target) * _worth(rest + costs.resume + again, full, budget)
    new = _of_candidates(model, candidates, mean, held, starting, target)
    new = new * _worth(np.full(len(candidates), full + costs.start), full, budget)
    return Ranks(np.where(able, old, -np.inf), new, rest, target)


def plan(
    model: CurveModel,
    candidates: Array,
    running: Sequence[str] = (),
    starting: Array | None = None,
    unavailable: Sequence[str] = (),
    steps: int = 1,
    budget: float = np.inf,
    costs: Costs | None = None,
) -> Plan | None:
    """Return what runs next, or None where nothing can: no candidate, and no trial that may go on.

    Args:
        model: Of the trials so far.
        candidates: New configurations, shape (m, d).
        running: Trials that run now; they are believed to reach their predicted finals.
        starting: Configurations about to start that have no curve yet, shape (k, d); believed likewise.
        unavailable: Trials that cannot go on: failed, or without a checkpoint.
        steps: How many to run before planning again; fewer where a trial needs fewer.
        budget: Steps left for all workers together.
        costs: Of pausing and starting.
    """
    context, found = model.context, ranks(model, candidates, running, starting, budget, costs)
    barred = {*running, *unavailable}
    old = np.where([c.key in barred for c in context.curves], -np.inf, found.trials) if len(found.trials) else ()
    best_old = int(np.argmax(old)) if len(old) else -1
    best_new = int(np.argmax(found.candidates)) if len(found.candidates) else -1
    if best_new >= 0 and (best_old < 0 or found.candidates[best_new] > old[best_old]):
        gain = float(found.candidates[best_new])
        return Plan(None, best_new, min(steps, context.max_step), gain, found.target)
    if best_old < 0 or not np.isfinite(old[best_old]):
        return None
    key, left = context.curves[best_old].key, int(min(steps, found.rest[best_old]))
    return Plan(key, None, left, float(old[best_old]), found.target)


def goal(model: CurveModel, mean: Array) -> float:
    """Return the value to improve on: the best reached so far, without its noise, and a small margin.

    Args:
        model: Of the trials so far.
        mean: Their predicted finals, shape (curves,).
    """
    reached = model.reached()
    if not len(reached):
        return model.process.centre
    best = float(reached.max())
    return best + MARGIN * max(float(mean.max()) - float(np.median(mean)), 0.0)


def expected_improvement(mean: Array, var: Array, target: float) -> Array:
    """Return the expected improvement of normal beliefs over `target`, shape of `mean`, at least 0."""
    sd = np.sqrt(var)
    r = (mean - target) / sd
    return np.asarray(np.maximum(sd * (r * ndtr(r) + np.exp(-0.5 * r * r) / np.sqrt(2 * np.pi)), 0.0))


def _of_candidates(
    model: CurveModel, candidates: Array, mean: Array, held: Array, starting: Array | None, target: float
) -> Array:
    if not len(candidates):
        return np.empty(0)
    process = model.process
    believed = (
        [np.stack([c.vector for c, h in zip(model.context.curves, held, strict=True) if h])] if held.any() else []
    )
    values = [mean[held]] if held.any() else []
    if starting is not None and len(starting):
        believed, values = [*believed, starting], [*values, process.finals(starting)[0]]
    if believed:
        where, what = np.concatenate(believed), np.concatenate(values)
        process = process.and_also(where, what, np.full(len(what), BELIEVED))
    return expected_improvement(*process.finals(candidates), target)


def _worth(needed: Array, full: int, budget: float) -> Array:
    """Return what an improvement counts by the steps it needs: 1 for a full training that the budget covers."""
    needed = np.maximum(needed, 1.0)
    return np.asarray(np.sqrt(full / needed) * np.clip(budget / needed, 0.0, 1.0))
