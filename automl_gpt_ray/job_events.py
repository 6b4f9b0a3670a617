"""What people and jobs add to a journal, besides what a run writes down itself (`events`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


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
