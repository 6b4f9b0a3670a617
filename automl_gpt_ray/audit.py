"""The audit: how often pausing or stopping a trial was wrong, from the share that ran on instead.

A random share of the trials that would have been paused is trained to the end. One that then is better than
every other trial of the run would have been lost: pausing it was wrong. What was saved is what the paused
and stopped trials were not trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl_gpt_ray.events import Decision
from automl_gpt_ray.records import History, TrialRecord, TrialState

AUDIT, PAUSE, STOP, REVISE = "audit", "pause", "stop", "revise"
"""Actions of decisions about trials."""
ADVISED, DISCARDED = "advised", "discarded"
"""Actions of decisions that were not followed, and that came too late."""
FORGET = "forget"
"""Action of a decision that a paused trial loses its checkpoint."""
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Audit:
    """What the audit of a run found.

    Attributes:
        paused: Trials paused or stopped by a decision.
        audited: Trials that ran on instead, and reached their end.
        wrong: Those of them that came out best.
        low: Lower end of the 95 % interval of the share that is wrong (Wilson 1927), in [0, 1].
        high: Its upper end; 1 where nothing was audited.
        steps_saved: Steps that the paused and stopped trials were not trained.
        shortfall: By how much the audited trials missed the best value of the run on average, in units of the metric:
            what a step spent on them brought less than the same spent on the best. None where none has ended.
    """

    paused: int
    audited: int
    wrong: int
    low: float
    high: float
    steps_saved: int
    shortfall: float | None = None


def audit_of(history: History, decisions: Sequence[Decision]) -> Audit | None:
    """Return the audit of a run; None where no trial was paused, stopped or audited."""
    held = {d.subject for d in decisions if d.action in (PAUSE, STOP)}
    chosen = {d.subject for d in decisions if d.action == AUDIT}
    if not held and not chosen:
        return None
    ended = [t for t in history.trials if t.id in chosen and t.state is TrialState.COMPLETED]
    best = history.best
    wrong = sum(1 for trial in ended if best is not None and trial.id == best.id)
    low, high = _interval(wrong, len(ended))
    saved = sum(history.max_step - t.last_step for t in history.trials if t.id in held)
    return Audit(len(held - chosen), len(ended), wrong, low, high, saved, _shortfall(history, ended))


def _shortfall(history: History, ended: Sequence[TrialRecord]) -> float | None:
    best = history.best.value(history.objective) if history.best else None
    values = [v for trial in ended if (v := trial.value(history.objective)) is not None]
    if best is None or not values:
        return None
    return sum(history.objective.sign * (best - value) for value in values) / len(values)


def _interval(count: int, of: int) -> tuple[float, float]:
    if not of:
        return 0.0, 1.0
    share, z = count / of, Z95**2 / of
    middle = (share + z / 2) / (1 + z)
    half = (z * share * (1 - share) + z * z / 4) ** 0.5 / (1 + z)
    return max(0.0, middle - half), min(1.0, middle + half)
