"""Where tables come from: our own recorded curves, and public ones beside the checkout (`--curves PATH`).

`PATH` holds `lcbench.parquet`, `taskset.parquet` and `arlbench.parquet` as its README describes them. The
defaults are those that a careful person would start from, and stated here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter, IntParameter, Parameter
from automl_gpt_ray.records import Objective, Scalar
from automl_gpt_ray.space import SearchSpace
from benchmarks.problems import Floats, Table

RECORDED = Path(__file__).resolve().parent / "data" / "recorded.parquet"
SUITES = ("recorded", "lcbench", "taskset", "arlbench")

# The default is the one that the figures beside the curves were made from.
LCBENCH = SearchSpace(
    {
        "batch_size": IntParameter(low=16, high=512, log=True, default=64),
        "learning_rate": FloatParameter(low=1e-4, high=0.1, log=True, default=0.01),
        "momentum": FloatParameter(low=0.1, high=0.99, default=0.9),
        "weight_decay": FloatParameter(low=1e-5, high=0.1, default=1e-3),
        "num_layers": IntParameter(low=1, high=5, default=3),
        "max_units": IntParameter(low=64, high=1024, log=True, default=256),
        "max_dropout": FloatParameter(low=0.0, high=1.0, default=0.2),
    }
)
# Adam's own defaults; beta is searched as 1 - beta, whose logarithm TaskSet draws.
TASKSET = SearchSpace(
    {
        "learning_rate": FloatParameter(low=1e-8, high=10.0, log=True, default=1e-3),
        "one_minus_beta1": FloatParameter(low=1e-4, high=1.0, log=True, default=0.1),
        "one_minus_beta2": FloatParameter(low=1e-4, high=1.0, log=True, default=1e-3),
        "epsilon": FloatParameter(low=1e-10, high=1e3, log=True, default=1e-8),
        "l1": FloatParameter(low=1e-8, high=10.0, log=True, default=1e-8),
        "l2": FloatParameter(low=1e-8, high=10.0, log=True, default=1e-8),
        "linear_decay": FloatParameter(low=1e-7, high=1e-4, log=True, default=1e-7),
        "exponential_decay": FloatParameter(low=1e-6, high=1e-3, log=True, default=1e-6),
    }
)
# Stable-Baselines3's defaults where they lie within the table's range, else the middle.
_RL_DEFAULTS: dict[str, float] = {
    "learning_rate": 3e-4,
    "clip_eps": 0.2,
    "ent_coef": 0.01,
    "gae_lambda": 0.95,
    "max_grad_norm": 0.5,
    "vf_coef": 0.5,
    "tau": 0.02,
    "reward_scale": 1.0,
    "initial_epsilon": 0.999,
    "target_epsilon": 0.05,
}
# Examples, columns and classes of LCBench's data sets, as OpenML states them.
_LCBENCH_NUMBERS: dict[str, tuple[float, ...]] = {
    "car": (1728, 6, 4),
    "fabert": (8237, 800, 7),
    "jannis": (83733, 54, 4),
    "kr-vs-kp": (3196, 36, 2),
    "mfeat-factors": (2000, 216, 10),
    "segment": (2310, 19, 7),
    "sylvine": (5124, 20, 2),
    "vehicle": (846, 18, 4),
}
_RL_LOG = ("learning_rate", "buffer_epsilon", "reward_scale")
_RL_EVALUATION_S = 60.0
_TASKSET_EVALUATION_S = 10.0


def load(suite: str, curves: Path | None = None) -> list[Table]:
    """Return the tables of a suite.

    Raises:
        FileNotFoundError: Its file is not there.
        ValueError: There is no such suite, or it needs `curves`.
    """
    if suite not in SUITES:
        raise ValueError(f"`suite` must be one of {', '.join(SUITES)}, got {suite!r}")
    if suite == "recorded":
        return list(recorded(RECORDED))
    if curves is None:
        raise ValueError(f"the suite `{suite}` needs `--curves PATH`: the folder that holds `{suite}.parquet`")
    readers = {"lcbench": _lcbench, "taskset": _taskset, "arlbench": _arlbench}
    frame = pd.read_parquet(curves / f"{suite}.parquet")
    return [readers[suite](str(name), rows) for name, rows in frame.groupby("task")]


def recorded(file: Path) -> Iterator[Table]:
    """Yield the tasks that `python -m benchmarks.record` wrote to `file`."""
    table = pq.read_table(file)
    briefs: dict[str, Any] = json.loads(table.schema.metadata[b"briefs"])
    frame = table.to_pandas()
    for name, values in briefs.items():
        yield _recorded(name, Brief.from_dict(values), frame[frame["task"] == name].sort_values("index"))


def _recorded(name: str, brief: Brief, rows: pd.DataFrame) -> Table:
    metric, prefix = brief.objective.metric, "validation_"
    names = [column for column in map(str, rows) if column.startswith(prefix) and rows[column].notna().any()]
    metrics = {column.removeprefix(prefix): _padded(rows[column], brief.max_steps) for column in names}
    totals = _padded(rows["seconds"], brief.max_steps)
    lengths = np.array([_count(curve) for curve in rows[prefix + metric]])
    tests = _padded(rows[f"test_{metric}"], brief.max_steps)
    # Our trainers keep the checkpoint with the best validation value: its test value is what a user gets.
    kept = np.array([_best_step(curve, brief.objective.sign) for curve in metrics[metric]])
    return Table(
        name=name,
        suite="recorded",
        brief=brief,
        configs=[json.loads(text) for text in rows["config"]],
        values=metrics.pop(metric),
        step_seconds=np.diff(totals, axis=1, prepend=0.0),
        tests=tests[np.arange(len(tests)), kept],
        lengths=lengths,
        failed=(rows["status"] != "completed").to_numpy(),
        more=metrics,
        numbers=_numbers(brief),
    )


def _numbers(brief: Brief) -> tuple[float, ...]:
    data = brief.data
    if data is None or not data.size.get("train"):
        return ()
    pixels = math.prod(data.image_shape) if data.image_shape else 0
    return (data.size["train"], len(data.columns) or pixels or 1, len(data.label_space.classes) or 1)


def _lcbench(name: str, rows: pd.DataFrame) -> Table:
    values = _padded(rows["val_balanced_accuracy"], 52)
    seconds = rows["seconds"].to_numpy(float)[:, None] / values.shape[1]
    objective = Objective("val_balanced_accuracy", "max")
    return Table(
        name=name,
        suite="lcbench",
        brief=Brief(LCBENCH, objective, values.shape[1], "epoch"),
        configs=_configs(rows, LCBENCH),
        values=values,
        step_seconds=np.repeat(seconds, values.shape[1], axis=1),
        tests=rows["test_balanced_accuracy"].to_numpy(float),
        lengths=np.full(len(rows), values.shape[1]),
        failed=np.zeros(len(rows), bool),
        numbers=_LCBENCH_NUMBERS.get(name, ()),
    )


def _taskset(name: str, rows: pd.DataFrame) -> Table:
    values = _padded(rows["valid_loss"], 51)[:, 1:]  # the first is the untrained network's
    frame = rows.assign(one_minus_beta1=1.0 - rows["beta1"], one_minus_beta2=1.0 - rows["beta2"])
    broken = ~np.isfinite(values)
    failed = np.asarray(broken.any(axis=1))
    lengths = np.where(failed, broken.argmax(axis=1) + 1, values.shape[1])
    return Table(
        name=name,
        suite="taskset",
        brief=Brief(TASKSET, Objective("valid_loss", "min"), values.shape[1], "200 training steps"),
        configs=_configs(frame, TASKSET),
        values=np.where(broken, math.nan, values),
        step_seconds=np.full(values.shape, _TASKSET_EVALUATION_S),
        tests=rows["test_loss"].to_numpy(float),
        lengths=lengths,
        failed=failed,
    )


def _arlbench(name: str, rows: pd.DataFrame) -> Table:
    values = _padded(rows["eval_return"], 10)
    frame = pd.DataFrame([json.loads(text) for text in rows["hyperparameters"]])
    space = _space_of(frame)
    return Table(
        name=name,
        suite="arlbench",
        brief=Brief(space, Objective("eval_return", "max"), values.shape[1], "tenth of the training"),
        configs=_configs(frame, space),
        values=values,
        step_seconds=np.full(values.shape, _RL_EVALUATION_S),
        tests=np.full(len(rows), math.nan),
        lengths=np.full(len(rows), values.shape[1]),
        failed=np.zeros(len(rows), bool),
    )


def _space_of(frame: pd.DataFrame) -> SearchSpace:
    """Return the space that the configurations of `frame` were drawn from, by their extremes."""
    ordered = sorted(map(str, frame), key=lambda name: bool(frame[name].isna().any()))
    return SearchSpace({name: _parameter_of(name, frame) for name in ordered})


def _parameter_of(name: str, frame: pd.DataFrame) -> Parameter:
    column = frame[name].dropna()
    when = _condition(name, frame)
    if column.dtype == object or pd.api.types.is_string_dtype(column):
        choices: list[Scalar] = [str(value) for value in sorted(column.unique())]
        return ChoiceParameter(choices=choices, when=when)
    if column.nunique() <= 4:
        return ChoiceParameter(choices=[float(v) for v in sorted(column.unique())], when=when)
    low, high = float(column.min()), float(column.max())
    log = name in _RL_LOG and low > 0
    default = _RL_DEFAULTS.get(name)
    fits = default if default is not None and low <= default <= high else None
    return FloatParameter(low=low, high=high, log=log, default=fits, when=when)


def _condition(name: str, frame: pd.DataFrame) -> dict[str, list[Scalar]]:
    """Return the switch that decides whether `name` exists: ARLBench leaves it out of half the runs."""
    missing = frame[name].isna()
    if not missing.any():
        return {}
    for switch in ("buffer_prio_sampling", "use_target_network"):
        if switch in frame and not (missing ^ (frame[switch] == "False")).any():
            return {switch: ["True"]}
    raise ValueError(f"`{name}` is missing at times, and no switch explains when")


def _configs(frame: pd.DataFrame, space: SearchSpace) -> list[dict[str, Scalar]]:
    rows = frame[[str(name) for name in space.parameters]].to_dict("records")
    return [space.clip({str(n): v for n, v in row.items() if v == v})[0] for row in rows]


def _padded(curves: Any, steps: int) -> Floats:
    """Return curves of any length as shape (rows, steps), NaN after their ends."""
    padded = np.full((len(curves), steps), math.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: _count(curve)] = curve if _count(curve) else []
    return padded


def _count(curve: Any) -> int:
    return 0 if curve is None or isinstance(curve, float) else len(curve)


def _best_step(curve: Floats, sign: int) -> int:
    return int(np.argmax(np.where(np.isfinite(curve), sign * curve, -math.inf)))
