"""Questions to an advisor in another process, and its answers: JSON lines, checked on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from automl_gpt_ray.records import Objective, Proposal, TrialRecord


@dataclass(frozen=True)
class Opening:
    """What to answer with: a recipe (`recipe_of`) and the brief (`Brief.to_dict`) of the run."""

    recipe: Mapping[str, Any]
    brief: Mapping[str, Any]
    kind: Literal["opening"] = "opening"


@dataclass(frozen=True)
class Ask:
    """A history, as what changed since the last one, and how many proposals are wanted.

    Attributes:
        n: Proposals wanted.
        length: Trials in the history.
        changed: Place in the history and record of each trial that is new or not what it was.
        objective, pending, version, epoch, max_step: As in `History`.
    """

    n: int
    length: int
    changed: tuple[tuple[int, TrialRecord], ...]
    objective: Objective
    pending: tuple[Proposal, ...]
    version: int
    epoch: int
    max_step: int
    kind: Literal["ask"] = "ask"


@dataclass(frozen=True)
class Answer:
    """Proposals, or why there are none."""

    proposals: tuple[Proposal, ...] = ()
    error: str = ""
    kind: Literal["answer"] = "answer"


# NaN and infinity are not JSON: they travel as texts.
MESSAGE: TypeAdapter[Opening | Ask | Answer] = TypeAdapter(
    Annotated[Opening | Ask | Answer, Field(discriminator="kind")], config=ConfigDict(ser_json_inf_nan="strings")
)
"""To and from JSON, checked."""
