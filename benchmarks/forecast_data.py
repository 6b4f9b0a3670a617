"""The learning curves that forecasts are measured on: our own, LCBench, TaskSet and ARLBench."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from automl_gpt_ray.curves.predictor import Array
from automl_gpt_ray.records import Objective
from benchmarks import tables
from benchmarks.problems import Table


@dataclass(frozen=True, eq=False)
class Task:
    """One task of a suite: configurations and their full curves.

    Attributes:
        suite: `recorded`, `lcbench`, `taskset` or `arlbench`.
        name: The task.
        objective: Metric and direction.
        vectors: Shape (configurations, dimensions), in [0, 1].
        curves: Shape (configurations, steps); NaN or infinite where diverged.
    """

    suite: str
    name: str
    objective: Objective
    vectors: Array
    curves: Array

    @property
    def max_step(self) -> int:
        """Steps of a full curve, counted from 1."""
        return int(self.curves.shape[1])


# Column -> (low, high, log); "1-": the logarithm of one minus the value.
LCBENCH = {
    "batch_size": (16, 512, "log"),
    "learning_rate": (1e-4, 0.1, "log"),
    "momentum": (0.1, 0.99, ""),
    "weight_decay": (1e-5, 0.1, ""),
    "num_layers": (1, 5, ""),
    "max_units": (64, 1024, "log"),
    "max_dropout": (0, 1, ""),
}
TASKSET = {
    "learning_rate": (1e-8, 9.7, "log"),
    "beta1": (1e-4, 1, "1-"),
    "beta2": (1e-4, 1, "1-"),
    "epsilon": (1e-10, 975, "log"),
    "l1": (1e-8, 9.6, "log"),
    "l2": (1e-8, 9.6, "log"),
    "linear_decay": (1e-7, 1e-4, "log"),
    "exponential_decay": (1e-6, 1e-3, "log"),
}
ARLBENCH_LOG = ("learning_rate", "epsilon")


def load(folder: Path, suite: str) -> list[Task]:
    """Return the tasks of `suite`, by name; but for our own from its parquet file in `folder`."""
    if suite == "recorded":
        return [_recorded(table) for table in tables.load(suite)]
    table = pd.read_parquet(folder / f"{suite}.parquet")
    return [_TASKS[suite](str(name), rows.reset_index(drop=True)) for name, rows in table.groupby("task")]


def _recorded(table: Table) -> Task:
    vectors = np.array([table.brief.space.to_vector(config) for config in table.configs])
    return Task("recorded", table.name, table.brief.objective, vectors, np.asarray(table.values, dtype=float))


def _lcbench(name: str, rows: pd.DataFrame) -> Task:
    curves = np.stack([np.asarray(c, dtype=float) for c in rows["val_balanced_accuracy"]])
    return Task("lcbench", name, Objective("val_balanced_accuracy", "max"), _unit(rows, LCBENCH), curves)


def _taskset(name: str, rows: pd.DataFrame) -> Task:
    # Index 0 is the untrained network: no trial ever reports it.
    curves = np.stack([np.asarray(c, dtype=float) for c in rows["valid_loss"]])[:, 1:]
    return Task("taskset", name, Objective("valid_loss", "min"), _unit(rows, TASKSET), curves)


def _arlbench(name: str, rows: pd.DataFrame) -> Task:
    settings = pd.DataFrame([json.loads(text) for text in rows["hyperparameters"]])
    columns: list[Array] = []
    for column in settings:
        values = settings[column]
        if values.dtype.kind in "fiu":
            columns.append(_own_range(values.to_numpy(dtype=float), str(column)))
        else:
            columns.extend((values == level).to_numpy(dtype=float) for level in sorted(values.dropna().unique()))
    curves = np.stack([np.asarray(c, dtype=float) for c in rows["eval_return"]])
    return Task("arlbench", name, Objective("eval_return", "max"), np.stack(columns, axis=1), curves)


_TASKS = {"lcbench": _lcbench, "taskset": _taskset, "arlbench": _arlbench}
SUITES = ("recorded", *_TASKS)


def unit_vector(config: Mapping[str, float], ranges: dict[str, tuple[float, float, str]]) -> Array:
    """Return one configuration in the unit cube of `ranges`, shape (d,)."""
    vector: Array = _unit(pd.DataFrame([dict(config)]), ranges)[0]
    return vector


def _unit(rows: pd.DataFrame, ranges: dict[str, tuple[float, float, str]]) -> Array:
    columns = []
    for name, (low, high, scale) in ranges.items():
        values = rows[name].to_numpy(dtype=float)
        values = np.maximum(1.0 - values, low) if scale == "1-" else values
        if scale:
            values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
        columns.append(np.clip((values - low) / (high - low), 0.0, 1.0))
    return np.stack(columns, axis=1)


def _own_range(values: Array, name: str) -> Array:
    # The suite does not tell its ranges: those of its own configurations stand in. Inactive: the centre.
    values = np.log(values) if any(part in name for part in ARLBENCH_LOG) and np.nanmin(values) > 0 else values
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return np.where(np.isnan(values), 0.5, (values - low) / (high - low) if high > low else 0.5)
