"""Data Cards of small tables, and tasks made of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl_gpt_ray.cards import DataCard, parse_data_card
from automl_gpt_ray.records import Objective
from automl_gpt_ray.training.task import TrainingTask


def card_of(**values: Any) -> DataCard:
    """A card of a table with the classes `no` and `yes` in the column `label`."""
    defaults = {
        "name": "small",
        "task": "classification",
        "input_type": "tabular",
        "metric": "accuracy",
        "label_space": {"column": "label", "classes": ["no", "yes"]},
    }
    return parse_data_card({**defaults, **values})


def task_of(card: DataCard, metric: str = "accuracy", mode: str = "max", max_steps: int = 4) -> TrainingTask:
    return TrainingTask(card, Objective(metric, mode), max_steps)  # type: ignore[arg-type]


class Reports:
    """What a trainer reported: metrics of each step, and a copy of each checkpoint below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[dict[str, float]] = []

    def __call__(self, metrics: Mapping[str, float], checkpoint: Path) -> None:
        self.steps.append(dict(metrics))
        shutil.copytree(checkpoint, self.checkpoint(int(metrics["step"])))

    def checkpoint(self, step: int) -> Path:
        return self.folder / f"step-{step}"

    @property
    def curve(self) -> list[dict[str, float]]:
        """All but the seconds, which no two trainings share."""
        return [
            {name: value for name, value in step.items() if name not in ("seconds", "latency_ms")}
            for step in self.steps
        ]
