"""Whether what was decided was right: forecasts against what happened, and decisions against what came later."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from automl_gpt_ray.audit import ADVISED, AUDIT, DISCARDED, FORGET, PAUSE, REVISE, STOP, audit_of
from automl_gpt_ray.curves.ledger import Ledger
from automl_gpt_ray.curves.questions import Question
from automl_gpt_ray.curves.scoring import LEVELS
from automl_gpt_ray.events import Decision, ForecastMade, ResultReported, TrialResumed, TrialStarted
from automl_gpt_ray.records import TrialRecord, TrialState
from automl_gpt_ray.report.story import Moment, Story

MOST_SCORED = 1000
"""Forecasts that are scored, about."""
MOST_DECISIONS = 400
"""Decisions that a report shows; the table says how many there were."""
WORDS: Mapping[str, str] = {
    PAUSE: "paused",
    STOP: "stopped",
    AUDIT: "ran on, to check",
    REVISE: "revised",
    ADVISED: "advised, not followed",
    DISCARDED: "advised too late",
    FORGET: "given up",
}


def ledger_of(story: Story) -> Ledger:
    """Return the forecasts of the run with their scores: all, or of a long run those on trials spread over it."""
    ledger, metric = Ledger(story.objective, story.history.max_step, gated=False), story.objective.metric
    scored = scored_trials(story)
    for moment in story.moments:
        event = moment.event
        if isinstance(event, ForecastMade) and event.trial in scored:
            ledger.forecast(event.trial, event.log)
        elif isinstance(event, TrialStarted) and event.proposal.predicted_log and event.trial in scored:
            ledger.forecast(event.trial, event.proposal.predicted_log)
        elif isinstance(event, ResultReported):
            value = event.observation.metrics.get(metric)
            if value is not None:
                ledger.observe(event.trial, event.observation.step, value)
    return ledger


def scored_trials(story: Story) -> frozenset[str]:
    """Return the trials whose forecasts are scored: every one, or every so many of a long run."""
    # What the naive forecasts would have said is worked out for each: milliseconds, of thousands of forecasts.
    made = len(story.events(ForecastMade)) + sum(t.proposal.predicted_log is not None for t in story.history.trials)
    return frozenset([trial.id for trial in story.history.trials][:: max(1, -(-made // MOST_SCORED))])


def calibration(ledger: Ledger) -> list[dict[str, Any]]:
    """Return, for each source, its quantiles' nominal level beside the share of truths that lay below them.

    A level is that of the value itself, whichever way the metric goes. `low` and `high` are a 95 % interval
    (Wilson 1927), as if questions were independent: those of one trial are not, so it is too narrow.
    """
    found = []
    for source, questions in sorted(ledger.answered.items()):
        sound = [q for q in questions if q.truth is not None and math.isfinite(q.truth)]
        points = [_level(sound, place, level) for place, level in enumerate(LEVELS)] if sound else []
        found.append({"source": source, "questions": len(questions), "points": points})
    return found


def decided(story: Story) -> dict[str, Any]:
    """Return what was decided about trials: who and what how often, each decision, and the audit.

    Returns:
        `counts`: who, what, how often, in how many cases the expected and the real final value are known, and how far
        apart they were on average; `rows`: the latest decisions, oldest first; `total`: how many there were; `audit`:
        that of `audit.audit_of`, None where nothing was held back; `paused` and `resumed`: trials that were ever
        paused, and those of them that went on; `best_paused`: how often the best trial was paused on its way.
    """
    told = [(m, d) for m, d in story.at(Decision) if d.subject in story.numbers]
    trials = {trial.id: trial for trial in story.history.trials}
    paused = [d for _, d in told if d.action == PAUSE]
    again = {event.trial for event in story.events(TrialResumed)}
    return {
        "counts": _counts(story, [d for _, d in told], trials),
        "rows": [_row(story, moment, d, trials[d.subject]) for moment, d in told[-MOST_DECISIONS:]],
        "total": len(told),
        "audit": audit_of(story.history, [d for _, d in told]),
        "paused": len({d.subject for d in paused}),
        "resumed": len({d.subject for d in paused} & again),
        "best_paused": sum(d.subject == story.best.id for d in paused) if story.best else 0,
    }


def _counts(story: Story, told: Sequence[Decision], trials: Mapping[str, TrialRecord]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in told:
        groups[decision.by, WORDS.get(decision.action, decision.action)].append(decision)
    rows = []
    for (who, what), made in sorted(groups.items(), key=lambda group: -len(group[1])):
        finals = [(d.predicted, _final(story, trials[d.subject])) for d in made]
        off = [abs(said - real) for said, real in finals if said is not None and real is not None]
        mean = sum(off) / len(off) if off else None
        rows.append({"who": who, "what": what, "times": len(made), "known": len(off), "off": mean})
    return rows


def _final(story: Story, trial: TrialRecord) -> float | None:
    """Return the best value of a trial that was trained to its end; None for others."""
    return trial.value(story.objective) if trial.last_step >= story.history.max_step else None


def about_the_run(story: Story) -> list[Decision]:
    """Return what was decided about the run as a whole: outages, ends of budgets, what feedback did."""
    return [d for d in story.events(Decision) if d.subject not in story.numbers]


def failures(story: Story) -> list[tuple[str, list[TrialRecord]]]:
    """Return each class of failure with its trials, the most frequent first."""
    classes: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in story.history.in_state(TrialState.FAILED):
        classes[trial.failure or "error"].append(trial)
    return sorted(classes.items(), key=lambda item: -len(item[1]))


def _row(story: Story, moment: Moment, decision: Decision, trial: TrialRecord) -> dict[str, Any]:
    step, value = decision.step or 0, trial.value(story.objective)
    later = trial.last_step - step
    return {
        "seconds": moment.seconds,
        "trial": story.numbers[trial.id],
        "step": step,
        "what": WORDS.get(decision.action, decision.action),
        "by": decision.by,
        "reason": decision.reason,
        "predicted": decision.predicted,
        "final": _final(story, trial),
        "later": _later(story, trial, value, later),
    }


def _later(story: Story, trial: TrialRecord, value: float | None, later: int) -> str:
    """Say what became of a trial after a decision about it."""
    best = story.best
    if later <= 0:
        return "never trained on"
    went = f"trained {later} more" if trial.last_step < story.history.max_step else "trained to its end"
    if best is not None and best.id == trial.id:
        return f"{went}, best of the run"
    if value is None:
        return went
    return f"{went}: {value:.4g}"


def _level(questions: Sequence[Question], place: int, level: float) -> dict[str, float]:
    below = sum(q.truth is not None and q.truth <= sorted(q.answer)[place] for q in questions)
    low, high = _interval(below, len(questions))
    return {"nominal": level, "real": below / len(questions), "low": low, "high": high}


def _interval(count: int, of: int) -> tuple[float, float]:
    share, z = count / of, 1.96**2 / of
    middle, half = (share + z / 2) / (1 + z), (z * share * (1 - share) + z * z / 4) ** 0.5 / (1 + z)
    return max(0.0, middle - half), min(1.0, middle + half)
