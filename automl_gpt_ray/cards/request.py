"""The Request: evaluation metrics, constraints, and additional requests in free text."""

from __future__ import annotations

import math
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from automl_gpt_ray.cards.free_text import FreeText
from automl_gpt_ray.errors import CardError, did_you_mean
from automl_gpt_ray.limits import Limit, Limits
from automl_gpt_ray.metrics import METRICS
from automl_gpt_ray.records import Mode
from automl_gpt_ray.yaml_file import build

COSTS = ("latency_ms", "memory_mb", "model_size_mb", "training_seconds")
"""What is measured on every trial of a trainer of this package."""

MAX_NAME = 200


class CustomMetric(BaseModel):
    """A metric that only the user's own trainable reports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    mode: Mode


class Bound(BaseModel):
    """What a reported metric must keep to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        ends = [end for end in (self.min, self.max) if end is not None]
        if not ends or not all(map(math.isfinite, ends)) or ends != sorted(ends):
            raise ValueError("needs a finite `min` or `max`, in this order | write `{max: 0.1}`, for example")
        return self


class Constraints(BaseModel):
    """Limits on what a chosen model may cost, and on any metric that trials report. None means unlimited.

    Attributes:
        latency_ms: Of a prediction, milliseconds an example, in batches as the trainer scores them.
        memory_mb: Peak memory of the training process.
        model_size_mb: Of the weights, trees or coefficients.
        training_seconds: Until the chosen step.
        metrics: Reported metric to what it must keep to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: float | None = Field(default=None, gt=0)
    memory_mb: float | None = Field(default=None, gt=0)
    model_size_mb: float | None = Field(default=None, gt=0)
    training_seconds: float | None = Field(default=None, gt=0)

    metrics: dict[str, Bound] = Field(default_factory=dict, max_length=20)

    @field_validator("metrics")
    @classmethod
    def _named(cls, metrics: dict[str, Bound]) -> dict[str, Bound]:
        for name in metrics:
            if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
                raise ValueError(f"a metric's name must be of 1 to {MAX_NAME} printable characters | rename it")
            if name in COSTS:
                raise ValueError(f"`{name}` has a key of its own | write `{name}: 20` beside `metrics`")
        return metrics

    def costs(self) -> dict[str, float]:
        """The upper limits on what a model costs that were given, by name."""
        return {name: limit for name in COSTS if (limit := getattr(self, name)) is not None}

    def stated(self) -> dict[str, float | dict[str, float]]:
        """The limits that were given, by name; those on metrics by their ends."""
        return {**self.costs(), **{n: bound.model_dump(exclude_none=True) for n, bound in self.metrics.items()}}

    def limits(self) -> Limits:
        """All of them, to judge trials by."""
        costs = (Limit(name, high=limit) for name, limit in self.costs().items())
        return Limits((*costs, *(Limit(name, bound.min, bound.max) for name, bound in self.metrics.items())))


class Request(BaseModel):
    """What the user wants of the result.

    Attributes:
        metrics: Evaluation metrics, the first one optimised. Empty: the Data Card's metric.
        constraints: Limits.
        additional: Additional requests in free text, passed to the language model as data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: list[str | CustomMetric] = Field(default_factory=list)
    constraints: Constraints = Field(default_factory=Constraints)
    additional: FreeText = ""

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: list[str | CustomMetric]) -> list[str | CustomMetric]:
        for metric in metrics:
            if isinstance(metric, str) and metric not in METRICS:
                hint = did_you_mean(metric, METRICS)
                raise ValueError(f"unknown metric | {hint} For your own, write `{{name: ..., mode: max}}`")
        return metrics


def parse_request(values: dict[str, Any], source: str = "request") -> Request:
    """Check `values` and return the Request.

    Raises:
        CardError: With every problem found.
    """
    return build(Request, values, source, CardError)
