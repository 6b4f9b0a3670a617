"""How a run is steered, and what steering says: the words that searcher, scheduler and steering share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl_gpt_ray.revision import RevisionRule


@dataclass(frozen=True)
class Choice:
    """What a worker does.

    Attributes:
        action: `trial`: go on with `trial`; `new`: start another; `wait`: nothing now; `end`: nothing any more.
        trial: Id of the trial that goes on.
        reason: In a sentence.
        by: Who says so.
        predicted: The final value believed of the trial that makes way; None where nothing is.
        ends: Whether the trial that makes way ends instead of waiting.
    """

    action: Literal["trial", "new", "wait", "end"]
    trial: str | None = None
    reason: str = ""
    by: str = "planner"
    predicted: float | None = None
    ends: bool = False


@dataclass(frozen=True)
class SteeringRule:
    """How a run is steered.

    Attributes:
        grace: The first rung, in steps, while the forecasts have earned no say; by default a tenth of a full
            training.
        eta: One in so many goes on at each rung; above 1.
        audit: Share of the trials to be paused that run on instead, and of all steps that this may cost, in [0, 1).
        switch_cost: What pausing one trial and starting another costs, in steps; None measures it.
        forecasts: `earned`: they decide once they have beaten the naive ones; `trusted`: at once; `ignored`: never,
            trials are promoted by rungs alone.
        review: Whether the language model, where there is one, is asked about running trials.
        review_every: After so many steps of a trial each; by default a fifth of a full training.
        background: Whether rankings are made in a thread; else by whoever asks, from the history as it is.
        revise: What may be changed about a trial as it trains; None changes nothing.
    """

    grace: int | None = None
    eta: float = 3.0
    audit: float = 0.05
    switch_cost: float | None = None
    forecasts: Literal["earned", "trusted", "ignored"] = "earned"
    review: bool = True
    review_every: int | None = None
    background: bool = True
    revise: RevisionRule | None = None
