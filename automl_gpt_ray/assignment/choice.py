"""What an assignment is: the model chosen for a task, the others that could have been, and those that could not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from automl_gpt_ray.cards import DataCard, Request


@dataclass(frozen=True)
class OpenTask:
    """A task that wants a model.

    Attributes:
        name: Unique in its job.
        data: Its Data Card.
        request: What is wanted of the result.
        gpus: GPUs that each of its trials gets.
        values: The job of its own that it becomes, all but the model.
        named: The model that the job names itself; empty where one is to be found.
        models: How many models are tried, a run each; at least 1.
    """

    name: str
    data: DataCard
    request: Request
    gpus: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    named: str = ""
    models: int = 1


@dataclass(frozen=True)
class Candidate:
    """A model and what speaks for it, or against it."""

    model: str
    reason: str
    score: float = 0.0


@dataclass(frozen=True)
class Assignment:
    """The model of a task.

    Attributes:
        task: Name of the task.
        model: Name of the Model Card; empty where every one is refused.
        reason: Why, in one sentence.
        by: Who chose: `language`, `rules` or `job`.
        alternatives: Others that could train on it, best first, and why they were not chosen.
        rejected: Those that cannot, and the rule that says so.
        problem: Why the language model did not choose though there is one; empty otherwise.
    """

    task: str
    model: str
    reason: str
    by: str
    alternatives: tuple[Candidate, ...] = ()
    rejected: tuple[Candidate, ...] = ()
    problem: str = ""

    def tried(self, count: int) -> tuple[str, ...]:
        """Return the names of the `count` models to try, the chosen one first; fewer where there are no more."""
        return (self.model, *(c.model for c in self.alternatives))[:count] if self.model else ()
