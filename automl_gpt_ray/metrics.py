"""The metrics the built-in trainers report: direction, range, and the tasks they judge."""

from __future__ import annotations

import math
from dataclasses import dataclass

from automl_gpt_ray.records import Mode


@dataclass(frozen=True)
class Metric:
    """A metric by name. Values lie in [low, high]; infinite where unbounded."""

    name: str
    mode: Mode
    low: float
    high: float
    description: str


_ALL = (
    Metric("accuracy", "max", 0.0, 1.0, "share of examples classified correctly"),
    Metric("balanced_accuracy", "max", 0.0, 1.0, "mean recall over the classes"),
    Metric("f1_macro", "max", 0.0, 1.0, "mean F1 over the classes"),
    Metric("roc_auc", "max", 0.0, 1.0, "area under the ROC curve; one-vs-rest mean for several classes"),
    Metric("average_precision", "max", 0.0, 1.0, "area under the precision-recall curve"),
    Metric("log_loss", "min", 0.0, math.inf, "mean negative log-likelihood of the true class, in nats"),
    Metric("error_rate", "min", 0.0, 1.0, "share of examples classified wrongly"),
    Metric("rmse", "min", 0.0, math.inf, "root mean squared error, in the target's unit"),
    Metric("mae", "min", 0.0, math.inf, "mean absolute error, in the target's unit"),
    Metric("r2", "max", -math.inf, 1.0, "coefficient of determination"),
    Metric("map", "max", 0.0, 1.0, "COCO mean average precision over IoU .50:.95"),
    Metric("map_50", "max", 0.0, 1.0, "COCO average precision at IoU .50"),
    Metric("recall_at_1", "max", 0.0, 1.0, "share of questions whose passage ranks first"),
    Metric("recall_at_5", "max", 0.0, 1.0, "share of questions whose passage is in the top 5"),
    Metric("recall_at_20", "max", 0.0, 1.0, "share of questions whose passage is in the top 20"),
    Metric("recall_at_100", "max", 0.0, 1.0, "share of questions whose passage is in the top 100"),
    Metric("perplexity", "min", 1.0, math.inf, "exponential of the mean negative log-likelihood per token"),
)

GAPS = (("selection_gap", "recall_gap", "accuracy_gap"), ("mae_gap",))
"""Between groups of people, for each column in a Data Card's `groups`: of classification, of regression. Reported as
`recall_gap_sex`, for example; `training.fairness` says what they are."""

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Known metrics by name."""

_OF_TASKS = {
    "classification": ("accuracy", "error_rate", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
    "object_detection": ("map", "map_50"),
    "retrieval": ("recall_at_1", "recall_at_5", "recall_at_20", "recall_at_100"),
}


def of_task(task: str, classes: int) -> tuple[str, ...]:
    """Return the metrics that the trainers of this package report for a task with so many classes."""
    return (*_OF_TASKS.get(task, ()), *(("average_precision",) if task == "classification" and classes == 2 else ()))
