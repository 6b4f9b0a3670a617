"""What an optimiser knows of a run, as plain values: ranges of good and bad settings, importances, its next move.

Advisors compute it (`advisors.insight`), prompts show it; neither knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from automl_gpt_ray.records import Config, Scalar

Quartiles = tuple[float, float, float]
"""The 25, 50 and 75 % quantiles, each a value that was tried."""

Shares = tuple[tuple[Scalar, float], ...]
"""Choice and its share of the trials, the most frequent first."""


@dataclass(frozen=True)
class Contrast:
    """One hyperparameter in the best quarter of the trials and in the rest.

    Attributes:
        name: Of the hyperparameter.
        best: Its values in the best quarter: quartiles of a number, shares of a choice; None where none
            of these trials had it.
        rest: The same for the other trials.
        importance: Its share of what decides whether a trial is among the best quarter, in [0, 1]; None
            where that cannot be told.
    """

    name: str
    best: Quartiles | Shares | None
    rest: Quartiles | Shares | None
    importance: float | None = None


@dataclass(frozen=True)
class Insight:
    """What the classical optimiser knows after a number of trials.

    Attributes:
        trials: How many trials it is drawn from.
        best: How many of them are the best quarter.
        contrasts: One a hyperparameter, the most important first.
        suggestion: The configuration the optimiser would train next; None where it has none.
    """

    trials: int
    best: int
    contrasts: tuple[Contrast, ...]
    suggestion: Config | None = None
