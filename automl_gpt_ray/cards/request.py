"""The Request: evaluation metrics, constraints, and additional requests in free text."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from automl_gpt_ray.cards.free_text import FreeText
from automl_gpt_ray.errors import CardError, did_you_mean
from automl_gpt_ray.metrics import METRICS
from automl_gpt_ray.records import Mode
from automl_gpt_ray.yaml_file import build


class CustomMetric(BaseModel):
    """A metric that only the user's own trainable reports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    mode: Mode


class Constraints(BaseModel):
    """Upper limits on what a chosen model may cost. None means unlimited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: float | None = Field(default=None, gt=0)
    memory_mb: float | None = Field(default=None, gt=0)
    model_size_mb: float | None = Field(default=None, gt=0)
    training_seconds: float | None = Field(default=None, gt=0)

    def costs(self) -> dict[str, float]:
        """The upper limits on what a model costs that were given, by name."""
        return self.stated()

    def stated(self) -> dict[str, float]:
        """The limits that were given, by name."""
        return {k: v for k, v in self.model_dump().items() if v is not None}


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
