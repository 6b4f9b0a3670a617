"""Labels: the texts and numbers of a data set as class indices or targets, checked against its card.

Knows nothing of files or features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import Problem, did_you_mean, shown

Labels = npt.NDArray[Any]
"""Shape (examples,): int64 class indices, or float64 targets."""

_MAX_LISTED = 3
_GREATEST = 1e100


def encode(values: Sequence[Any], card: DataCard, field: str) -> tuple[Labels, list[Problem]]:
    """Return the labels that `values` stand for, and everything that is wrong with them.

    Class labels may be given by name (`>50K`), by a number that equals a name (`3`, `3.0`), or by
    index where names are no numbers; a trailing `load.label_strip` is ignored.

    Args:
        values: One raw label an example; None or NaN where it is missing.
        card: Says the task and the classes.
        field: Where the labels come from, for messages.
    """
    missing = [i for i, value in enumerate(values) if value is None or value != value]
    if missing:
        got = f"{len(missing)} without, the first in row {missing[0] + 1}"
        return _none(), [Problem(field, "every example must have a label", got, "remove these rows or label them")]
    if card.task == "regression":
        return _targets(values, field)
    return _classes(values, card, field)


def one_class(labels: Labels, card: DataCard, field: str) -> list[Problem]:
    """Return a problem where training labels have nothing to tell apart."""
    distinct = np.unique(labels)
    if len(distinct) > 1 or not len(labels):
        return []
    if card.task == "regression":
        return [Problem(field, "targets must differ", shown(float(distinct[0])), "check the label column")]
    got = f"only {shown(card.label_space.names[int(distinct[0])])}"
    return [Problem(field, "must hold at least two classes", got, "check the label column, or add data")]


def _targets(values: Sequence[Any], field: str) -> tuple[Labels, list[Problem]]:
    try:
        targets = np.asarray([float(value) for value in values], dtype=np.float64)
    except (TypeError, ValueError):
        wrong = next(value for value in values if not _is_number(value))
        return _none(), [Problem(field, "targets must be numbers", shown(wrong), "correct the data or the task")]
    if not np.isfinite(targets).all():
        return _none(), [Problem(field, "targets must be finite", "infinity", "remove or correct these rows")]
    widest = targets[np.abs(targets).argmax()] if len(targets) else 0.0
    if abs(widest) > _GREATEST:
        rule = f"targets must lie within ±{_GREATEST:g}, or their squares overflow"
        return _none(), [Problem(field, rule, shown(float(widest)), "measure them in a greater unit")]
    return targets, []


def _classes(values: Sequence[Any], card: DataCard, field: str) -> tuple[Labels, list[Problem]]:
    strip = card.load.label_strip if card.load else ""
    # A data set has few distinct labels and many rows: only the distinct ones are looked up.
    distinct = {value: _index(value, card.label_space.names, strip) for value in set(values)}
    unknown = [value for value, index in distinct.items() if index is None]
    if unknown:
        listed = ", ".join(shown(value) for value in sorted(unknown, key=str)[:_MAX_LISTED])
        rule = f"labels must be among the card's {len(card.label_space.names)} classes"
        remedy = did_you_mean(str(unknown[0]), card.label_space.names) or "list it in `label_space.classes`"
        return _none(), [Problem(field, rule, f"{listed} ({len(unknown)} unknown)", remedy)]
    return np.asarray([distinct[value] for value in values], dtype=np.int64), []


def _index(value: Any, names: list[str], strip: str) -> int | None:
    if str(value) in names:
        return names.index(str(value))
    text = str(value).strip()
    text = text.rstrip(strip).rstrip() if strip else text
    if text in names:
        return names.index(text)
    whole = str(int(float(text))) if _is_number(text) and float(text).is_integer() else None
    if whole in names:
        return names.index(whole)
    lowered = [name.lower() for name in names]
    if lowered.count(text.lower()) == 1:
        return lowered.index(text.lower())
    indices = whole is not None and not any(map(_is_number, names)) and 0 <= int(whole) < len(names)
    return int(whole) if whole is not None and indices else None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _none() -> Labels:
    return np.zeros(0, dtype=np.int64)
