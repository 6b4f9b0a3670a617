"""Auditing: which of the trials that would be paused or stopped run on, so that the run learns how often that is wrong.

    auditing.runs_on("t3")                # it was taken before
    auditing.takes(trial, choice)         # it would make way now: is it taken?

A random share of those decisions is overruled. What an audited trial trains on is compute that was judged better spent
elsewhere, so another one is taken only while audits have cost no more than the same share of all steps: whether one is
depends on what went before and not on the trial itself, and the sample stays fair.
"""

from __future__ import annotations

import hashlib
from typing import final

from automl_gpt_ray.audit import AUDIT
from automl_gpt_ray.book import Book
from automl_gpt_ray.events import Decision
from automl_gpt_ray.records import TrialRecord
from automl_gpt_ray.steering_rule import Choice


@final
class Auditing:
    """Draws for one run, from what its journal knows: a replay and a resumed run draw the same.

    Args:
        book: Of the run.
        share: Of the decisions that are overruled, and of all steps that this may cost, in [0, 1).
    """

    def __init__(self, book: Book, share: float) -> None:
        self._book, self._share = book, share
        self._taken: dict[str, int] = {}
        self._read = 0

    def runs_on(self, trial_id: str) -> bool:
        """Return whether a trial was taken."""
        self._catch_up()
        return trial_id in self._taken

    def takes(self, trial: TrialRecord, found: Choice) -> bool:
        """Return whether `trial` runs on instead of making way, and write it down if so."""
        seed = self._book.started.seed if self._book.started else 0
        told = hashlib.sha256(f"{seed} {trial.id} {trial.last_step}".encode()).digest()
        drawn = int.from_bytes(told[:8], "big") / 2**64
        if drawn >= self._share or not self._affordable():
            return False
        reason = f"runs on to see whether pausing it would be right ({found.reason})"
        self._book.record(Decision(trial.id, AUDIT, reason, found.by, trial.last_step, found.predicted))
        return True

    def _affordable(self) -> bool:
        self._catch_up()
        history = self._book.history()
        spent = sum(trial.last_step for trial in history.trials)
        audited = [trial for trial in history.trials if trial.id in self._taken]
        # One that still trains will cost all that it has left.
        ends = [trial.last_step if trial.state.ended else history.max_step for trial in audited]
        cost = sum(end - self._taken[trial.id] for trial, end in zip(audited, ends, strict=True))
        return cost <= self._share * spent

    def _catch_up(self) -> None:
        decisions = self._book.decisions
        for decision in decisions[self._read :]:
            if decision.action == AUDIT:
                self._taken[decision.subject] = decision.step or 0
        self._read = len(decisions)
