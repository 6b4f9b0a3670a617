"""Every trial of a run as a page can draw it: its curve, what was forecast, and what happened to it at which step."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Any

from automl_gpt_ray.audit import PAUSE, REVISE, STOP
from automl_gpt_ray.events import REPAIR, Decision, ForecastMade, ResultReported, TrialEnded, TrialResumed
from automl_gpt_ray.lineage import told
from automl_gpt_ray.outcome import best_step
from automl_gpt_ray.records import PredictedLog, TrialRecord, TrialState
from automl_gpt_ray.report.story import Story
from automl_gpt_ray.report.thinning import evenly, most_points, thinned
from automl_gpt_ray.report.verdict import WORDS

FORECASTS = 6
"""Forecasts shown of a trial, evenly spread over those made."""
FEWER = 300
"""A run of more trials shows one forecast each, the first after its start."""
MARKS, TEXT = 40, 600
"""Most marks of a trial, and characters of a reason."""
POINTS = 12
"""Most points of a forecast."""
_CALL = re.compile(r"language-(?P<call>.+)-\d+")


def trial_rows(story: Story) -> list[dict[str, Any]]:
    """Return every trial, in order of its start, as JSON values; NaN stays a float."""
    forecasts, marks, messages = _forecasts(story), _marks(story), _messages(story)
    most = most_points(len(story.history.trials))
    return [
        _row(story, trial, most)
        | {"forecasts": forecasts.get(trial.id, []), "marks": marks.get(trial.id, [])[:MARKS]}
        | {"message": messages.get(trial.id, "") if trial.state is TrialState.FAILED else ""}
        for trial in story.history.trials
    ]


def call_of(proposal: str) -> str | None:
    """Return the id of the call that a proposal came from; None where no language model made it."""
    found = _CALL.fullmatch(proposal)
    return found["call"].removesuffix(REPAIR) if found else None


def _row(story: Story, trial: TrialRecord, most: int) -> dict[str, Any]:
    objective, made = story.objective, trial.proposal
    value, parent = trial.value(objective), trial.lineage.parent
    curve = trial.curve(objective.metric)
    return {
        "id": trial.id,
        "n": story.numbers[trial.id],
        "source": made.source,
        "reason": made.reason[:TEXT],
        "notes": [note[:TEXT] for note in made.notes],
        "state": trial.state.value,
        "failure": trial.failure,
        "value": value,
        "best_step": None if value is None else best_step(trial, objective),
        "last": trial.last_step,
        "seconds": round(trial.seconds, 3),
        "began": round(story.begun.get(trial.id, 0.0), 3),
        "config": dict(made.config),
        "revised": {n: v for n, v in trial.config.items() if n not in made.config or made.config[n] != v},
        "parent": {"n": story.numbers.get(parent.trial), "step": parent.step} if parent else None,
        "curve": [(step, _digits(v)) for step, v in thinned(curve, most)],
        "diverged": sum(not math.isfinite(v) for _, v in curve),
        "log": _log(made.predicted_log, 0),
        "call": call_of(made.id),
    }


def _forecasts(story: Story) -> dict[str, list[dict[str, Any]]]:
    """Return each trial's forecasts of the objective made while it trained, evenly thinned."""
    made: dict[str, list[ForecastMade]] = defaultdict(list)
    for event in story.events(ForecastMade):
        if event.log.metric == story.objective.metric and event.log.final.step > event.step:
            made[event.trial].append(event)
    most = FORECASTS if len(story.history.trials) <= FEWER else 1
    return {trial: [_log(e.log, e.step) or {} for e in _spread(found, most)] for trial, found in made.items()}


def _spread(events: list[ForecastMade], most: int) -> list[ForecastMade]:
    # One a step: where several forecasters spoke after the same report, the last word counts.
    return evenly(list({event.step: event for event in events}.values()), most)


def _log(log: PredictedLog | None, step: int) -> dict[str, Any] | None:
    if log is None:
        return None
    points = [(p.step, _digits(p.value), _digits(p.low), _digits(p.high)) for p in evenly(log.points, POINTS)]
    return {"source": log.source, "at": step, "points": points}


def _marks(story: Story) -> dict[str, list[dict[str, Any]]]:
    """Return what happened to each trial: stops, pauses, resumptions, revisions; with who, why and when."""
    marks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    reached: dict[str, int] = {}
    for moment in story.moments:
        event = moment.event
        if isinstance(event, ResultReported):
            reached[event.trial] = event.observation.step
        elif isinstance(event, TrialResumed):
            marks[event.trial].append(_mark("resume", reached.get(event.trial, 0), "", event.reason, None))
        elif isinstance(event, Decision) and event.action != REVISE:
            step = reached.get(event.subject, 0) if event.step is None else event.step
            marks[event.subject].append(_mark(event.action, step, event.by, event.reason, event.predicted))
    for trial in story.history.trials:
        for applied in trial.lineage.applied:
            asked, what = applied.revision, f"{told(applied)}: {applied.outcome.replace('_', ' ')}"
            marks[trial.id].append(_mark(REVISE, applied.step, asked.by, what, asked.predicted))
        if trial.state is TrialState.STOPPED and not any(mark["what"] in (STOP, PAUSE) for mark in marks[trial.id]):
            marks[trial.id].append(_mark(STOP, trial.last_step, "", "ended before its last step", None))
    return {trial: sorted(found, key=lambda mark: mark["step"]) for trial, found in marks.items()}


def _mark(what: str, step: int, by: str, reason: str, predicted: float | None) -> dict[str, Any]:
    words = {"resume": "resumed", "revise": "revised", **WORDS}.get(what, what)
    return {"what": what, "words": words, "step": step, "by": by, "reason": reason[:TEXT], "predicted": predicted}


def _messages(story: Story) -> dict[str, str]:
    return {e.trial: e.message[: 4 * TEXT] for e in story.events(TrialEnded) if e.message}


def _digits(value: float) -> float:
    # Six digits are more than a screen shows, and halve the file.
    return float(f"{value:.6g}")
