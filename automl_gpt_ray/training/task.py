"""What a trainable is told besides its configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.records import Objective

_MARK = "trains_by_workers"


@dataclass(frozen=True)
class TrainingTask:
    """The work of every trial of a run; the same object for all of them.

    A trainable that takes a second parameter named `task` is given this; one that takes only
    `config`, like any Ray Tune function trainable, is not.

    Attributes:
        data: The data set; `data.load.path` is absolute.
        objective: Metric and direction the run optimises.
        max_steps: Steps of a full training.
        seed: For splits (the same in every trial) and initial weights.
        threads: CPU threads a trial may use.
        refit: Train on the validation examples too: the last training of the chosen configuration.
            Its validation metrics mean nothing then.
        workers: Processes that train one model together.
    """

    data: DataCard
    objective: Objective
    max_steps: int
    seed: int = 0
    threads: int = 1
    refit: bool = False
    workers: int = 1


def by_workers(trainable: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a trainable that can train one model in `task.workers` processes; jobs refuse more than one elsewhere."""
    setattr(trainable, _MARK, True)
    return trainable


def trains_by_workers(trainable: Callable[..., Any]) -> bool:
    """Return whether a trainable is so marked."""
    return bool(getattr(trainable, _MARK, False))
