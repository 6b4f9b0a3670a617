"""One step of a training: its metrics, and how to save what it reached; the errors of a failed one.

Knows neither Ray nor a model. A trainer is a generator of `Step`s, so that it runs the same inside
a Ray actor (`loop`) and in a plain test.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl_gpt_ray.errors import JobError, Problem, SpaceError, TrainingError, did_you_mean, shown
from automl_gpt_ray.records import Config, Objective

STATE_FILE = "state.json"
"""Name of the checkpoint's file that holds step, seconds and configuration."""

Report = Callable[[Mapping[str, float], Path], None]
"""Takes the metrics of a step, as in `Step`, and the folder of its checkpoint, which is read before it returns."""


@dataclass(frozen=True)
class Step:
    """What a trainer yields after each step.

    Attributes:
        metrics: Validation metrics by bare name, training ones prefixed `train_`, and `step`
            (from 1) and `seconds` (of training, over all restarts).
        save: Writes a checkpoint of this step into an existing empty folder. To be called before
            the trainer is asked for its next step.
        costs: What the model takes, by the names of `costs`; reported with the metrics.
    """

    metrics: Mapping[str, float]
    save: Callable[[Path], None]
    costs: Mapping[str, float] = field(default_factory=dict)


def guarded(steps: Iterator[Step], objective: Objective) -> Iterator[Step]:
    """Yield `steps`, turning divergence and lack of memory into errors that advisors learn from.

    The step that diverged is still yielded, so that its NaN is on record.

    Raises:
        TrainingError: `nan` when the objective was not finite, `oom` when memory ran out.
    """
    with memory_guard():
        for step in steps:
            yield step
            check_finite(step.metrics, objective)


@contextmanager
def memory_guard() -> Iterator[None]:
    """Turn lack of memory into a TrainingError of kind `oom`."""
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        if not _out_of_memory(error):
            raise
        raise TrainingError("oom", shown(str(error)) if str(error) else "memory ran out") from error


def check_finite(metrics: Mapping[str, float], objective: Objective) -> None:
    """Raise a TrainingError of kind `nan` where the objective is not finite."""
    value = metrics[objective.metric]
    if not math.isfinite(value):
        raise TrainingError("nan", f"{objective.metric} became {value} at step {metrics['step']:g}")


def check_objective(objective: Objective, reported: tuple[str, ...]) -> None:
    """Raise JobError where the trainer never reports the metric that is to be optimised."""
    if objective.metric not in reported:
        rule = f"must be a metric that the trainer reports ({', '.join(reported)})"
        remedy = did_you_mean(objective.metric, reported)
        raise JobError("training task", [Problem("objective.metric", rule, shown(objective.metric), remedy)])


def check_config(config: Config, known: frozenset[str]) -> None:
    """Raise SpaceError where `config` holds a name that the trainer would not obey."""
    rule = "is not a hyperparameter of this trainer"
    unknown = [n for n in config if n not in known]
    if unknown:
        problems = [Problem(n, rule, shown(config[n]), did_you_mean(n, known)) for n in unknown]
        raise SpaceError("configuration", problems)


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the small state of a checkpoint as JSON."""
    (folder / STATE_FILE).write_text(json.dumps(state, allow_nan=False), encoding="utf-8")


def read_state(folder: Path) -> dict[str, Any]:
    """Return the small state of a checkpoint.

    Raises:
        TrainingError: `error` when the folder holds no readable checkpoint of a built-in trainer.
    """
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError("error", f"`{folder}` holds no readable {STATE_FILE}: {error}") from error
    if not isinstance(state, dict):
        raise TrainingError("error", f"`{folder / STATE_FILE}` must hold a mapping, got {shown(state)}")
    return state


def check_same(config: Config, trained: Config, names: frozenset[str]) -> None:
    """Raise TrainingError where a choice that a checkpoint is bound to was changed since."""
    changed = [n for n in sorted(names) if config.get(n) != trained.get(n)]
    if changed:
        name = changed[0]
        raise TrainingError(
            "error",
            f"the checkpoint was trained with {name}={shown(trained.get(name))} and cannot go on with "
            f"{shown(config.get(name))}: start a new trial to change it",
        )


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "bad_alloc" in text
