"""What passes between a reviewer and a run: which trials are asked about, and what is said of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from automl_gpt_ray.records import LogPoint, Scalar

Action = Literal["continue", "pause", "stop", "revise"]
"""What may be said of a trial: it goes on, waits, ends, or changes hyperparameters."""


@dataclass(frozen=True)
class Subject:
    """A trial that is asked about.

    Attributes:
        trial: Its id.
        step: Its last reported step.
        predicted: What the curve predictor expects at the last step; None where nothing is.
        room: Hyperparameters that may be revised now, to the lowest and the highest value that they may take at
            once; None where the search space alone limits them.
    """

    trial: str
    step: int
    predicted: LogPoint | None = None
    room: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Review:
    """What is said of a trial.

    Attributes:
        trial: Its id.
        step: Its last step when it was asked about.
        action: What it should do.
        reason: Why, in a sentence; never empty.
        predicted: The final value expected of it if it goes on as it is, with an 80 % interval.
        changes: Hyperparameters to their new values; empty unless it is revised.
    """

    trial: str
    step: int
    action: Action
    reason: str
    predicted: LogPoint | None = None
    changes: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class ReviewsRead:
    """What a reply says of running trials; `problems` are what was wrong with the rest of it."""

    call: str
    reviews: tuple[Review, ...]
    problems: tuple[str, ...] = ()
    kind: Literal["reviews"] = "reviews"
