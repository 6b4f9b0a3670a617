"""Gradient-boosted trees on tables, by XGBoost.

One step is `rounds_per_step` boosting rounds. Hot hyperparameters (eta, lambda, ...) are read from
`config` at every step, so a change between two reports takes effect at the next step. Knows tables,
preprocessing and scores; nothing of Ray.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from automl_gpt_ray.errors import TrainingError, first_line, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import table_steps
from automl_gpt_ray.training.preprocessing import Matrix
from automl_gpt_ray.training.scores import Floats
from automl_gpt_ray.training.steps import Step, guarded
from automl_gpt_ray.training.table_steps import Rows
from automl_gpt_ray.training.task import TrainingTask
from automl_gpt_ray.training.xgboost_names import DEFAULT_ROUNDS, PARAMETERS

_KNOWN = PARAMETERS | {"class_weighting", "rounds_per_step"}
_MODEL_FILE = "model.ubj"


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
    """A booster, and its examples by the rows they came from: XGBoost keeps what it predicted for an input."""

    def __init__(self, config: Config, task: TrainingTask, rows: Rows) -> None:
        self._task, self._rows = task, rows
        self._inputs: list[tuple[Matrix, Any]] = []
        train = self._matrix(rows.values)
        train.set_label(rows.labels)
        self.booster = xgb.Booster({**_fixed_parameters(task), **_chosen(config)}, [train])

    def grow(self, config: Config, step: int) -> None:
        rows = self._rows
        train = self._matrix(rows.values)
        train.set_weight(table_steps.weights(config, rows.labels, self._task.data))
        rounds = table_steps.whole(config, "rounds_per_step", DEFAULT_ROUNDS)
        try:
            self._reseed(config, table_steps.step_seed(self._task.seed, step))
            for _ in range(rounds):
                self.booster.update(train, self.booster.num_boosted_rounds())
        except xgb.core.XGBoostError as error:
            if "bad_alloc" in str(error) or "out of memory" in str(error):
                raise  # `guarded` knows what that is
            raise TrainingError("error", f"XGBoost gave up: {shown(first_line(error))}") from error

    def predict(self, values: Matrix) -> Floats:
        predicted: Floats = self.booster.predict(self._matrix(values))
        if self._task.data.task == "regression" or predicted.ndim == 2:
            return predicted
        return np.column_stack([1.0 - predicted, predicted])

    def size(self) -> int:
        return len(self.booster.save_raw("ubj"))

    def save(self, folder: Path) -> None:
        self.booster.save_model(folder / _MODEL_FILE)

    def _reseed(self, config: Config, seed: int) -> None:
        # XGBoost keeps the state of its row and column sampling out of the saved model. Changing the tree
        # method makes it build its samplers anew, from a seed of our own for each step: only so does a
        # restored training draw what an uninterrupted one does.
        for values in ({"tree_method": "approx"}, {"tree_method": "hist", "seed": seed}):
            self.booster.set_param({**_chosen(config), **values})
            self.booster.save_config()  # makes the change take effect

    def _matrix(self, values: Matrix) -> Any:
        found = next((inputs for known, inputs in self._inputs if known is values), None)
        if found is None:
            types, threads = self._rows.types, self._task.threads
            found = xgb.DMatrix(values, feature_types=types, enable_categorical=True, nthread=threads)
            self._inputs.append((values, found))
        return found


def _restore(model: Any, folder: Path, state: Mapping[str, Any]) -> None:
    path = folder / _MODEL_FILE
    try:
        model.booster.load_model(path)
    except (OSError, ValueError, xgb.core.XGBoostError) as error:
        raise TrainingError("error", f"`{path}` is no readable model: {shown(first_line(error))}") from error


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
