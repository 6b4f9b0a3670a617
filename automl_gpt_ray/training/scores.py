"""Scores: validation metrics from predictions, by scikit-learn.

Knows no model and no data set; names and directions are those of `automl_gpt_ray.metrics`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.metrics import of_task
from automl_gpt_ray.training.labels import Labels

Floats = npt.NDArray[np.floating[Any]]

_SMALLEST = 1e-15  # keeps the log loss of a certain and wrong prediction finite


def reported(card: DataCard) -> tuple[str, ...]:
    """Return the names of the metrics reported for the card's task."""
    return of_task(card.task, len(card.label_space.classes))


def scores(card: DataCard, labels: Labels, predictions: Floats) -> dict[str, float]:
    """Return every metric of the card's task; all NaN where a prediction is not finite.

    Args:
        card: Says the task and the number of classes K.
        labels: Shape (n,).
        predictions: Class probabilities of shape (n, K), or targets of shape (n,).
    """
    if not np.isfinite(predictions).all():
        return dict.fromkeys(reported(card), math.nan)
    if card.task == "regression":
        return _regression(labels, predictions)
    return _classification(labels, predictions)


def log_loss(labels: Labels, probabilities: Floats) -> float:
    """Return the mean negative log-likelihood of the true classes, in nats."""
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(likelihood, _SMALLEST, None)).mean())


def _classification(labels: Labels, probabilities: Floats) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    accuracy = float((predicted == labels).mean())
    values = {
        "accuracy": accuracy,
        "error_rate": 1.0 - accuracy,
        "balanced_accuracy": _balanced_accuracy(labels, predicted, probabilities.shape[1]),
        "f1_macro": float(sk.f1_score(labels, predicted, average="macro", zero_division=0.0)),
        "log_loss": log_loss(labels, probabilities),
        "roc_auc": _roc_auc(labels, probabilities),
    }
    if probabilities.shape[1] == 2:
        values["average_precision"] = _average_precision(labels, probabilities)
    return values


def _balanced_accuracy(labels: Labels, predicted: Labels, classes: int) -> float:
    # By hand: scikit-learn warns of every class that was predicted and is absent from a small split.
    counts = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    present = counts > 0
    return float((right[present] / counts[present]).mean())


def _roc_auc(labels: Labels, probabilities: Floats) -> float:
    # Undefined for a class that is absent or alone: the mean is over the others, NaN if there is none.
    if probabilities.shape[1] == 2:
        return _one_auc(labels == 1, probabilities[:, 1])
    each = [_one_auc(labels == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
    defined = [value for value in each if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def _one_auc(positive: npt.NDArray[np.bool_], score: Floats) -> float:
    # The Mann-Whitney statistic with mean ranks on ties: what scikit-learn computes, in a hundredth of its time.
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return math.nan
    _, inverse, sizes = np.unique(score, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2.0
    total = float(mean_ranks[inverse][positive].sum())
    return (total - count * (count + 1) / 2.0) / (count * (len(positive) - count))


def _average_precision(labels: Labels, probabilities: Floats) -> float:
    positive = labels == 1
    return float(sk.average_precision_score(positive, probabilities[:, 1])) if positive.any() else math.nan


def _regression(labels: Labels, predictions: Floats) -> dict[str, float]:
    error = predictions.astype(np.float64) - labels
    spread = float(((labels - labels.mean()) ** 2).sum())
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": 1.0 - float((error**2).sum()) / spread if spread > 0 else math.nan,
    }
