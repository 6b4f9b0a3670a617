"""The review prompt: running trials with their curve facts, and what may be said of each. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.curves.facts import CurveFacts, facts_of
from automl_gpt_ray.prompts.cards_text import data_card_lines, model_card_lines, request_lines
from automl_gpt_ray.prompts.detail import Detail
from automl_gpt_ray.prompts.feedback_text import feedback_lines
from automl_gpt_ray.prompts.history_text import changes, history_lines, log_text
from automl_gpt_ray.prompts.paragraph import template, told_within
from automl_gpt_ray.prompts.quoting import escaped, number, quoted
from automl_gpt_ray.prompts.schema import nullable, object_of, value_schema
from automl_gpt_ray.records import History, LogPoint, Message, PredictedLog, Prompt, TrialRecord
from automl_gpt_ray.review import Subject

MOST = 8
"""Trials in one review."""


def review_prompt(brief: Brief, history: History, subjects: Sequence[Subject], max_tokens: int | None = None) -> Prompt:
    """Return the prompt that asks about `subjects`, trials of `history`.

    Args:
        brief: What is tuned.
        history: The run so far.
        subjects: At least one and at most MOST; those that the history does not know are left out.
        max_tokens: As in `proposal_prompt`.
    """
    return told_within(max_tokens, lambda detail: _prompt(brief, history, subjects, detail))


def review_schema(brief: Brief, subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return the schema of a reply about `subjects`."""
    open_names = revisable(subjects)
    number_schema = value_schema(brief)
    said: dict[str, Any] = {
        "trial": {"type": "string", "enum": [s.trial for s in subjects]},
        "action": {"type": "string", "enum": ["continue", "pause", "stop", *(["revise"] if open_names else [])]},
        "reason": {"type": "string"},
        "predicted_final": object_of(dict.fromkeys(("value", "low", "high"), number_schema)),
    }
    if open_names:
        said["changes"] = object_of({name: nullable(brief.space.parameters[name]) for name in open_names})
    reviews = {"type": "array", "items": object_of(said), "minItems": 1, "maxItems": len(subjects)}
    return object_of({"reviews": reviews})


def revisable(subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Return what may be revised about any of the subjects."""
    return tuple(dict.fromkeys(name for subject in subjects for name in subject.room))


def _prompt(brief: Brief, history: History, subjects: Sequence[Subject], detail: Detail) -> Prompt:
    text = template("review").render(
        model_card=model_card_lines(brief, detail),
        data_card=data_card_lines(brief, detail),
        request=request_lines(brief, detail),
        history=history_lines(brief, history, replace(detail, running=0, queued=0)),
        feedback=feedback_lines(history),
        trials="\n".join(_trial_lines(brief, history, subjects)),
        revisable=", ".join(map(quoted, revisable(subjects))),
        metric=quoted(brief.objective.metric),
        max_steps=brief.max_steps,
        schema=escaped(json.dumps(review_schema(brief, subjects), ensure_ascii=False)),
    )
    return Prompt((Message("system", template("system").render()), Message("user", text)))


def _trial_lines(brief: Brief, history: History, subjects: Sequence[Subject]) -> list[str]:
    known = {trial.id: trial for trial in history.trials}
    lines = []
    for subject in subjects:
        trial = known.get(subject.trial)
        if trial is not None:
            lines += _about(brief, history, trial, subject)
    return lines


def _about(brief: Brief, history: History, trial: TrialRecord, subject: Subject) -> list[str]:
    log = trial.proposal.predicted_log
    return [
        f"trial {quoted(trial.id, 64)}: at step {trial.last_step} of {brief.max_steps}",
        f"  changes from the default: {changes(brief, trial.config)}",
        f"  log {{{log_text(trial.curve(brief.objective.metric))}}}",
        f"  facts: {_facts_text(facts_of(trial, history))}",
        f"  the curve predictor expects {_point(subject.predicted)}",
        f"  predicted by whoever proposed it: {_log_points(log)}",
        *([f"  may be revised to: {_room_text(subject, trial)}"] if subject.room else []),
    ]


def _room_text(subject: Subject, trial: TrialRecord) -> str:
    told = [
        f"{quoted(name)} {number(bounds[0])} to {number(bounds[1])}" if bounds else f"{quoted(name)} any value"
        for name, bounds in subject.room.items()
        if name in trial.config
    ]
    return ", ".join(told)


def _facts_text(facts: CurveFacts) -> str:
    parts = [
        f"best {number(facts.best)} at step {facts.best_step or '-'}",
        f"slope {number(facts.slope, 2)}",
        f"training minus validation {number(facts.gap, 2)}" if facts.gap is not None else "",
        f"{facts.plateau} steps since it last improved",
        f"{facts.spikes} spikes" if facts.spikes else "",
        f"{facts.missing} values NaN" if facts.missing else "",
        f"number {facts.rank} of {facts.peers} at this step" if facts.rank else "",
        f"surprise {facts.surprise:+.1f}" if facts.surprise is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _point(point: LogPoint | None) -> str:
    if point is None:
        return "nothing yet"
    return f"{number(point.value)} ({number(point.low)} to {number(point.high)}) at step {point.step}"


def _log_points(log: PredictedLog | None) -> str:
    return "; ".join(map(_point, log.points[:4])) if log else "nothing"
