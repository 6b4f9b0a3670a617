"""What a language model answered to the question of matching, as checked assignments. Pure.

Only names of tasks that were asked about, and of models that may train on them, leave this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automl_gpt_ray.assignment.choice import Assignment, Candidate
from automl_gpt_ray.errors import did_you_mean, shown
from automl_gpt_ray.prompts.matching import names_of
from automl_gpt_ray.replies import ReplyError, extract_json, one_line

BY = "language"


@dataclass(frozen=True)
class Matches:
    """The usable part of a reply.

    Attributes:
        chosen: Task to its assignment; without what is rejected, which the rules know.
        problems: What was wrong with the rest; empty where every task got its model.
    """

    chosen: Mapping[str, Assignment]
    problems: tuple[str, ...] = ()


def read_matches(text: str, candidates: Mapping[str, Sequence[Candidate]]) -> Matches | ReplyError:
    """Return the assignments in a reply.

    Args:
        text: The model's reply.
        candidates: Task to the models that may train on it, as they were shown.
    """
    value = extract_json(text, "assignments")
    if isinstance(value, ReplyError):
        return value
    items = value.get("assignments") if isinstance(value, dict) else value
    if not isinstance(items, list):
        rule = 'must be an object with a list "assignments"'
        return ReplyError("wrong_shape", (f"the reply {rule}, got {shown(value)}",))
    chosen: dict[str, Assignment] = {}
    problems: list[str] = []
    for index, item in enumerate(items[: 4 * len(candidates)]):
        found = _assignment(item, candidates, chosen)
        if isinstance(found, Assignment):
            chosen[found.task] = found
        else:
            problems.append(f"assignments[{index}]: {found}")
    problems += [f"task {shown(name)} has no model" for name in candidates if name not in chosen]
    return Matches(chosen, tuple(problems))


def _assignment(
    item: Any, candidates: Mapping[str, Sequence[Candidate]], chosen: Mapping[str, Assignment]
) -> Assignment | str:
    if not isinstance(item, dict):
        return f"must be an object, got {shown(item)}"
    task, model, reason = item.get("task"), item.get("model"), item.get("reason")
    if not isinstance(task, str) or task not in candidates:
        return f"`task` must be one of those asked about, got {shown(task)}"
    if task in chosen:
        return f"task {shown(task)} stands twice"
    allowed = names_of(candidates[task])
    if not isinstance(model, str) or model not in allowed:
        hint = did_you_mean(model, allowed) if isinstance(model, str) else ""
        return f"`model` must be a candidate of task {shown(task)}, got {shown(model)}. {hint}"
    if not isinstance(reason, str) or not one_line(reason):
        return f"`reason` must be a sentence, got {shown(reason)}"
    return Assignment(task, model, one_line(reason), BY, _alternatives(item.get("alternatives"), allowed, model))


def _alternatives(value: Any, allowed: Sequence[str], model: str) -> tuple[Candidate, ...]:
    """Return what can be used of the alternatives: nothing depends on them, so the rest is passed over."""
    found: dict[str, Candidate] = {}
    for item in value[:8] if isinstance(value, list) else ():
        name, reason = (item.get("model"), item.get("reason")) if isinstance(item, dict) else (None, None)
        if isinstance(name, str) and name in allowed and name != model and isinstance(reason, str):
            found.setdefault(name, Candidate(name, one_line(reason)))
    return tuple(found.values())
