"""Models of scikit-learn on tables: forests, histogram boosting, linear models, neighbours, a small network.

The Model Card names one by the constant `estimator`; its other names are that estimator's own. One step
adds trees, rounds or epochs where the estimator can grow, and is the whole fit where it cannot. scikit-learn
has no format that is safe to read, so a checkpoint holds the configuration, and the model is
fitted again from it: what is random comes from the run's seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import ensemble, linear_model, neighbors, neural_network
from sklearn.exceptions import ConvergenceWarning

from automl_gpt_ray.errors import Problem, SpaceError, TrainingError, did_you_mean, shown
from automl_gpt_ray.records import Config
from automl_gpt_ray.training import table_steps
from automl_gpt_ray.training.costs import arrays_bytes
from automl_gpt_ray.training.preprocessing import CHOICES, Matrix
from automl_gpt_ray.training.scores import Floats
from automl_gpt_ray.training.steps import Step, guarded
from automl_gpt_ray.training.table_steps import Rows
from automl_gpt_ray.training.task import TrainingTask


@dataclass(frozen=True)
class _Kind:
    """An estimator: its classes for classification and regression, and how it grows.

    Attributes:
        classifier: Its class.
        regressor: Its class.
        count: The parameter that a step adds `per_step` to; empty where it cannot grow.
        gaps: Whether it takes missing values.
        seeded: Whether it draws anything.
        weighted: Whether examples may have weights.
        categories: Whether it takes categories as such.
    """

    classifier: Callable[..., Any]
    regressor: Callable[..., Any]
    count: str = ""
    gaps: bool = False
    seeded: bool = True
    weighted: bool = True
    categories: bool = False


_KINDS = {
    "random_forest": _Kind(ensemble.RandomForestClassifier, ensemble.RandomForestRegressor, "n_estimators", gaps=True),
    "extra_trees": _Kind(ensemble.ExtraTreesClassifier, ensemble.ExtraTreesRegressor, "n_estimators", gaps=True),
    "hist_gradient_boosting": _Kind(
        ensemble.HistGradientBoostingClassifier,
        ensemble.HistGradientBoostingRegressor,
        "max_iter",
        gaps=True,
        categories=True,
    ),
    "linear": _Kind(linear_model.LogisticRegression, linear_model.Ridge),
    "neighbours": _Kind(neighbors.KNeighborsClassifier, neighbors.KNeighborsRegressor, seeded=False, weighted=False),
    "network": _Kind(neural_network.MLPClassifier, neural_network.MLPRegressor, "epochs", weighted=False),
}
ESTIMATORS = tuple(_KINDS)
"""Known values of `estimator`."""

DEFAULT_PER_STEP = 10
MAX_CATEGORIES = 255
"""Categories that histogram boosting takes as such; a column of more is read as a number, its code."""
_OWN = frozenset({"estimator", "per_step", "class_weighting"})


def train(config: dict[str, Any], task: TrainingTask) -> None:
    """Train inside a Ray Tune trial: a function trainable.

    Args:
        config: `estimator` (one of `ESTIMATORS`), `per_step` (trees, rounds or epochs a step),
            `class_weighting`, `preprocessing.CHOICES`, and parameters of the estimator.
        task: What all trials share.

    Raises:
        TrainingError: The objective became NaN, memory ran out, or scikit-learn refused a value.
        DataError: The data is not what its card says.
        SpaceError: `config` holds a name or value that is not known.
    """
    from automl_gpt_ray.training import loop  # so that scoring a checkpoint needs no Ray

    loop.run(fit, config, task)


def fit(config: Config, task: TrainingTask, resume_from: Path | None = None) -> Iterator[Step]:
    """Yield the steps of a training; errors as in `train`.

    Args:
        config: As in `train`; fixed when the training begins.
        task: What all trials share.
        resume_from: Folder of a checkpoint to go on from, with the same results as if the training
            had not been interrupted; its steps are done again.
    """
    return guarded(table_steps.fit(_Estimator, _restore, known(config), config, task, resume_from), task.objective)


def evaluate(config: Config, task: TrainingTask, checkpoint_dir: str | Path, split: str = "test") -> dict[str, float]:
    """Return every metric of a checkpoint on one split, by bare name; the model is fitted again.

    Args:
        config: Not needed, the checkpoint knows its own; for symmetry with other trainers.
        task: As the checkpoint was trained with: the seed decides the hold-outs.
        checkpoint_dir: Folder of the checkpoint.
        split: `test`, `validation` or `train`.

    Raises:
        DataError: The data set has no such split.
        TrainingError: The folder holds no checkpoint of this trainer.
    """
    return table_steps.evaluate(_Estimator, _restore, task, Path(checkpoint_dir), split)


def known(config: Config) -> frozenset[str]:
    """Return the names that the estimator of `config` obeys.

    Raises:
        SpaceError: There is no such estimator.
    """
    kind = _kind(config)
    names = {name for made in (kind.classifier, kind.regressor) for name in made().get_params()}
    return frozenset(names - {kind.count, "random_state", "n_jobs", "verbose", "warm_start"}) | _OWN


class _Estimator:
    """One estimator, fitted step by step."""

    def __init__(self, config: Config, task: TrainingTask, rows: Rows) -> None:
        self._kind, self._task, self._rows = _kind(config), task, rows
        if not self._kind.gaps and np.isnan(rows.values).any():
            rule = f"`{config['estimator']}` takes no missing values"
            remedy = "choose median, most_frequent or median_indicator"
            raise SpaceError("configuration", [Problem("imputation", rule, shown(config.get("imputation")), remedy)])
        self._model = self._made(config)

    def grow(self, config: Config, step: int) -> None:
        per_step = table_steps.whole(config, "per_step", DEFAULT_PER_STEP)
        with _its_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._grow(config, step, per_step)

    def predict(self, values: Matrix) -> Floats:
        with _its_errors():
            return self._predict(values)

    def _predict(self, values: Matrix) -> Floats:
        if self._task.data.task == "regression":
            targets: Floats = np.asarray(self._model.predict(values))
            return targets
        # Classes that the training rows lack have no column of their own.
        found = np.zeros((len(values), len(self._task.data.label_space.classes)))
        found[:, self._model.classes_.astype(int)] = self._model.predict_proba(values)
        return found

    def size(self) -> int:
        return arrays_bytes(self._model)

    def save(self, folder: Path) -> None:
        """Write nothing: the state holds the configuration, from which the model is fitted again."""

    def _grow(self, config: Config, step: int, per_step: int) -> None:
        rows, kind = self._rows, self._kind
        if kind.count == "epochs":
            classes = {} if self._task.data.task == "regression" else {"classes": np.unique(rows.labels)}
            for _ in range(per_step):
                self._model.partial_fit(rows.values, rows.labels, **classes)
            return
        if kind.count:
            self._model.set_params(**{kind.count: step * per_step})
        elif step > 1:
            return
        weight = table_steps.weights(config, rows.labels, self._task.data) if kind.weighted else None
        self._model.fit(rows.values, rows.labels, **({} if weight is None else {"sample_weight": weight}))

    def _made(self, config: Config) -> Any:
        kind, task = self._kind, self._task
        make = kind.regressor if task.data.task == "regression" else kind.classifier
        obeyed = set(make().get_params())
        chosen = {n: v for n, v in config.items() if n in obeyed and n not in CHOICES and n not in _OWN}
        fixed: dict[str, Any] = {"random_state": task.seed} if kind.seeded else {}
        fixed |= {"n_jobs": task.threads} if kind.count == "n_estimators" else {}
        fixed |= {"warm_start": True} if kind.count in ("n_estimators", "max_iter") else {}
        if kind.categories:
            fixed["categorical_features"] = self._categories(chosen.get("max_bins")) or None
            fixed["early_stopping"] = False
        return make(**chosen, **fixed)

    def _categories(self, bins: object) -> list[int]:
        """Return the columns of categories, but those of more than there are bins: scikit-learn refuses them."""
        codes, most = self._rows.values, bins if isinstance(bins, int) else MAX_CATEGORIES
        return [i for i, t in enumerate(self._rows.types) if t == "c" and np.nanmax(codes[:, i], initial=0) < most]


@contextmanager
def _its_errors() -> Iterator[None]:
    """Tell what scikit-learn says of a configuration, or of data that it does not suit, as the trial's failure."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError) as error:
        raise TrainingError("error", f"scikit-learn gave up: {shown(str(error))}") from error


def _kind(config: Config) -> _Kind:
    name = str(config.get("estimator"))
    if name not in _KINDS:
        rule = f"must be one of {', '.join(_KINDS)}"
        raise SpaceError("configuration", [Problem("estimator", rule, shown(name), did_you_mean(name, _KINDS))])
    return _KINDS[name]


def _restore(model: Any, folder: Path, state: Mapping[str, Any]) -> None:
    for step in range(1, int(state["step"]) + 1):
        model.grow(state["config"], step)
