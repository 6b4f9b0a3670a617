"""Bundled data: the sets that come with scikit-learn and need no network.

Knows their names, and how each becomes an Arrow table or an array of images.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn import datasets

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import DataError, Problem, did_you_mean, shown

LABEL = "target"
"""Name of the label column of a bundled table, where the card names no other."""

_LOADERS = {
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
}
_DIGIT_WHITE = 16.0


def table(card: DataCard) -> Any:
    """Return the bundled set that the card names, as an Arrow table with its label column.

    Raises:
        DataError: There is no such set.
    """
    bunch = _bunch(card)
    names = [str(name) for name in bunch.feature_names]
    columns = {name: np.ascontiguousarray(bunch.data[:, i]) for i, name in enumerate(names)}
    return pa.table({**columns, card.label_space.column or LABEL: bunch.target})


def images(card: DataCard) -> tuple[npt.NDArray[np.uint8], list[Any]]:
    """Return images of shape (n, height, width, 1) in 0..255, and raw labels.

    Raises:
        DataError: There is no such set, or it holds no images.
    """
    bunch = _bunch(card)
    if "images" not in bunch:
        rule = "must be a bundled set of images: `digits`"
        raise DataError(card.name, [Problem("load.name", rule, shown(card.load.name if card.load else None))])
    grey = np.round(bunch.images * (255.0 / _DIGIT_WHITE)).astype(np.uint8)
    return grey[..., None], bunch.target.tolist()


def _bunch(card: DataCard) -> Any:
    name = card.load.name if card.load else None
    if name not in _LOADERS:
        rule = "must be a set that scikit-learn bundles"
        raise DataError(card.name, [Problem("load.name", rule, shown(name), did_you_mean(str(name), _LOADERS))])
    return _loaded(name)


@cache
def _loaded(name: str) -> Any:
    # A checkpoint is scored by loading its split anew; reading a set's file takes longer than the scoring.
    return _LOADERS[name]()
