"""The trainable of a job: found by name, given its task, run by Ray as a function trainable."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune

from automl_gpt_ray.cards import ModelCard
from automl_gpt_ray.config import Resources
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.ray_tune.cluster import GIGABYTE, MEMORY
from automl_gpt_ray.staging import staged_card
from automl_gpt_ray.storage import is_uri
from automl_gpt_ray.training.task import TrainingTask

Trainable = Callable[..., Any]
Evaluate = Callable[[Mapping[str, Any], TrainingTask, Path], Mapping[str, float]]


def load_trainable(card: ModelCard, source: str) -> Trainable:
    """Return the function that the Model Card names.

    Raises:
        JobError: It cannot be imported.
    """
    found: Trainable = _load(card.trainable, "model_card: trainable", source)
    return found


def load_evaluate(card: ModelCard, source: str) -> Evaluate | None:
    """Return the Model Card's `evaluate`, else the function `evaluate` beside the trainable, else None."""
    if card.evaluate:
        found: Evaluate = _load(card.evaluate, "model_card: evaluate", source)
        return found
    module = importlib.import_module(card.trainable.partition(":")[0])
    beside: Evaluate | None = getattr(module, "evaluate", None)
    return beside


def bind(trainable: Trainable, task: TrainingTask, resources: Resources) -> Any:
    """Return the trainable as Tune wants it: with its task, where it takes one, and its resources.

    Several workers have `resources` each; the process of the trial then only waits for them, and needs none.
    """
    if "task" in inspect.signature(trainable).parameters:
        trainable = tune.with_parameters(_with_data(trainable, task), task=task)
    wanted: dict[str, float] = {"CPU": resources.cpu, "GPU": resources.gpu}
    if resources.memory_gb:
        wanted[MEMORY] = resources.memory_gb * GIGABYTE
    bundles = [wanted] if task.workers == 1 else [{}, *[wanted] * task.workers]
    return tune.with_resources(trainable, tune.PlacementGroupFactory(bundles))


def staged(task: TrainingTask) -> TrainingTask:
    """Return the task with its data on this node: fetched from a URI by the first trial there, then shared."""
    return replace(task, data=staged_card(task.data))


def _with_data(trainable: Trainable, task: TrainingTask) -> Trainable:
    if task.workers > 1 or task.data.load is None or not is_uri(task.data.load.path or ""):
        return trainable  # several workers fetch it themselves, each on its node

    @functools.wraps(trainable)
    def train(config: dict[str, Any], task: TrainingTask) -> Any:
        return trainable(config, task=staged(task))

    return train


def score(
    evaluate: Evaluate, config: Mapping[str, Any], task: TrainingTask, checkpoint: Any, resources: Resources
) -> dict[str, float]:
    """Score a `tune.Checkpoint` on the test split, on the cluster with a trial's resources."""
    remote = ray.remote(num_cpus=resources.cpu, num_gpus=resources.gpu, max_retries=1)(_score)
    scores: dict[str, float] = ray.get(remote.remote(evaluate, dict(config), task, checkpoint))
    return scores


def _score(evaluate: Evaluate, config: dict[str, Any], task: TrainingTask, checkpoint: Any) -> dict[str, float]:
    with checkpoint.as_directory() as folder:
        return {name: float(value) for name, value in evaluate(config, staged(task), Path(folder)).items()}


def _load(name: str, field: str, source: str) -> Any:
    module_name, _, function = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # a console script, unlike `python`, does not look where it is run; Ray's workers do
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        remedy = _extra_for(str(error)) or "install the package that holds it, or run from the folder it lies in"
        raise JobError(source, [Problem(field, f"`{module_name}` must be importable", str(error), remedy)]) from None
    found = getattr(module, function, None)
    if not callable(found):
        rule = f"`{module_name}` must hold a function `{function}`"
        raise JobError(source, [Problem(field, rule, type(found).__name__, "correct the name")])
    return found


def _extra_for(message: str) -> str:
    extras = {
        **dict.fromkeys(("xgboost", "sklearn", "lightgbm"), "tabular"),
        **dict.fromkeys(("torch", "transformers", "PIL", "accelerate", "pycocotools"), "vision"),
        "tokenizers": "text",
    }
    extra = next((extra for module, extra in extras.items() if f"'{module}" in message), "")
    return f"pip install 'automl-gpt-ray[{extra}]'" if extra else ""
