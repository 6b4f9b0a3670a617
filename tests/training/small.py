"""Data Cards of small tables, and tasks made of them."""

from __future__ import annotations

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
