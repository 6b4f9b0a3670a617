"""The Ray Tune edge of the built-in trainers: steps become reports with checkpoints.

The only file here that imports Ray; it knows no model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ray import tune

from automl_gpt_ray.records import Config
from automl_gpt_ray.training.steps import Step
from automl_gpt_ray.training.task import TrainingTask

Fit = Callable[[Config, TrainingTask, Path | None], Iterator[Step]]


def run(fit: Fit, config: Config, task: TrainingTask) -> None:
    """Train inside a Ray Tune trial, from its checkpoint if it has one, reporting every step.

    Args:
        fit: The trainer.
        config: The trial's configuration. Passed on as it is, so that hot values changed in place
            between two reports are seen.
        task: What all trials share.
    """
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        _report(fit(config, task, None))
        return
    with checkpoint.as_directory() as folder:
        _report(fit(config, task, Path(folder)))


def _report(steps: Iterator[Step]) -> None:
    for step in steps:
        with tempfile.TemporaryDirectory(prefix="step-") as folder:
            step.save(Path(folder))
            tune.report(dict(step.metrics), checkpoint=tune.Checkpoint.from_directory(folder))
