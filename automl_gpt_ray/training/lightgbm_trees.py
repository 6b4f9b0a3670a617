"""Gradient-boosted trees on tables, by LightGBM.

One step is `rounds_per_step` boosting rounds. Hot hyperparameters are read from `config` at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from automl_gpt_ray.errors import TrainingError, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import table_steps
from automl_gpt_ray.training.preprocessing import Matrix
from automl_gpt_ray.training.scores import Floats
from automl_gpt_ray.training.steps import Step, guarded
from automl_gpt_ray.training.table_steps import Rows
from automl_gpt_ray.training.task import TrainingTask

PARAMETERS = frozenset(
    {
        "num_leaves", "max_depth", "min_data_in_leaf", "min_sum_hessian_in_leaf", "learning_rate", "feature_fraction",
        "bagging_fraction", "bagging_freq", "lambda_l1", "lambda_l2", "min_gain_to_split", "max_bin", "cat_smooth",
        "cat_l2", "max_cat_threshold", "extra_trees", "path_smooth", "linear_tree",
    }
)  # fmt: skip
"""Names in a configuration that go to LightGBM as they are."""

DEFAULT_ROUNDS = 10
_KNOWN = PARAMETERS | {"class_weighting", "rounds_per_step"}
_MODEL_FILE = "model.txt"


def train(config: dict[str, Any], task: TrainingTask) -> None:
    """Train inside a Ray Tune trial: a function trainable.

    Args:
        config: Names in `PARAMETERS`, `preprocessing.CHOICES`, `class_weighting` (`none` or
            `balanced`) and `rounds_per_step`; what is absent has the library's default.
        task: What all trials share.

    Raises:
        TrainingError: The objective became NaN, memory ran out, or LightGBM refused a value.
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
    return guarded(table_steps.fit(_Trees, _restore, _KNOWN, config, task, resume_from), task.objective)


def evaluate(config: Config, task: TrainingTask, checkpoint_dir: str | Path, split: str = "test") -> dict[str, float]:
    """Return every metric of a checkpoint on one split, by bare name.

    Args:
        config: Not needed, the checkpoint knows its own; for symmetry with other trainers.
        task: As the checkpoint was trained with: the seed decides the hold-outs.
        checkpoint_dir: Folder of the checkpoint.
        split: `test`, `validation` or `train`.

    Raises:
        DataError: The data set has no such split.
        TrainingError: The folder holds no checkpoint of this trainer.
    """
    return table_steps.evaluate(_Trees, _restore, task, Path(checkpoint_dir), split)


class _Trees:
    """The trees so far, as LightGBM's own text."""

    def __init__(self, config: Config, task: TrainingTask, rows: Rows) -> None:
        self._task, self._rows = task, rows
        self.text = ""

    def grow(self, config: Config, step: int) -> None:
        # Every step starts anew from the text, with a seed of its own: only so does a restored training,
        # which has nothing but the text, draw and round as an uninterrupted one does.
        parameters = {**self._fixed, **{name: value for name, value in config.items() if name in PARAMETERS}}
        parameters["seed"] = table_steps.step_seed(self._task.seed, step)
        rows = self._rows
        data = lgb.Dataset(
            rows.values,
            rows.labels,
            weight=table_steps.weights(config, rows.labels, self._task.data),
            categorical_feature=[i for i, kind in enumerate(rows.types) if kind == "c"],
            free_raw_data=False,
        )
        rounds = table_steps.whole(config, "rounds_per_step", DEFAULT_ROUNDS)
        before = lgb.Booster(model_str=self.text) if self.text else None
        try:
            grown = lgb.train(parameters, data, rounds, init_model=before)
        except lgb.basic.LightGBMError as error:
            if "bad_alloc" in str(error) or "out of memory" in str(error).lower():
                raise MemoryError(str(error)) from error
            raise TrainingError("error", f"LightGBM gave up: {shown(str(error))}") from error
        self.text = grown.model_to_string()

    def predict(self, values: Matrix) -> Floats:
        booster = lgb.Booster(model_str=self.text)
        predicted: Floats = np.asarray(booster.predict(values, num_threads=self._task.threads))
        two = self._task.data.task != "regression" and predicted.ndim == 1
        return np.column_stack([1.0 - predicted, predicted]) if two else predicted

    def size(self) -> int:
        return len(self.text)

    def save(self, folder: Path) -> None:
        (folder / _MODEL_FILE).write_text(self.text, encoding="utf-8")

    @property
    def _fixed(self) -> dict[str, Any]:
        shared = {"num_threads": self._task.threads, "verbosity": -1, "deterministic": True, "force_row_wise": True}
        classes = len(self._task.data.label_space.classes)
        if self._task.data.task == "regression":
            return {**shared, "objective": "regression"}
        if classes == 2:
            return {**shared, "objective": "binary"}
        return {**shared, "objective": "multiclass", "num_class": classes}


def _restore(model: Any, folder: Path, state: Mapping[str, Any]) -> None:
    path = folder / _MODEL_FILE
    try:
        text = path.read_text(encoding="utf-8")
        lgb.Booster(model_str=text)
    except (OSError, ValueError, lgb.basic.LightGBMError) as error:
        raise TrainingError("error", f"`{path}` is no readable model: {shown(str(error))}") from error
    model.text = text
