"""The steps of a training on a table, whatever grows: load, preprocess, grow, score, save.

A library's trainer brings a `Model`; this file knows none of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import Problem, SpaceError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.costs import Stopwatch
from automl_gpt_ray.training.fairness import gaps
from automl_gpt_ray.training.labels import Labels
from automl_gpt_ray.training.preprocessing import CHOICES, Matrix, Preprocessor
from automl_gpt_ray.training.scores import Floats, reported, scores
from automl_gpt_ray.training.steps import Step, check_config, check_objective, check_same, read_state, write_state
from automl_gpt_ray.training.tables import Table, load_table
from automl_gpt_ray.training.targets import TargetScale
from automl_gpt_ray.training.task import TrainingTask

WEIGHTINGS = ("none", "balanced")


@dataclass(frozen=True)
class Rows:
    """Preprocessed examples.

    Attributes:
        values: Shape (n, features).
        types: `q` number or `c` category, one a feature.
        labels: Shape (n,): class indices or targets, those that a model is made of on `TargetScale`'s.
        groups: Of the card's `groups`; n rows.
    """

    values: Matrix
    types: list[str]
    labels: Labels
    groups: pd.DataFrame


class Model(Protocol):
    """What a library grows step by step.

    model.grow(config, 1); model.predict(rows.values); model.save(folder)
    """

    def grow(self, config: Config, step: int) -> None:
        """Do one step, counted from 1."""

    def predict(self, values: Matrix) -> Floats:
        """Return class probabilities (n, K) or targets (n,)."""

    def size(self) -> int:
        """Return what the model takes, in bytes."""

    def save(self, folder: Path) -> None:
        """Write what `resume_from` and scoring need besides the preprocessing."""


Make = Callable[[Config, TrainingTask, Rows], Model]
"""Makes a model of training rows."""

Restore = Callable[[Model, Path, Mapping[str, Any]], None]
"""Brings a model to where a checkpoint of this folder and state was."""


def fit(
    make: Make, restore: Restore, known: frozenset[str], config: Config, task: TrainingTask, resume_from: Path | None
) -> Iterator[Step]:
    """Yield the steps of a training.

    Args:
        make: Makes the model.
        restore: Brings it to where a checkpoint was.
        known: Names in `config` that the model obeys; those of preprocessing are obeyed here.
        config: Read anew at each step.
        task: What all trials share.
        resume_from: Folder of a checkpoint to go on from.

    Raises:
        SpaceError: A name or value in `config` is not known.
        DataError: The data is not what its card says.
    """
    check_config(config, known | set(CHOICES))
    check_objective(task.objective, reported(task.data))
    tables = load_table(task.data, ("train", "validation"), task.seed)
    if task.refit:
        tables["train"] = tables["train"].joined_with(tables["validation"])
    state = read_state(resume_from) if resume_from else None
    if state:
        check_same(config, state["config"], frozenset(CHOICES))
    fitted = (
        Preprocessor.from_json(state["preprocessing"]) if state else Preprocessor.fit(tables["train"].features, config)
    )
    rows = {split: _rows(fitted, table) for split, table in tables.items()}
    scale = _scale(state) if state else TargetScale.of(task.data, rows["train"].labels)
    model = make(config, task, _taught(rows["train"], scale))
    if state and resume_from:
        restore(model, resume_from, state)
    seconds, first = (float(state["seconds"]), int(state["step"]) + 1) if state else (0.0, 1)
    for step in range(first, task.max_steps + 1):
        began = time.perf_counter()
        model.grow(config, step)
        clock = Stopwatch()
        metrics = _metrics(model, rows, task, scale, clock)
        seconds += time.perf_counter() - began
        kept = {"step": step, "seconds": seconds, "config": dict(config), "refit": task.refit, "targets": asdict(scale)}
        yield Step(
            {**metrics, "step": step, "seconds": seconds},
            partial(_save, model, {**kept, "preprocessing": fitted.to_json()}),
            clock.costs(model.size()),
        )


def evaluate(make: Make, restore: Restore, task: TrainingTask, folder: Path, split: str) -> dict[str, float]:
    """Return every metric of a checkpoint on one split, by bare name."""
    state = read_state(folder)
    fitted = Preprocessor.from_json(state["preprocessing"])
    # A model that is fitted again needs the rows that it was fitted to.
    tables = load_table(task.data, {"train", split, *(["validation"] if state["refit"] else [])}, task.seed)
    train = tables["train"].joined_with(tables["validation"]) if state["refit"] else tables["train"]
    scale = _scale(state)
    model = make(state["config"], task, _taught(_rows(fitted, train), scale))
    restore(model, folder, state)
    table = tables[split]
    predicted = scale.told(model.predict(fitted.apply(table.features)[0]))
    return scores(task.data, table.labels, predicted) | gaps(task.data, table.labels, predicted, table.groups)


def _rows(fitted: Preprocessor, table: Table) -> Rows:
    values, types = fitted.apply(table.features)
    return Rows(values, types, table.labels, table.groups)


def weights(config: Config, labels: Labels, card: DataCard) -> npt.NDArray[np.float64] | None:
    """Return a weight for each example, or None; `balanced` gives each class the same total.

    Raises:
        SpaceError: `class_weighting` is not known.
    """
    weighting = config.get("class_weighting", WEIGHTINGS[0])
    if weighting not in WEIGHTINGS:
        rule = f"must be one of {', '.join(WEIGHTINGS)}"
        raise SpaceError("configuration", [Problem("class_weighting", rule, shown(weighting))])
    if weighting == "none" or card.task == "regression":
        return None
    counts = np.bincount(labels, minlength=len(card.label_space.classes))
    found: npt.NDArray[np.float64] = (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[labels]
    return found


def whole(config: Config, name: str, default: int) -> int:
    """Return the whole number `name` of `config`, at least 1."""
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        rule = "must be a whole number of at least 1"
        raise SpaceError("configuration", [Problem(name, rule, shown(value))])
    return value


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step: its own, so that a restored training draws what an uninterrupted one does."""
    return int(np.random.default_rng([seed, step]).integers(2**31 - 1))


def _scale(state: Mapping[str, Any]) -> TargetScale:
    return TargetScale(**state.get("targets", {}))


def _taught(rows: Rows, scale: TargetScale) -> Rows:
    return replace(rows, labels=scale.taught(rows.labels))


def _metrics(
    model: Model, rows: Mapping[str, Rows], task: TrainingTask, scale: TargetScale, clock: Stopwatch
) -> dict[str, float]:
    with clock.over(len(rows["validation"].labels)):
        predicted = scale.told(model.predict(rows["validation"].values))
    held_out = rows["validation"]
    validation = scores(task.data, held_out.labels, predicted)
    validation |= gaps(task.data, held_out.labels, predicted, held_out.groups)
    train = scores(task.data, rows["train"].labels, scale.told(model.predict(rows["train"].values)))
    always = "rmse" if task.data.task == "regression" else "log_loss"
    return {**validation, **{f"train_{name}": train[name] for name in (task.objective.metric, always)}}


def _save(model: Model, state: Mapping[str, Any], folder: Path) -> None:
    model.save(folder)
    write_state(folder, state)
