"""What the ledger asks of a forecast: one question a forecast step, with the naive answers beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_gpt_ray.curves.last_value import LastValue
from automl_gpt_ray.curves.median_curve import MedianCurve
from automl_gpt_ray.curves.predictor import Context, CurvePredictor, Query

Quantiles = tuple[float, float, float]
NAIVE: tuple[CurvePredictor, ...] = (LastValue(), MedianCurve())
NAIVE_NAMES = tuple(predictor.name for predictor in NAIVE)
BINS = ("nothing", "up to 10 %", "up to 25 %", "up to 50 %", "more")
_EDGES = (0.0, 0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Question:
    """A forecast of one step, by one source, with what the naive predictors said at that moment.

    Attributes:
        source: Who forecast.
        trial: Of what.
        observed: Steps of the trial that were known then; 0 before the first.
        step: The step forecast.
        answer: The 10, 50 and 90 % quantiles, in the metric's unit; the 10 % one is the lowest value.
        naive: The same of last value and median curve.
        truth: What was reported at `step`; None until then, NaN where it diverged.
    """

    source: str
    trial: str
    observed: int
    step: int
    answer: Quantiles
    naive: tuple[Quantiles, ...]
    truth: float | None = None

    def share(self, max_step: int) -> int:
        """Return the bin, a position in BINS, of how much had been observed."""
        return int(np.searchsorted(_EDGES, self.observed / max(max_step, 1)))

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads; NaN and infinities as text, which JSON can hold."""
        return {
            "source": self.source,
            "trial": self.trial,
            "observed": self.observed,
            "step": self.step,
            "answer": list(self.answer),
            "naive": [list(answer) for answer in self.naive],
            "truth": self.truth if self.truth is None or np.isfinite(self.truth) else str(self.truth),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Question:
        """Read what `to_dict` wrote."""
        naive = tuple(_three(answer) for answer in raw["naive"])
        truth = None if raw["truth"] is None else float(raw["truth"])
        return cls(raw["source"], raw["trial"], raw["observed"], raw["step"], _three(raw["answer"]), naive, truth)


def naive_answers(context: Context, queries: list[Query]) -> list[tuple[Quantiles, ...]]:
    """Return, for each query, what each naive predictor says."""
    told = [predictor.predict(context, queries) for predictor in NAIVE]
    return [tuple((float(f.low[i]), float(f.median[i]), float(f.high[i])) for f in told) for i in range(len(queries))]


def _three(values: list[float]) -> Quantiles:
    low, middle, high = map(float, values)
    return low, middle, high
