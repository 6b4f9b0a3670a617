"""The Ray Tune edge of the built-in trainers: steps become reports with checkpoints.

Only this file and `workers` import Ray; they know no model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import ray
from ray import tune

from automl_gpt_ray.live import Live, live
from automl_gpt_ray.records import Config
from automl_gpt_ray.training.costs import forget_peak, peak_memory
from automl_gpt_ray.training.steps import Report, Step
from automl_gpt_ray.training.task import TrainingTask

Fit = Callable[[Config, TrainingTask, Path | None], Iterator[Step]]
Learn = Callable[[Config, TrainingTask, Report, Path | None], None]


def run(fit: Fit, config: Config, task: TrainingTask) -> None:
    """Train inside a Ray Tune trial, from its checkpoint if it has one, reporting every step.

    Args:
        fit: The trainer.
        config: The trial's configuration. The trainer reads it `live`: what is revised between two reports
            is in force from the next step on.
        task: What all trials share.
    """
    forget_peak()
    hp = live(config)
    checkpoint = hp.checkpoint()
    if checkpoint is None:
        _report(fit(hp, task, None), hp)
        return
    with checkpoint.as_directory() as folder:
        _report(fit(hp, task, Path(folder)), hp)


def learn(trainer: Learn, config: Config, task: TrainingTask) -> None:
    """As `run`, for a trainer that reports by calling what it is given.

    Args:
        trainer: The trainer; asked to go on from a checkpoint where the trial has one.
        config: As in `run`.
        task: What all trials share. With several `workers`, each calls the trainer; see `workers.learn`.
    """
    if task.workers > 1:
        from automl_gpt_ray.training import workers  # needs torch and Ray Train, which few trials do

        workers.learn(trainer, config, task)
        return
    assigned = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
    _keep_to_share(float(assigned.get("GPU", 0.0)))
    forget_peak()
    hp = live(config)
    checkpoint = hp.checkpoint()
    if checkpoint is None:
        trainer(hp, task, partial(_tell, hp), None)
        return
    with checkpoint.as_directory() as folder:
        trainer(hp, task, partial(_tell, hp), Path(folder))


def _keep_to_share(gpus: float) -> None:
    """Bound the memory of a trial that shares a GPU: Ray counts shares, but keeps nobody to theirs."""
    if not 0.0 < gpus < 1.0:
        return
    import torch  # of all trainers, only those that may use a GPU need it

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpus)


def _tell(hp: Live, metrics: Mapping[str, float], folder: Path) -> None:
    tune.report({**metrics, **peak_memory()}, checkpoint=tune.Checkpoint.from_directory(str(folder)))
    hp.refresh()


def _report(steps: Iterator[Step], hp: Live) -> None:
    for step in steps:
        with tempfile.TemporaryDirectory(prefix="step-") as folder:
            step.save(Path(folder))
            tune.report(
                {**step.metrics, **step.costs, **peak_memory()}, checkpoint=tune.Checkpoint.from_directory(folder)
            )
            hp.refresh()
