"""What a language model said of running trials, turned into checked reviews or into a stated error.

Pure, like `replies`: only trials that were asked about, the four actions, finite numbers within the metric's
range, and values that the search space allows for what may be revised leave this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import shown
from automl_gpt_ray.records import LogPoint, Scalar
from automl_gpt_ray.replies import ReplyError, extract_json, finite, one_line
from automl_gpt_ray.review import Action, Review, Subject

MAX_ITEMS = 64
ACTIONS = frozenset(get_args(Action))


@dataclass(frozen=True)
class Reviews:
    """The usable reviews of a reply, and what was wrong with the others."""

    reviews: tuple[Review, ...]
    problems: tuple[str, ...] = ()


def parse_reviews(text: str, brief: Brief, subjects: Sequence[Subject]) -> Reviews | ReplyError:
    """Return the usable reviews in `text`, at most one a subject.

    Args:
        text: The model's reply.
        brief: What is tuned.
        subjects: The trials that were asked about.
    """
    value = extract_json(text, "reviews")
    if isinstance(value, ReplyError):
        return value
    items = value.get("reviews", [value] if "trial" in value else None) if isinstance(value, dict) else value
    if not isinstance(items, list) or not items:
        rule = 'must be an object with a non-empty list "reviews"'
        return ReplyError("wrong_shape", (f"the reply {rule}, got {shown(value)}",))
    asked = {subject.trial: subject for subject in subjects}
    found: dict[str, Review] = {}
    problems: list[str] = []
    for index, item in enumerate(items[:MAX_ITEMS]):
        review = _review(item, brief, asked)
        if isinstance(review, Review) and review.trial not in found:
            found[review.trial] = review
        else:
            problem = "the trial stands twice in the reply" if isinstance(review, Review) else review
            problems.append(f"reviews[{index}]: {problem}")
    if not found:
        return ReplyError("wrong_shape", tuple(problems[:MAX_ITEMS]))
    return Reviews(tuple(found.values()), tuple(problems))


def _review(item: Any, brief: Brief, asked: Mapping[str, Subject]) -> Review | str:
    if not isinstance(item, dict):
        return f"must be an object, got {shown(item)}"
    subject = asked.get(item["trial"]) if isinstance(item.get("trial"), str) else None
    if subject is None:
        return f"`trial` must be one that was asked about, got {shown(item.get('trial'))}"
    action = item["action"].strip().lower() if isinstance(item.get("action"), str) else item.get("action")
    if not isinstance(action, str) or action not in ACTIONS:
        return f"`action` must be one of {', '.join(sorted(ACTIONS))}, got {shown(action)}"
    changes: Mapping[str, Scalar] | str = _changes(item.get("changes"), brief, subject) if action == "revise" else {}
    if isinstance(changes, str):
        return changes
    if action == "revise" and not changes:
        return "`changes` must give at least one hyperparameter a new value where a trial is revised"
    reason = item.get("reason")
    text = (one_line(reason) if isinstance(reason, str) else "") or "no reason was given"
    final = _final(item.get("predicted_final"), brief)
    return Review(subject.trial, subject.step, cast("Action", action), text, final, changes)


def _changes(value: Any, brief: Brief, subject: Subject) -> Mapping[str, Scalar] | str:
    if not isinstance(value, dict):
        return f"`changes` must be an object, got {shown(value)}"
    given = {name: new for name, new in value.items() if new is not None}
    for name, new in given.items():
        if name not in subject.room or name not in brief.space.parameters:
            return one_line(f"`changes` may name {', '.join(subject.room) or 'nothing'}, got {shown(name)}")
        parameter = brief.space.parameters[name]
        fault = "must be one value" if isinstance(new, dict | list) else parameter.fault(new)
        if fault:
            return one_line(f"`{name}` {fault}, got {shown(new)}")
    return {name: brief.space.parameters[name].clip(new) for name, new in given.items()}


def _final(value: Any, brief: Brief) -> LogPoint | None:
    """Return the forecast of the final value; a bad one does not spoil a review."""
    if not isinstance(value, dict):
        return None
    middle, low, high = (finite(value.get(key)) for key in ("value", "low", "high"))
    if middle is None or low is None or high is None or not low <= middle <= high:
        return None
    metric = brief.metric
    if metric and not metric.low <= middle <= metric.high:
        return None
    if metric:
        low, high = max(low, metric.low), min(high, metric.high)
    return LogPoint(brief.max_steps, middle, low, high)
