"""Preprocessing of tables: what is learnt from the training rows and applied to every row.

Knows no model. What was learnt is plain JSON, never a pickle, so that a checkpoint can be read
anywhere and by anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_gpt_ray.errors import DataError, Problem, SpaceError, shown
from automl_gpt_ray.records import Config

CHOICES: dict[str, tuple[str, ...]] = {
    "imputation": ("native", "median", "most_frequent", "median_indicator"),
    "encoding": ("native", "ordinal", "onehot", "frequency"),
    "scaling": ("none", "standard", "quantile"),
}
"""Data-processing choices by name; the first is the default.

`native` leaves missing values, or categories, to a model that can take them; `median` fills
categories by the most frequent one; `_indicator` adds a 0/1 column where a value was missing.
"""

_MOST_CATEGORIES = 1000  # rarer ones read as missing: a column of free text is no set of categories
_WHOLE = 2**24
_MOST_ONEHOT = 64
_QUANTILES = 101

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ColumnPlan:
    """What is done to one column.

    Attributes:
        name: The column.
        kind: `number` or `category`.
        fill: Number or category that replaces a missing one; None leaves it missing.
        indicator: Whether a 0/1 column tells where it was missing.
        centre: Subtracted from a number.
        spread: Then divides it; above 0.
        quantiles: Ascending; a number becomes its rank among them in [0, 1]. Empty: it does not.
        categories: Known categories, in the order of their codes.
        shares: Share of each category, where it is encoded so.
    """

    name: str
    kind: str
    fill: float | str | None = None
    indicator: bool = False
    centre: float = 0.0
    spread: float = 1.0
    quantiles: list[float] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Preprocessor:
    """Fitted preprocessing: one plan a column, and how categories are encoded.

        fitted = Preprocessor.fit(train.features, config)
        matrix, types = fitted.apply(test.features)
        again = Preprocessor.from_json(fitted.to_json())

    Attributes:
        plans: In the order of the columns. Columns without a value in training have none.
        encoding: One of `CHOICES["encoding"]`.
    """

    plans: tuple[ColumnPlan, ...]
    encoding: str

    @classmethod
    def fit(cls, frame: pd.DataFrame, config: Config) -> Preprocessor:
        """Learn from training rows.

        Args:
            frame: Float64 columns and pandas categories of text.
            config: May hold the names of `CHOICES`.

        Raises:
            SpaceError: A choice is not known.
            DataError: No column holds a value.
        """
        imputation, encoding, scaling = (choice(config, name) for name in CHOICES)
        present = [name for name in frame.columns if frame[name].notna().any()]
        if not present:
            raise DataError("data", [Problem("train", "at least one column must hold values", "only missing ones")])
        plans = [
            _number_plan(frame[name], imputation, scaling)
            if frame[name].dtype == np.float64
            else _category_plan(frame[name], imputation, encoding)
            for name in present
        ]
        return cls(tuple(plans), encoding)

    def apply(self, frame: pd.DataFrame) -> tuple[Matrix, list[str]]:
        """Return shape (rows, features), and XGBoost's type of each feature: `q` number, `c` category.

        Categories that training did not hold are treated as missing.
        """
        blocks = [block for plan in self.plans for block in self._blocks(plan, frame[plan.name])]
        types = [kind for _, kind in blocks]
        return np.column_stack([values.astype(np.float32) for values, _ in blocks]), types

    def to_json(self) -> dict[str, Any]:
        """Return what was learnt, in JSON's types."""
        return {"encoding": self.encoding, "plans": [asdict(plan) for plan in self.plans]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocessor:
        """Return what `to_json` gave."""
        return cls(tuple(ColumnPlan(**plan) for plan in values["plans"]), values["encoding"])

    def _blocks(self, plan: ColumnPlan, column: pd.Series[Any]) -> list[tuple[npt.NDArray[Any], str]]:
        made = _numbers(plan, column) if plan.kind == "number" else _categories(plan, column, self.encoding)
        if plan.indicator:
            made.append((column.isna().to_numpy(), "q"))
        return made


def choice(config: Config, name: str) -> str:
    """Return the data-processing choice `name` of `config`, its default where it has none.

    Raises:
        SpaceError: The choice is not known.
    """
    known = CHOICES[name]
    value = config.get(name, known[0])
    if value not in known:
        raise SpaceError("configuration", [Problem(name, f"must be one of {', '.join(known)}", shown(value))])
    return str(value)


def _number_plan(column: pd.Series[Any], imputation: str, scaling: str) -> ColumnPlan:
    values = column.dropna().to_numpy()
    fill = None
    if imputation != "native":
        fill = float(column.mode().iloc[0]) if imputation == "most_frequent" else float(np.median(values))
    indicator = imputation == "median_indicator" and bool(column.isna().any())
    if scaling == "quantile":
        quantiles = np.unique(np.quantile(values, np.linspace(0.0, 1.0, _QUANTILES)))
        return ColumnPlan(str(column.name), "number", fill, indicator, quantiles=quantiles.tolist())
    if scaling == "standard":
        spread = float(values.std()) or 1.0
        return ColumnPlan(str(column.name), "number", fill, indicator, float(values.mean()), spread)
    # 32 bits tell whole numbers apart up to 2^24: dates and ids are counted from their middle.
    centre = float(np.median(values)) if np.abs(values).max() > _WHOLE else 0.0
    return ColumnPlan(str(column.name), "number", fill, indicator, centre)


def _category_plan(column: pd.Series[Any], imputation: str, encoding: str) -> ColumnPlan:
    counts = column.value_counts()
    counts = counts[counts > 0]
    limit = _MOST_ONEHOT if encoding == "onehot" else _MOST_CATEGORIES
    # Codes in order of text, not of frequency: equal columns get equal codes whatever the split.
    categories = sorted(str(name) for name in counts.index[:limit])
    shares = [float(counts[name] / len(column)) for name in categories] if encoding == "frequency" else []
    fill = None if imputation == "native" else str(counts.index[0])
    indicator = imputation == "median_indicator" and bool(column.isna().any())
    return ColumnPlan(str(column.name), "category", fill, indicator, categories=categories, shares=shares)


def _numbers(plan: ColumnPlan, column: pd.Series[Any]) -> list[tuple[npt.NDArray[Any], str]]:
    values = column.to_numpy(dtype=np.float64)
    if plan.fill is not None:
        values = np.where(np.isnan(values), float(plan.fill), values)
    if plan.quantiles:
        ranks = np.linspace(0.0, 1.0, len(plan.quantiles))
        values = np.interp(values, plan.quantiles, ranks)  # NaN stays NaN
    return [((values - plan.centre) / plan.spread, "q")]


def _categories(plan: ColumnPlan, column: pd.Series[Any], encoding: str) -> list[tuple[npt.NDArray[Any], str]]:
    codes = _codes(plan, column, filled=encoding == "ordinal")
    if encoding == "onehot":
        return [((codes == code).astype(np.float32), "q") for code in range(len(plan.categories))]
    if encoding == "frequency":
        return [(np.array([*plan.shares, 0.0])[codes], "q")]
    return [(np.where(codes < 0, np.nan, codes), "c" if encoding == "native" else "q")]


def _codes(plan: ColumnPlan, column: pd.Series[Any], filled: bool) -> npt.NDArray[np.int64]:
    """Return each row's code; -1 where it is missing or unknown, or where `filled` what gaps are filled with."""
    places = {name: code for code, name in enumerate(plan.categories)}
    # Only the distinct categories are looked up; the last place answers to pandas' code for missing.
    missing = places.get(str(plan.fill), -1) if plan.fill is not None else -1
    unknown = missing if filled else -1  # a code is all that some models see, and they take no gaps
    new = np.array([*(places.get(str(name), unknown) for name in column.cat.categories), missing], dtype=np.int64)
    return new[column.cat.codes.to_numpy()]
