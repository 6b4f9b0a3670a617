"""Reviewing: running trials are shown to a reviewer, off the event loop, and what it says is followed while it applies.

    reviewing.ask(trial)               # in the event loop, at every report
    reviewing.verdict(trial)           # likewise: None, or what the trial does instead

Trials that reach a milestone while a call is under way go into the next one together. The forecast in a review
is scored like any other, and only a reviewer whose forecasts beat the naive ones on this run may stop or pause;
until then what it would have done is written down. A review is void once its trial has trained on for longer
than a milestone, has ended, or waits; that is written down too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import final

from automl_gpt_ray.advisors.reviewer import REVIEW, REVIEW_REPAIR, Reviewer, reread_reviews
from automl_gpt_ray.audit import ADVISED, DISCARDED, REVISE
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import AdviceError, AdviceSpent, JournalError
from automl_gpt_ray.events import CallFailed, Decision, ForecastMade
from automl_gpt_ray.promotion import passes
from automl_gpt_ray.prompts.review import MOST
from automl_gpt_ray.records import PredictedLog, TrialRecord, TrialState
from automl_gpt_ray.replies import SOURCE, ReplyError
from automl_gpt_ray.review import Review, ReviewsRead, Subject
from automl_gpt_ray.reviews import Reviews
from automl_gpt_ray.scorekeeper import Scorekeeper
from automl_gpt_ray.steering_rule import Choice

_LOG = logging.getLogger(__name__)
GATHER_S = 2.0
"""After the first trial of a call, so long others may join it."""
REST_S = 30.0
"""After a failed call, so long nothing is asked."""


@final
class Reviewing:
    """Has running trials reviewed; `ask` and `verdict` are instant.

    Args:
        book: Of the run.
        brief: What is tuned.
        reviewer: Who says.
        reviews: What has been said; noted from the book's events.
        keeper: Scores the forecasts.
        forecast: Gives the curve predictor's latest forecast of a trial.
        every: A trial is asked about whenever it has trained so many steps more; a review applies as long.
        revise: Changes a running trial as a review says, and returns why not, or an empty string.
        room: Gives what may be revised about a trial now; see `review.Subject`.
        background: Whether the reviewer is asked in a thread; else by whoever asks.
        gated: Whether its forecasts must earn their say.
    """

    def __init__(
        self,
        book: Book,
        brief: Brief,
        reviewer: Reviewer,
        reviews: Reviews,
        keeper: Scorekeeper,
        forecast: Callable[[str], PredictedLog | None],
        every: int,
        revise: Callable[[Review], str],
        room: Callable[[TrialRecord], Mapping[str, tuple[float, float] | None]] = lambda trial: {},
        background: bool = True,
        gated: bool = True,
    ) -> None:
        self._book, self._brief, self._reviewer, self._reviews = book, brief, reviewer, reviews
        self._keeper, self._forecast, self._every, self._revise = keeper, forecast, every, revise
        self._room, self._background, self._gated = room, background, gated
        self._asked: dict[str, None] = {}  # in the order of their asking
        self._due, self._stopped = threading.Event(), threading.Event()
        self._broken: JournalError | None = None
        self._silent = False
        self._thread: threading.Thread | None = None

    def ask(self, trial: TrialRecord) -> None:
        """Have a trial that has reached a milestone reviewed, with the next call."""
        if self._stopped.is_set() or not passes(trial, self._every):
            return
        self._asked[trial.id] = None
        if self._background:
            self._due.set()
        else:
            self._review()

    def verdict(self, trial: TrialRecord) -> Choice | None:
        """Return what is to become of a running trial, if that was said and still applies; None: it goes on.

        Raises:
            JournalError: A review could not be written down.
        """
        if self._broken:
            raise self._broken
        self._discard_void()
        review = self._reviews.open(trial.id)
        if review is None:
            return None
        if review.action == "revise":
            fault = self._revise(review)
            self._settle(review, ADVISED if fault else REVISE, fault or review.reason)
            return None
        return self._held(trial, review)

    def start(self) -> None:
        """Start the thread, where there is one; what was answered before a kill is read first."""
        self._read_unread()
        if self._background and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="review", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; a call under way is not waited for, but its reply is written down."""
        self._stopped.set()
        self._due.set()

    def _held(self, trial: TrialRecord, review: Review) -> Choice | None:
        gate, best = self._keeper.gate(SOURCE), self._book.history().best
        fault = "" if gate.open or not self._gated else f"its forecasts have not earned a say: {gate.reason}"
        if best is not None and best.id == trial.id:
            fault = "it is the best so far"
        elif review.action == "pause" and not self._others():
            fault = "nothing else waits for a worker"
        if fault:
            self._settle(review, ADVISED, f"{review.action} ({review.reason}): not followed, {fault}")
            return None
        final = review.predicted.value if review.predicted else None
        return Choice("wait", None, review.reason, SOURCE, final, ends=review.action == "stop")

    def _others(self) -> bool:
        history = self._book.history()
        return bool(history.pending or history.in_state(TrialState.PAUSED))

    def _settle(self, review: Review, action: str, reason: str) -> None:
        trial = self._book.trial(review.trial)
        step = max(review.step, trial.last_step if trial else 0)
        final = review.predicted.value if review.predicted else None
        self._book.record(Decision(review.trial, action, reason, SOURCE, step, final))

    def _discard_void(self) -> None:
        with self._book.lock:  # either thread may come upon one
            for review in self._reviews.pending():
                why = self._void(self._book.trial(review.trial), review)
                if why:
                    self._settle(review, DISCARDED, f"{review.action}: too late, {why}")

    def _void(self, trial: TrialRecord | None, review: Review) -> str:
        if trial is None:
            return "there is no such trial any more"
        if trial.state is not TrialState.RUNNING:
            return f"the trial is {trial.state.value}"
        late = trial.last_step - review.step
        return f"{late} steps have passed" if late > self._every else ""

    def _work(self) -> None:
        while True:
            self._due.wait()
            if self._stopped.wait(GATHER_S):
                return
            self._due.clear()
            try:
                if not self._review() and self._stopped.wait(REST_S):
                    return
            except JournalError as error:
                self._broken = error
                return

    def _review(self) -> bool:
        """Ask about everything that is due, and return whether there was an answer."""
        asked, self._asked = self._asked, {}
        history = self._book.history()
        running = {t.id: t for t in history.in_state(TrialState.RUNNING)}
        subjects = [self._subject(running[name]) for name in asked if name in running]
        for start in range(0, len(subjects), MOST):
            try:
                reviews = self._reviewer.review(history, subjects[start : start + MOST])
            except AdviceSpent:
                self.stop()
                return False
            except AdviceError as error:
                self._tell(error)
                return False
            except JournalError:
                raise
            except Exception:  # noqa: BLE001 - a reviewer of somebody's own must not end a run
                _LOG.exception("the reviewer failed; no trial is reviewed")
                self.stop()
                return False
            self._silent = False
            self._enter(reviews)
        return True

    def _subject(self, trial: TrialRecord) -> Subject:
        log = self._forecast(trial.id)
        return Subject(trial.id, trial.last_step, log.final if log else None, self._room(trial))

    def _enter(self, reviews: list[Review]) -> None:
        metric = self._brief.objective.metric
        for review in reviews:
            if review.predicted is not None:
                log = PredictedLog(metric, (review.predicted,), SOURCE)
                self._book.record(ForecastMade(review.trial, review.step, log))
        self._discard_void()

    def _tell(self, error: AdviceError) -> None:
        if not self._silent:
            reason = f"running trials are not reviewed: {error}"
            self._book.record(Decision("run", "outage", reason, "review"))
        self._silent = True

    def _read_unread(self) -> None:
        for prompt, reply in self._book.unread():
            if prompt.purpose not in (REVIEW, REVIEW_REPAIR):
                continue
            read = reread_reviews(self._brief, prompt, reply)
            if isinstance(read, ReplyError):
                self._book.record(CallFailed(prompt.call, read.kind, str(read), reply.seconds))
            else:
                self._book.record(ReviewsRead(prompt.call, read.reviews, read.problems))
                self._enter(list(read.reviews))
