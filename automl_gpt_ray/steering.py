"""Steering: whether a trial goes on, and what a free worker does next; decided at once, in Ray's event loop.

What promises most is said by the planner's latest ranking, made in a thread of its own whenever something was
reported. It decides only while its forecasts beat the naive ones on this run; until then trials are promoted by
rungs. A small random share of the trials that would be paused runs on, so that the run can tell how often
pausing was wrong.

    steering.after("t3")     # None: it goes on; else the choice that it makes way for
    steering.next()          # what a free worker does: a trial, a new one, nothing, or the end
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import final

from automl_gpt_ray.auditing import Auditing
from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import ForecastMade
from automl_gpt_ray.planner import Planner, Ranking
from automl_gpt_ray.promotion import Promotion, passes
from automl_gpt_ray.records import History, PredictedLog, TrialRecord, TrialState
from automl_gpt_ray.reviewing import Reviewing
from automl_gpt_ray.scorekeeper import Scorekeeper
from automl_gpt_ray.steering_rule import Choice, SteeringRule

_LOG = logging.getLogger(__name__)
SLICES = 10
"""A full training is looked at this often."""
FIRST = ("default", "recalled")
"""Sources that need not compete."""
AT_FIRST = 4
"""Trials that report before anything competes."""
EARLY = 3
"""Every trial is forecast at its first steps: those that are soon paused tell too how good the forecasts are."""
LEAST = 1e-3
"""Expected improvement, in z, below which a paused trial is not worth a worker."""
REST = 2.0
"""A ranking is made again after so many times what the last one took."""
RUNGS = "rungs"
WAIT = Choice("wait", reason="nothing is ready")


@final
class Steering:
    """Steers one run.

    Args:
        book: Of the run.
        planner: Ranks; called from one thread.
        keeper: Scores the planner's forecasts.
        rule: How.
        may_start: Whether new trials may start.
        switch_cost: What pausing one trial and starting another costs now, in steps.
        reviewing: Has running trials reviewed, where somebody does.

    Attributes:
        bare: Paused trials whose checkpoint is gone: to go on they begin anew.
        closed: Whether nobody takes a new trial any more, whatever the budget leaves.
    """

    def __init__(
        self,
        book: Book,
        planner: Planner,
        keeper: Scorekeeper,
        rule: SteeringRule,
        may_start: Callable[[], bool],
        switch_cost: Callable[[], float] = lambda: 0.0,
        reviewing: Reviewing | None = None,
    ) -> None:
        self._reviewing = reviewing
        self._book, self._planner, self._keeper, self._rule = book, planner, keeper, rule
        self._may_start, self._switch_cost = may_start, switch_cost
        max_step = book.history().max_step
        self.slice = max(1, round(max_step / SLICES))
        self._rungs = Promotion(max_step, min(rule.grace or self.slice, max_step), rule.eta)
        self._auditing = Auditing(book, rule.audit)
        self.bare, self.closed = set[str](), False
        self._ranking: Ranking | None = None
        self._trusted = False
        self._asked: dict[str, int] = {}
        self._said: tuple[object, Choice] = (None, WAIT)
        self._changed, self._stopped = threading.Event(), False
        self._broken: JournalError | None = None
        self._thread: threading.Thread | None = None

    def after(self, trial_id: str) -> Choice | None:
        """Return what the worker of `trial_id` does instead of going on with it; None where that goes on.

        Called after each report of the trial. An audited one goes on whatever is said of it.

        Raises:
            JournalError: A forecast could not be written down.
        """
        trial = self._book.trial(trial_id)
        if trial is None:
            return None
        milestone = passes(trial, self.slice) or self._rungs.judges(trial, self._book.objective.metric)
        if milestone or trial.last_step <= EARLY:
            self._asked[trial_id] = trial.last_step  # for a forecast, with the next ranking
        self._changed.set()
        if self._reviewing:
            self._reviewing.ask(trial)
        if self._auditing.runs_on(trial_id):
            return None
        found = self._reviewing.verdict(trial) if self._reviewing else None
        found = found or (self._outdone(trial) if milestone else None)
        return None if found is None or self._auditing.takes(trial, found) else found

    def next(self) -> Choice:
        """Return what a free worker does; a trial only if it is paused.

        Raises:
            JournalError: As `after`.
        """
        starts, ranking = self._starts(), self._latest()
        asked = (self._book.version, starts, ranking)
        if self._said[0] != asked:  # Ray asks again and again
            self._said = asked, self._next(self._book.history(), starts, ranking)
        return self._said[1]

    def forecast(self, trial_id: str) -> PredictedLog | None:
        """Return the latest forecast of a trial, where the forecasts have earned a say."""
        return self._planner.forecasts.get(trial_id) if self._trusted else None

    def least_promising(self, count: int) -> list[str]:
        """Return up to `count` paused trials with a checkpoint that promise least; never the best so far."""
        history, ranking = self._book.history(), self._ranking
        best, objective = history.best, history.objective
        kept = [t for t in history.in_state(TrialState.PAUSED) if t.id not in self.bare]
        paused = [t for t in kept if best is None or t.id != best.id]

        def promise(trial: TrialRecord) -> tuple[float, float]:
            value = trial.value(objective)
            gain = ranking.trials.get(trial.id, 0.0) if ranking and self._trusted else 0.0
            return gain, objective.sign * value if value is not None else float("-inf")

        return [trial.id for trial in sorted(paused, key=promise)[:count]]

    def changed(self) -> None:
        """Tell that something happened."""
        self._changed.set()

    def start(self) -> None:
        """Start the threads, where there are any."""
        if self._reviewing:
            self._reviewing.start()
        if self._rule.background and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="planner", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the threads; a ranking or review under way is not waited for."""
        if self._reviewing:
            self._reviewing.stop()
        self._stopped = True
        self._changed.set()

    def _next(self, history: History, starts: bool, ranking: Ranking | None) -> Choice:
        if starts and _first(history):
            return Choice("new", reason="it is one of the first")
        if self._trusted and ranking:
            return self._most_promising(history, ranking, starts)
        return self._promoted(history, starts)

    def _outdone(self, trial: TrialRecord) -> Choice | None:
        starts, ranking = self._starts(), self._latest()
        history = self._book.history()
        if self._trusted and (_reported(history) < AT_FIRST or not passes(trial, self.slice)):
            return None
        if self._trusted and ranking:
            found = self._instead(history, trial, ranking, starts)
        else:
            found = self._by_rungs(history, trial, starts)
        return found and replace(found, predicted=ranking.finals.get(trial.id) if ranking else None)

    def _instead(self, history: History, trial: TrialRecord, ranking: Ranking, starts: bool) -> Choice | None:
        mine = ranking.trials.get(trial.id)
        if mine is None:
            return None
        other = self._best(history, ranking, starts)
        # Switching pays where the gain a step, its cost counted, is larger.
        if other is None or other[0] <= mine * (1 + self._switch_cost() / self.slice):
            return None
        gain, choice = other
        reason = f"{choice.reason}: expected improvement {gain:.3g}, {mine:.3g} if it went on"
        return replace(choice, reason=reason)

    def _most_promising(self, history: History, ranking: Ranking, starts: bool) -> Choice:
        best = self._best(history, ranking, starts)
        if best is None:
            return WAIT if starts else self._end(history)
        gain, choice = best
        if choice.action == "trial" and not starts and gain < LEAST:
            return self._end(history)
        return replace(choice, reason=f"{choice.reason}: expected improvement {gain:.3g}")

    def _best(self, history: History, ranking: Ranking, starts: bool) -> tuple[float, Choice] | None:
        paused = [(ranking.trials[t.id], t.id) for t in history.in_state(TrialState.PAUSED) if t.id in ranking.trials]
        # What is queued since the ranking is as good as the best that was.
        new = max(ranking.proposals.values(), default=0.0) if starts and history.pending else None
        gain, trial_id = max(paused, default=(-1.0, ""))
        if new is not None and new > gain:
            return new, Choice("new", reason="a new trial promises most", by=ranking.source)
        chosen = Choice("trial", trial_id, f"trial {trial_id} promises most", ranking.source)
        return (gain, chosen) if trial_id else None

    def _by_rungs(self, history: History, trial: TrialRecord, starts: bool) -> Choice | None:
        if not self._rungs.judges(trial, history.objective.metric) or self._rungs.may_go_on(history, trial):
            return None
        found = self._promoted(history, starts)
        if found.action not in ("new", "trial"):
            return None
        return replace(found, reason=f"not among the best 1/{self._rungs.eta:g} at step {trial.last_step}")

    def _promoted(self, history: History, starts: bool) -> Choice:
        waiting = self._rungs.promotable(history)
        if waiting:
            return Choice("trial", waiting[0].id, f"trial {waiting[0].id} is among the best of its rung", RUNGS)
        if starts:
            return Choice("new", reason="no trial is due to be promoted", by=RUNGS) if history.pending else WAIT
        return self._end(history)

    def _end(self, history: History) -> Choice:
        """Nothing promises enough: let the best be trained to its end, if only that is left to do."""
        if history.in_state(TrialState.RUNNING):
            return WAIT
        best = history.best
        if best and best.state is TrialState.PAUSED and not self._trusted:
            return Choice("trial", best.id, f"trial {best.id} is the best so far", RUNGS)
        return Choice("end", reason="no paused trial promises enough, and no new one may start")

    def _starts(self) -> bool:
        return self._may_start() and not self.closed

    def _latest(self) -> Ranking | None:
        if self._broken:
            raise self._broken
        if not self._rule.background and _reported(self._book.history()) and self._is_old():
            self._rank()
        return self._ranking

    def _is_old(self) -> bool:
        return self._ranking is None or self._ranking.version != self._book.version or bool(self._asked)

    def _work(self) -> None:
        while True:
            self._changed.wait()
            if self._stopped:
                return
            self._changed.clear()
            began = time.monotonic()
            try:
                if _reported(self._book.history()):
                    self._rank()
            except JournalError as error:
                self._broken = error
                return
            except Exception:  # noqa: BLE001 - numbers that nobody thought of must not end somebody's run
                _LOG.exception("the curves cannot be modelled; trials are promoted by rungs")
                self._ranking, self._trusted = None, False
            # The event loop goes first.
            time.sleep(REST * min(1.0, time.monotonic() - began))

    def _rank(self) -> None:
        asked, self._asked = self._asked, {}
        ranking = self._planner.rank(self._book.history(), asked, tuple(self.bare))
        if self._stopped:  # the run is over, its journal perhaps closed
            return
        for trial, log in (*ranking.forecasts.items(), *ranking.others):
            self._book.record(ForecastMade(trial, asked[trial], log))
        earned, wanted = self._keeper.may_stop(ranking.source), self._rule.forecasts
        self._trusted = wanted == "trusted" or (wanted == "earned" and earned)
        self._ranking = replace(ranking, version=self._book.version)


def _reported(history: History) -> int:
    return sum(1 for trial in history.trials if trial.observations)


def _first(history: History) -> bool:
    """Return whether a new trial need not compete."""
    if not history.pending:
        return False
    return len(history.trials) < AT_FIRST or any(p.source in FIRST for p in history.pending)
