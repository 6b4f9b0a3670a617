"""What people and jobs add to a journal, besides what a run writes down itself (`events`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from automl_gpt_ray.feedback import Feedback


@dataclass(frozen=True)
class FeedbackGiven:
    """A person said something; `problems` are what was wrong with it and is not followed."""

    feedback: Feedback
    problems: tuple[str, ...] = ()
    kind: Literal["feedback"] = "feedback"


@dataclass(frozen=True)
class ModelAssigned:
    """A task of a job got its model; `alternatives` and `rejected` are name to reason."""

    task: str
    model: str
    reason: str
    by: str
    alternatives: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["assigned"] = "assigned"


@dataclass(frozen=True)
class Refitted:
    """A trial's configuration was trained on training and validation data together, to its end at a step."""

    trial: str
    step: int
    path: str
    kind: Literal["refitted"] = "refitted"
