"""The seam to whoever knows the finals of a run's trials and of configurations never tried.

    model = maker.fit(context)
    mean, var = model.known()                   # finals of the context's trials, on `model.scale`
    mean, var = model.process.finals(vectors)   # of configurations
    later = model.updated(context)              # milliseconds to tens of them

The planner, the candidates and the advisor need no more. Implementations: `freeze_thaw.FittedCurves` (curves
extrapolated by parametric fits, configurations by a Gaussian process), `learned.alone.NetworkCurves` (both by
the network) and `learned.hybrid.LearnedCurves` (curves by the network, configurations by the process).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from automl_gpt_ray.curves.predictor import Array, Context, Forecasts, Query
from automl_gpt_ray.curves.scale import Scale


class Carrier(Protocol):
    """What carries from the trials to configurations that no trial has tried; `process.Process` is one."""

    @property
    def centre(self) -> float:
        """What is believed of a final where nothing is known, in z."""
        ...

    @property
    def theta(self) -> Array:
        """What a later fit may start from; empty where there is nothing."""
        ...

    def finals(self, vectors: Array) -> tuple[Array, Array]:
        """Return mean and variance of the finals of configurations, shape (m, d), in z, each of shape (m,)."""
        ...

    def and_also(self, vectors: Array, seen: Array, noise: Array) -> Carrier:
        """Return what would be believed had these finals been seen too, shapes (k, d), (k,), (k,)."""
        ...


class CurveModel(Protocol):
    """What a context says of the final of every trial and configuration."""

    @property
    def name(self) -> str:
        """The source under which its forecasts are scored."""
        ...

    @property
    def context(self) -> Context:
        """What it was made of."""
        ...

    @property
    def scale(self) -> Scale:
        """What its numbers are on."""
        ...

    @property
    def process(self) -> Carrier:
        """Knows configurations."""
        ...

    def known(self) -> tuple[Array, Array]:
        """Return mean and variance of the final z of each trial of the context, each of shape (curves,)."""
        ...

    def reached(self) -> Array:
        """Return z that each trial with a value has reached by now, its noise smoothed away."""
        ...

    def updated(self, context: Context) -> CurveModel:
        """Return the same model of a later `context`."""
        ...

    def predict(self, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        ...


class CurveModelMaker(Protocol):
    """Makes models of contexts."""

    @property
    def name(self) -> str:
        """The source under which its models' forecasts are scored."""
        ...

    def fit(self, context: Context, start: Array | None = None) -> CurveModel:
        """Return a model of `context`; `start` is the `process.theta` of an earlier one."""
        ...
