"""Reading what Ray reports about a trial: its metrics, its step and its seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import TrialEnded
from automl_gpt_ray.records import Observation, TrialRecord, TrialState

STEP, SECONDS = "step", "seconds"
"""Keys under which a trainable may report its own step and training seconds; they survive restarts."""

# What Ray adds to every result (ray/air/constants.py, ray/tune/result.py): bookkeeping, not metrics.
_RAY_KEYS = frozenset(
    {
        "training_iteration", "time_total_s", "time_this_iter_s", "time_since_restore", "timestamp", "date",
        "done", "pid", "hostname", "node_ip", "trial_id", "experiment_id", "experiment_tag", "episodes_total",
        "episodes_this_iter", "timesteps_total", "timesteps_this_iter", "timesteps_since_restore",
        "iterations_since_restore", "checkpoint_dir_name", "should_checkpoint", "warmup_time", "auto",
        STEP, SECONDS,
    }
)  # fmt: skip


def observation(result: Mapping[str, Any], step_key: str | None = None) -> Observation:
    """Return a Ray result as an observation.

    Args:
        result: Flattened, as searchers get it.
        step_key: Key of the step; by default the trainable's own `step`, else `training_iteration`.
    """
    told = ((name, _metric(value)) for name, value in result.items() if may_be_metric(name))
    metrics = {name: value for name, value in told if value is not None}
    seconds = _number(result.get(SECONDS), result.get("time_total_s", 0.0))
    return Observation(step_of(result, step_key), metrics, seconds)


def ended(trial: TrialRecord, last: Observation | None, brief: Brief, error: bool) -> TrialEnded:
    """Return how a trial ended; `last` is the result with which Ray ended it.

    One we know already means that the trainable returned; a new one, before the last step, that somebody else's
    scheduler or a stopper ended it there. One that makes way for its clone was stopped.
    """
    if error:
        return TrialEnded(trial.id, TrialState.FAILED, failure_of(trial, brief.objective.metric))
    returned = last is not None and last.step == trial.last_step and not trial.lineage.leaves
    full = returned or (last is not None and last.step >= brief.max_steps)
    return TrialEnded(trial.id, TrialState.COMPLETED if full else TrialState.STOPPED)


def failure_of(trial: TrialRecord, metric: str) -> str:
    """Return the class of failure that a trial's own reports tell: `nan` or `error`."""
    values = trial.curve(metric)
    return "nan" if values and values[-1][1] != values[-1][1] else "error"


def is_told(trial: TrialRecord, seen: Observation) -> bool:
    """Return whether `seen` is the last observation told again, and not one of a trial that was sent back since."""
    again = trial.lineage.restart is not None and trial.state is TrialState.RUNNING
    return (trial.last_step, trial.seconds) == (seen.step, seen.seconds) and not again


class Clocks:
    """Training seconds over all restarts of a trial, whose own clock may begin at zero with each."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def total(self, trial: TrialRecord, seen: Observation) -> Observation:
        """Return `seen` with the seconds of earlier starts of its trial added."""
        before = self._before.get(trial.id, 0.0)
        if before + seen.seconds < trial.seconds:
            before = self._before[trial.id] = trial.seconds - seen.seconds
        return replace(seen, seconds=before + seen.seconds) if before else seen


def step_of(result: Mapping[str, Any], step_key: str | None = None) -> int:
    """Return the step of a result, at least 1."""
    value = result.get(step_key) if step_key else result.get(STEP)
    return max(1, int(_number(value, result.get("training_iteration", 1))))


def stated_steps(stop: Any, step_key: str | None = None) -> tuple[str | None, int | None]:
    """Return the key that counts steps and the steps of a full training, as `RunConfig(stop=...)` states them.

    Args:
        stop: Of the run; what is no mapping states nothing.
        step_key: As of `observation`. Where it is None, steps are counted by the key that limits them, if one does.
    """
    if not isinstance(stop, Mapping):
        return step_key, None
    key = step_key or next((key for key in (STEP, "training_iteration") if key in stop), None)
    return key, stop.get(key)


def may_be_metric(name: Any) -> bool:
    """Return whether a key of a result may name a metric: a text that is not Ray's bookkeeping."""
    return isinstance(name, str) and name not in _RAY_KEYS and not name.startswith("config/")


def _metric(value: Any) -> float | None:
    # NumPy's scalars, and arrays without dimensions, are numbers too; booleans and texts are not.
    if isinstance(value, bool | str | bytes) or bool(getattr(value, "shape", ())):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _number(value: Any, otherwise: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return float(otherwise)
    return number if math.isfinite(number) else float(otherwise)
