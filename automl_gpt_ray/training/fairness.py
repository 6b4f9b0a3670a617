"""Gaps between groups of people: how differently a model treats those whom a Data Card's `groups` tell apart.

    selection_gap_C   largest difference between groups in how often a class is predicted (demographic parity
                      difference; Agarwal et al. 2018, arXiv 1803.02453)
    recall_gap_C      the same of its recall (equal opportunity difference; Hardt et al. 2016, arXiv 1610.02413)
    accuracy_gap_C    largest difference in accuracy
    mae_gap_C         for regression: largest difference in mean absolute error

C is the column. Of two classes the second counts as the one that matters; of more, the class with the largest gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import DataError, Problem
from automl_gpt_ray.metrics import GAPS
from automl_gpt_ray.training.labels import Labels
from automl_gpt_ray.training.scores import Floats

LEAST = 30
"""Examples that a group must have: rates of fewer say little."""
MOST = 100
"""Groups of a column."""

Members = npt.NDArray[np.bool_]


def check_groups(card: DataCard, groups: pd.DataFrame, split: str) -> None:
    """Raise DataError where a column of `groups` does not tell at least two groups of LEAST examples apart."""
    problems = []
    for name in groups:
        count, large = groups[name].nunique(), len(list(_members(groups[name])))
        if count > MOST or large < 2:
            rule = f"a column in `groups` must have 2 to {MOST} values, two of them with {LEAST} examples in each split"
            got = f"{count} values, {large} with as many"
            problems.append(Problem(f"{split}.{name}", rule, got, "take it out of `groups`, or group its values"))
    if problems:
        raise DataError(card.name, problems)


def gaps(card: DataCard, labels: Labels, predictions: Floats, groups: pd.DataFrame) -> dict[str, float]:
    """Return the gaps between the groups of each column, in [0, 1] but for `mae_gap`; NaN where nothing compares.

    Args:
        card: Says the task and the number of classes K.
        labels: Shape (n,).
        predictions: Class probabilities of shape (n, K), or targets of shape (n,).
        groups: A column of categories for each entry of the card's `groups`, n rows.
    """
    finite = bool(np.isfinite(predictions).all())
    return {
        f"{gap}_{name}": _gap(gap, card, labels, predictions, list(_members(groups[name]))) if finite else float("nan")
        for name in groups
        for gap in GAPS[card.task == "regression"]
    }


def _members(column: pd.Series[Any]) -> Iterator[Members]:
    for value, count in column.value_counts().items():
        if count >= LEAST:
            yield np.asarray(column == value)


def _gap(gap: str, card: DataCard, labels: Labels, predictions: Floats, groups: list[Members]) -> float:
    if gap == "mae_gap":
        return _spread(groups, lambda who: float(np.abs(predictions - labels)[who].mean()))
    predicted = predictions.argmax(axis=1)
    if gap == "accuracy_gap":
        return _spread(groups, lambda who: float((predicted == labels)[who].mean()))
    count = predictions.shape[1]
    classes = [1] if count == 2 else range(count)
    if gap == "selection_gap":
        return _largest(_spread(groups, lambda who, k=k: float((predicted == k)[who].mean())) for k in classes)  # type: ignore[misc]
    return _largest(_spread(groups, lambda who, k=k: _recall(labels, predicted, who, k)) for k in classes)  # type: ignore[misc]


def _recall(labels: Labels, predicted: Labels, who: Members, k: int) -> float:
    of_class = who & (labels == k)
    return float((predicted == k)[of_class].mean()) if of_class.any() else float("nan")


def _spread(groups: list[Members], rate: Callable[[Members], float]) -> float:
    rates = np.array([rate(who) for who in groups])
    known = rates[~np.isnan(rates)]
    return float(known.max() - known.min()) if len(known) > 1 else float("nan")


def _largest(values: Iterable[float]) -> float:
    return max((value for value in values if value == value), default=float("nan"))
