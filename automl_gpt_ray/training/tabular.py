"""Gradient-boosted trees on tables, by XGBoost.

One step is `rounds_per_step` boosting rounds. Hot hyperparameters (eta, lambda, ...) are read from
`config` at every step, so a change between two reports takes effect at the next step. Knows tables,
preprocessing and scores; nothing of Ray.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import TrainingError, first_line, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import table_steps
from automl_gpt_ray.training.costs import Stopwatch
from automl_gpt_ray.training.fairness import gaps
from automl_gpt_ray.training.labels import Labels
from automl_gpt_ray.training.preprocessing import CHOICES, Preprocessor
from automl_gpt_ray.training.scores import Floats, reported, scores
from automl_gpt_ray.training.steps import (
    Step,
    check_config,
    check_objective,
    check_same,
    guarded,
    read_state,
    write_state,
)
from automl_gpt_ray.training.tables import Table, load_table
from automl_gpt_ray.training.task import TrainingTask
from automl_gpt_ray.training.xgboost_names import DEFAULT_ROUNDS, PARAMETERS

_MODEL_FILE = "model.ubj"
_KNOWN = PARAMETERS | frozenset(CHOICES) | {"class_weighting", "rounds_per_step"}


@dataclass(frozen=True)
class _Matrix:
    """Examples as XGBoost takes them, with their labels."""

    inputs: Any
    labels: Labels
    groups: pd.DataFrame


def train(config: dict[str, Any], task: TrainingTask) -> None:
    """Train inside a Ray Tune trial: a function trainable.

    Args:
        config: Names in `PARAMETERS`, `preprocessing.CHOICES`, `class_weighting` (`none` or
            `balanced`) and `rounds_per_step`; what is absent has the library's default.
        task: What all trials share.

    Raises:
        TrainingError: The objective became NaN or memory ran out.
        DataError: The data is not what its card says.
        SpaceError: `config` holds a name or value that is not known.
    """
    from automl_gpt_ray.training import loop  # so that scoring a checkpoint needs no Ray

    loop.run(fit, config, task)


def fit(config: Config, task: TrainingTask, resume_from: Path | None = None) -> Iterator[Step]:
    """Yield the steps of a training; errors as in `train`.

    Args:
        config: As in `train`; read anew at each step.
        task: What all trials share.
        resume_from: Folder of a checkpoint to go on from, with the same results as if the training
            had not been interrupted.
    """
    return guarded(_fit(config, task, resume_from), task.objective)


def evaluate(config: Config, task: TrainingTask, checkpoint_dir: str | Path, split: str = "test") -> dict[str, float]:
    """Return every metric of a checkpoint on one split, by bare name.

    Args:
        config: Not needed to score trees; for symmetry with other trainers.
        task: As the checkpoint was trained with: the seed decides the hold-outs.
        checkpoint_dir: Folder of the checkpoint.
        split: `test`, `validation` or `train`.

    Raises:
        DataError: The data set has no such split.
        TrainingError: The folder holds no checkpoint of this trainer.
    """
    folder = Path(checkpoint_dir)
    state = read_state(folder)
    table = load_table(task.data, (split,), task.seed)[split]
    matrix = _matrix(Preprocessor.from_json(state["preprocessing"]), table, task.threads)
    booster = _booster(_fixed_parameters(task), [])
    _load(booster, folder)
    predicted = _predict(booster, matrix, task.data)
    return scores(task.data, table.labels, predicted) | gaps(task.data, table.labels, predicted, table.groups)


def _fit(config: Config, task: TrainingTask, resume_from: Path | None) -> Iterator[Step]:
    check_config(config, _KNOWN)
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
    matrices = {split: _matrix(fitted, table, task.threads) for split, table in tables.items()}
    booster = _booster({**_fixed_parameters(task), **_chosen(config)}, [m.inputs for m in matrices.values()])
    if resume_from:
        _load(booster, resume_from)
    seconds = float(state["seconds"]) if state else 0.0
    for step in range(int(state["step"]) + 1 if state else 1, task.max_steps + 1):
        began = time.perf_counter()
        _boost(booster, matrices["train"], config, task, step)
        clock = Stopwatch()
        metrics = _metrics(booster, matrices, task, clock)
        seconds += time.perf_counter() - began
        kept = {"step": step, "seconds": seconds, "config": dict(config), "preprocessing": fitted.to_json()}
        costs = clock.costs(len(booster.save_raw("ubj")))
        yield Step({**metrics, "step": step, "seconds": seconds}, partial(_save, booster, kept), costs)


def _boost(booster: Any, train: _Matrix, config: Config, task: TrainingTask, step: int) -> None:
    train.inputs.set_weight(table_steps.weights(config, train.labels, task.data))
    rounds = table_steps.whole(config, "rounds_per_step", DEFAULT_ROUNDS)
    try:
        _reseed(booster, config, table_steps.step_seed(task.seed, step))
        for _ in range(rounds):
            booster.update(train.inputs, booster.num_boosted_rounds())
    except xgb.core.XGBoostError as error:
        if "bad_alloc" in str(error) or "out of memory" in str(error):
            raise  # `guarded` knows what that is
        raise TrainingError("error", f"XGBoost gave up: {shown(first_line(error))}") from error


def _reseed(booster: Any, config: Config, seed: int) -> None:
    # XGBoost keeps the state of its row and column sampling out of the saved model. Changing the tree
    # method makes it build its samplers anew, from a seed of our own for each step: only so does a
    # restored training draw what an uninterrupted one does.
    for values in ({"tree_method": "approx"}, {"tree_method": "hist", "seed": seed}):
        booster.set_param({**_chosen(config), **values})
        booster.save_config()  # makes the change take effect


def _metrics(booster: Any, matrices: Mapping[str, _Matrix], task: TrainingTask, clock: Stopwatch) -> dict[str, float]:
    held_out, trained = matrices["validation"], matrices["train"]
    with clock.over(len(held_out.labels)):
        predicted = _predict(booster, held_out, task.data)
    validation = scores(task.data, held_out.labels, predicted)
    train = scores(task.data, trained.labels, _predict(booster, trained, task.data))
    always = "rmse" if task.data.task == "regression" else "log_loss"
    between = gaps(task.data, held_out.labels, predicted, held_out.groups)
    return {**validation, **between, **{f"train_{name}": train[name] for name in (task.objective.metric, always)}}


def _predict(booster: Any, matrix: _Matrix, card: DataCard) -> Floats:
    predicted: Floats = booster.predict(matrix.inputs)
    if card.task == "regression" or predicted.ndim == 2:
        return predicted
    return np.column_stack([1.0 - predicted, predicted])


def _matrix(fitted: Preprocessor, table: Table, threads: int) -> _Matrix:
    values, types = fitted.apply(table.features)
    inputs = xgb.DMatrix(values, label=table.labels, feature_types=types, enable_categorical=True, nthread=threads)
    return _Matrix(inputs, table.labels, table.groups)


def _booster(parameters: Mapping[str, Any], cached: list[Any]) -> Any:
    return xgb.Booster(dict(parameters), cached)


def _load(booster: Any, folder: Path) -> None:
    try:
        booster.load_model(folder / _MODEL_FILE)
    except (OSError, ValueError, xgb.core.XGBoostError) as error:
        raise TrainingError(
            "error", f"`{folder / _MODEL_FILE}` is no readable model: {shown(first_line(error))}"
        ) from error


def _save(booster: Any, state: Mapping[str, Any], folder: Path) -> None:
    booster.save_model(folder / _MODEL_FILE)
    write_state(folder, state)


def _fixed_parameters(task: TrainingTask) -> dict[str, Any]:
    shared = {"tree_method": "hist", "nthread": task.threads, "verbosity": 0}
    classes = len(task.data.label_space.classes)
    if task.data.task == "regression":
        return {**shared, "objective": "reg:squarederror"}
    if classes == 2:
        return {**shared, "objective": "binary:logistic"}
    return {**shared, "objective": "multi:softprob", "num_class": classes}


def _chosen(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name in PARAMETERS}
