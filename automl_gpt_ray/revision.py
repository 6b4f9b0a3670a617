"""Revision: which changes of a trial that trains are allowed, when one has failed, and who inherits a checkpoint.

    found = checked(trial, {"learning_rate": 0.01}, space, rule, reason="it diverges", by="rules")
    if isinstance(found, Revision): book.record(RevisionAsked(trial.id, found))

Functions of records; how a change reaches the trial is `ray_tune.revising`'s to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import Problem, shown
from automl_gpt_ray.events import TrialStarted
from automl_gpt_ray.lineage import Applied, Origin, Revision, RevisionAsked
from automl_gpt_ray.parameters import FloatParameter, IntParameter
from automl_gpt_ray.records import Config, Objective, PredictedLog, Proposal, Scalar, TrialRecord, TrialState
from automl_gpt_ray.space import SearchSpace

SOURCE = "revision"
"""Of the proposal that a clone is."""
MAX_REASON = 500


@dataclass(frozen=True)
class RevisionRule:
    """What may be changed about a trial that trains, how far and how often.

    Attributes:
        hot: Names that may change in place, at the next report.
        clone: Names that change in a child trial, which goes on from the checkpoint of its parent.
        factor: A number on a log scale changes by at most so many times at once; above 1.
        share: Any other number changes by at most this share of its range at once, in (0, 1].
        cooldown: Steps that pass between two revisions of a trial, and before the first.
        most: Revisions of one trial.
        patience: Steps after which a revision is judged.
        rules: Whether deterministic rules ask for revisions (`remedy`).
    """

    hot: tuple[str, ...] = ()
    clone: tuple[str, ...] = ()
    factor: float = 10.0
    share: float = 0.5
    cooldown: int = 2
    most: int = 3
    patience: int = 2
    rules: bool = False


def checked(
    trial: TrialRecord,
    changes: Mapping[str, Any],
    space: SearchSpace,
    rule: RevisionRule,
    *,
    reason: str,
    by: str,
    predicted: float | None = None,
    back_to: int | None = None,
) -> Revision | Problem:
    """Return the revision, or what is wrong with it in words that a model can act on.

    Args:
        trial: As it is now.
        changes: Hyperparameter to new value; those that are as they were are left out.
        space: The search space.
        rule: What may be changed.
        reason: Why, in a sentence.
        by: Who asks.
        predicted: Final value believed of the trial with it.
        back_to: Step of the checkpoint to go on from, at most the trial's own; 0 begins anew, None goes on.
    """
    config = dict(trial.config)
    new = {name: value for name, value in changes.items() if name not in config or config[name] != value}
    problem = _due(trial, rule) or _problem(new, config, space, rule)
    if problem is None and back_to is not None and not 0 <= back_to <= trial.last_step:
        problem = Problem("back_to", f"must be a step from 0 to {trial.last_step}", shown(back_to))
    if problem is None and not reason.strip():
        problem = Problem("reason", "must not be empty")
    if problem is not None:
        return problem
    values = space.validate({**config, **new})
    told = predicted if predicted is not None and math.isfinite(predicted) else None
    named = {name: values[name] for name in new}
    structural = any(name in rule.clone for name in new)
    return Revision(trial.id, trial.last_step, named, reason[:MAX_REASON], by, told, structural, back_to)


def ask(
    book: Book,
    trial_id: str,
    changes: Mapping[str, Any],
    space: SearchSpace,
    rule: RevisionRule,
    *,
    reason: str,
    by: str,
    predicted: float | None = None,
    back_to: int | None = None,
) -> Revision | Problem:
    """Check a revision and write it down; it takes force at the trial's next report, or when it is resumed.

    From any thread. Arguments as `checked`, but for the book of the run and the trial's id.

    Raises:
        JournalError: It could not be written down.
    """
    with book.lock:
        trial = book.trial(trial_id)
        if trial is None:
            return Problem("trial", "must be one of this run", shown(trial_id))
        told = {"reason": reason, "by": by, "predicted": predicted, "back_to": back_to}
        found = checked(trial, changes, space, rule, **told)  # type: ignore[arg-type]
        if isinstance(found, Revision):
            book.record(RevisionAsked(trial_id, found))
        return found


@dataclass(frozen=True)
class Judgement:
    """What became of a revision. `reason` says so in a sentence."""

    failed: bool
    reason: str


def judged(trial: TrialRecord, objective: Objective, rule: RevisionRule) -> Judgement | None:
    """Return how the open revision of `trial` turned out; None where there is none or it is too early to say.

    It failed where the best value since is worse than the one when it was applied, or worse than what was expected
    at worst without it (80 % interval); at once where a finite value is followed by one that is not.

    Args:
        trial: As it is now.
        objective: What is optimised.
        rule: Says after how many steps.
    """
    applied = trial.lineage.open
    since = applied and _since(trial, applied, objective.metric)
    if not applied or not since:
        return None
    (step, last), name = since[-1], objective.metric
    if applied.value is not None and not math.isfinite(last):
        return Judgement(True, f"{name} is {last} since the revision")
    if step - applied.step + 1 < rule.patience:
        return None
    best = objective.best(value for _, value in since)
    if applied.value is None or best is None:
        return Judgement(False, f"there was no {name} before it that would be better")
    if objective.better(applied.value, best):
        return Judgement(True, f"{name} {best:.6g} since the revision, {applied.value:.6g} before it")
    if objective.better(applied.floor, best):
        return Judgement(
            True, f"{name} {best:.6g} since the revision, at worst {applied.floor:.6g} expected without it"
        )
    return Judgement(False, f"{name} {best:.6g} since the revision is not worse")


def floor_of(forecast: PredictedLog | None, objective: Objective, step: int) -> float | None:
    """Return the worse end of the 80 % interval of `forecast` at `step`; None where there is no forecast."""
    if forecast is None or forecast.metric != objective.metric:
        return None
    point = forecast.at(step)
    return point.low if objective.mode == "max" else point.high


def config_before(trial: TrialRecord, applied: Applied) -> dict[str, Scalar]:
    """Return the configuration of `trial` without `applied`."""
    return {**trial.config, **applied.before}


def bounded(name: str, value: float, space: SearchSpace, rule: RevisionRule, config: Config) -> Scalar:
    """Return what is nearest to `value` among what `name` may change to now."""
    parameter = space.parameters[name]
    low, high = _bounds(parameter, config[name], rule)
    return parameter.clip(min(max(value, low), high))


def room(trial: TrialRecord, space: SearchSpace, rule: RevisionRule) -> dict[str, tuple[float, float] | None]:
    """Return what may be revised about `trial` now, to its bounds; None where the space alone limits it."""
    if _due(trial, rule) is not None:
        return {}
    names = [name for name in (*rule.hot, *rule.clone) if name in space.searched and name in trial.config]
    bounds = {name: _bounds(space.parameters[name], trial.config[name], rule) for name in names}
    return {name: (low, high) if math.isfinite(high - low) else None for name, (low, high) in bounds.items()}


def heir(book: Book, trial_id: str) -> Proposal | None:
    """Start `trial_id` as the clone that is due, and return its proposal; None where none is.

    Raises:
        JournalError: It could not be written down.
    """
    with book.lock:
        ended = book.history().in_state(TrialState.STOPPED)
        parent = next((trial for trial in ended if trial.lineage.leaves), None)
        revision = parent.lineage.asked if parent else None
        if parent is None or revision is None:
            return None
        step = revision.back_to if revision.back_to is not None else parent.last_step
        kept = [(at, path) for at, path in book.checkpoints(parent.id).items() if at <= step]
        proposal = inherited(parent, revision)
        book.record(TrialStarted(trial_id, proposal, parent=Origin(parent.id, *max(kept, default=(0, "")))))
        return proposal


def inherited(parent: TrialRecord, revision: Revision) -> Proposal:
    """Return the proposal of the clone that a structural revision makes of `parent`."""
    name = f"{SOURCE}-{parent.id}-{len(parent.lineage.applied)}"
    return Proposal(name, {**parent.config, **revision.changes}, revision.reason, SOURCE)


def _due(trial: TrialRecord, rule: RevisionRule) -> Problem | None:
    applied = trial.lineage.applied
    if trial.state.ended:
        return Problem("trial", "must be running or paused", trial.state.value)
    if trial.lineage.asked is not None:
        return Problem("trial", "has a revision that waits already", trial.id, "wait until it took force")
    if len(applied) >= rule.most:
        return Problem("trial", f"has been revised {rule.most} times already", trial.id, "let it go on, or stop it")
    rested = trial.last_step - (applied[-1].step - 1 if applied else 0)
    if rested < (rule.cooldown if applied else 1):
        return Problem("trial", f"must train {rule.cooldown} steps between two revisions", f"{rested} steps")
    return None


def _problem(new: Mapping[str, Any], config: Config, space: SearchSpace, rule: RevisionRule) -> Problem | None:
    if not new:
        return Problem("changes", "must change something", remedy="leave the trial as it is instead")
    allowed = (*rule.hot, *rule.clone)
    for name, value in new.items():
        if name not in allowed:
            remedy = f"those that may: {', '.join(allowed) or 'none'}"
            return Problem(str(name), "must not change while a trial trains", shown(value), remedy)
    found = space.problems({**config, **new})
    if found:
        return found[0]
    return next((p for name, value in new.items() if (p := _too_far(name, value, config, space, rule))), None)


def _too_far(name: str, value: Any, config: Config, space: SearchSpace, rule: RevisionRule) -> Problem | None:
    parameter = space.parameters[name]
    if not isinstance(parameter, FloatParameter | IntParameter) or name not in config:
        return None
    low, high = _bounds(parameter, config[name], rule)
    # A prompt tells the ends with four digits.
    if low - 1e-3 * abs(low) <= float(value) <= high + 1e-3 * abs(high):
        return None
    return Problem(
        name, f"must change to between {low:.6g} and {high:.6g} at once", shown(value), "take a smaller step"
    )


def _bounds(parameter: object, now: Scalar, rule: RevisionRule) -> tuple[float, float]:
    if not isinstance(parameter, FloatParameter | IntParameter) or not isinstance(now, int | float):
        return -math.inf, math.inf
    if parameter.log:
        low, high = now / rule.factor, now * rule.factor
    else:
        far = rule.share * (parameter.high - parameter.low)
        low, high = now - far, now + far
    return max(low, parameter.low), min(high, parameter.high)


def _since(trial: TrialRecord, applied: Applied, metric: str) -> list[tuple[int, float]]:
    return [(step, value) for step, value in trial.curve(metric) if step >= applied.step]
