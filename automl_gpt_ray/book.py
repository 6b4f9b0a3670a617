"""The book of a run: applies events one by one and answers with what is known so far.

State is nothing but the events applied, so a run is rebuilt by applying its journal again. One lock
covers "write down, then apply": no decision can see a state that is not on disk.

    book = Book(Journal(path))            # the journal may be None: then nothing is kept
    book.record(TrialStarted(...))
    history = book.history()              # a frozen snapshot; hand it to an advisor
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import singledispatchmethod

from automl_gpt_ray.cards import parse_request
from automl_gpt_ray.epochs import Epochs
from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import (
    AdviceGiven,
    CallFailed,
    CheckpointSaved,
    Decision,
    Event,
    PromptSent,
    ProposalDropped,
    ReplyReceived,
    ResultReported,
    RunEnded,
    RunResumed,
    RunStarted,
    TeamFormed,
    Tested,
    TrialEnded,
    TrialRequeued,
    TrialResumed,
    TrialStarted,
)
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.job_events import FeedbackGiven
from automl_gpt_ray.journal import Entry, Journal
from automl_gpt_ray.limits import NO_LIMITS
from automl_gpt_ray.lineage import Lineage, LineageEvent, changed
from automl_gpt_ray.open_calls import OpenCalls
from automl_gpt_ray.records import History, Objective, Proposal, TrialRecord, TrialState
from automl_gpt_ray.review import ReviewsRead
from automl_gpt_ray.spending import Spending


class Book:
    """The state of a run, thread-safe.

    Args:
        journal: Where events are kept, its own applied first; None keeps them in memory only.
        also: Called with each event after it was applied, the journal's included; must be quick.

    Attributes:
        seconds: Wall-clock time the run has taken, without the time during which no driver lived.
        calls: Of the language model, those of which nothing has come yet.

    Raises:
        JournalError: The journal holds results but not what the run is: its beginning is damaged.
    """

    def __init__(self, journal: Journal | None = None, also: Callable[[Event], object] | None = None) -> None:
        self._journal, self._also = journal, also
        self._lock = threading.RLock()
        self.version, self.ended_version, self.seconds = 0, 0, 0.0
        self._latest: float | None = None
        self._epochs = Epochs()
        self.started: RunStarted | None = None
        self.team: TeamFormed | None = None
        self.ended: RunEnded | None = None
        self.spending, self.shares = Spending(), dict[str, float]()
        self.tested: Tested | None = None
        self.decisions: list[Decision] = []
        self._trials: dict[str, TrialRecord] = {}
        self._pending: dict[str, Proposal] = {}
        self.calls = OpenCalls()
        self._checkpoints: dict[str, dict[int, str]] = {}
        self.feedback: tuple[Feedback, ...] = ()
        self._snapshot: History | None = None
        self._objective: Objective | None = None  # one object for all snapshots: it is compared trial by trial
        self._limits = NO_LIMITS
        if journal:
            self._rebuild(journal)

    @property
    def lock(self) -> threading.RLock:
        """Held while an event is written and applied; hold it to read and record as one act."""
        return self._lock

    def record(self, event: Event) -> int:
        """Write `event` down, apply it, and return the new version; JournalError: it was not applied either."""
        with self._lock:
            entry = self._journal.append(event) if self._journal else Entry(self.version + 1, time.time(), event)
            self.apply(entry)
            return entry.seq

    def replay(self, events: Iterable[Event]) -> Book:
        """Apply `events` without writing them, and return this book."""
        for event in events:
            self.apply(Entry(self.version + 1, 0.0, event))
        return self

    def apply(self, entry: Entry) -> None:
        """Let an entry of a journal have happened, without writing it."""
        with self._lock:
            self.version = entry.seq
            self._snapshot = None
            if not isinstance(entry.event, RunResumed):  # nobody worked on the run before it was resumed
                self.seconds += max(0.0, entry.time - (self._latest or entry.time))
            self._latest = entry.time
            self._apply(entry.event)
            if self._also:
                self._also(entry.event)

    def history(self) -> History:
        """Return a frozen snapshot of what is known.

        Raises:
            RuntimeError: No run was started yet.
        """
        with self._lock:
            if self._snapshot is None:
                trials, pending = tuple(self._trials.values()), tuple(self._pending.values())
                max_step = self.started.max_step if self.started else 1
                told = (self.objective, trials, pending, self.version, len(self._epochs), max_step)
                self._snapshot = History(*told, limits=self._limits, feedback=self.feedback)
            return self._snapshot

    def trial(self, trial_id: str) -> TrialRecord | None:
        """Return one trial, or None where there is none of that id."""
        with self._lock:
            return self._trials.get(trial_id)

    def queued(self, source: str | None = None) -> list[Proposal]:
        """Return the proposals without a trial, oldest first; of one source where given."""
        with self._lock:
            return [p for p in self._pending.values() if source is None or p.source == source]

    def checkpoints(self, trial_id: str) -> Mapping[int, str]:
        """Return step to place of every checkpoint the trial saved; those no longer kept included."""
        with self._lock:
            return dict(self._checkpoints.get(trial_id, {}))

    def unread(self) -> list[tuple[PromptSent, ReplyReceived]]:
        """Return the replies that came in but whose proposals did not, oldest first."""
        with self._lock:
            return self.calls.unread()

    def epochs_since(self, version: int) -> int:
        """Return how many new bests, new classes of failure and remarks of people came after `version`."""
        return self._epochs.since(version)

    @property
    def objective(self) -> Objective:
        """What the run optimises."""
        if self._objective is None:
            raise RuntimeError("the book is empty: record RunStarted first")
        return self._objective

    def close(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()

    def _rebuild(self, journal: Journal) -> None:
        for entry in journal.entries:
            if self.started is None and isinstance(entry.event, ResultReported):
                raise JournalError(f"cannot rebuild the run from `{journal.path}`: its first event cannot be read")
            self.apply(entry)

    def _parent(self, trial: TrialRecord) -> TrialRecord | None:
        return self._trials.get(trial.lineage.parent.trial) if trial.lineage.parent else None

    @singledispatchmethod
    def _apply(self, event: Event) -> None:
        """Events without a handler below change nothing but the version."""

    @_apply.register
    def _(self, event: RunStarted) -> None:
        self.started, self._objective = event, Objective(event.metric, event.mode)
        self._limits = parse_request(event.brief.get("request", {}), "journal").constraints.limits()

    @_apply.register
    def _(self, event: TeamFormed) -> None:
        self.team = event

    @_apply.register
    def _(self, event: PromptSent) -> None:
        self.calls.sent(event)

    @_apply.register
    def _(self, event: ReplyReceived) -> None:
        self.calls.received(event)
        self.spending = self.spending.after(event)

    @_apply.register
    def _(self, event: ReviewsRead) -> None:
        self.calls.close(event.call)

    @_apply.register
    def _(self, event: CallFailed) -> None:
        self.calls.close(event.call)
        self.spending = replace(self.spending, failures=self.spending.failures + 1)

    @_apply.register
    def _(self, event: AdviceGiven) -> None:
        # A reply whose proposals were all refused was read too: its problems begin with their ids.
        self.calls.close_named(event.source, [*(p.id for p in event.proposals), *event.problems])
        self._pending.update({proposal.id: proposal for proposal in event.proposals})

    @_apply.register
    def _(self, event: ProposalDropped) -> None:
        self._pending.pop(event.proposal, None)

    @_apply.register
    def _(self, event: TrialStarted) -> None:
        self._pending.pop(event.proposal.id, None)
        self.shares = dict(event.shares) or self.shares
        trial = self._trials[event.trial] = TrialRecord(event.trial, event.proposal, lineage=Lineage(event.parent))
        if parent := self._parent(trial):
            self._trials[parent.id] = replace(parent, lineage=parent.lineage.after_cloning(parent.last_step))

    @_apply.register
    def _(self, event: TrialRequeued) -> None:
        trial = self._trials.pop(event.trial, None)
        if trial is not None and (parent := self._parent(trial)):
            self._trials[parent.id] = replace(parent, lineage=parent.lineage.without_clone())
        elif trial is not None:
            self._pending = {trial.proposal.id: trial.proposal, **self._pending}

    @_apply.register
    def _(self, event: TrialResumed) -> None:
        if (trial := self._trials.get(event.trial)) and trial.state is TrialState.PAUSED:
            self._trials[event.trial] = replace(trial, state=TrialState.RUNNING)

    @_apply.register
    def _(self, event: CheckpointSaved) -> None:
        self._checkpoints.setdefault(event.trial, {})[event.step] = event.path

    @_apply.register
    def _(self, event: ResultReported) -> None:
        trial = self._trials.get(event.trial)
        if trial is None:
            return
        # A trial that was restarted from a checkpoint reports some steps again: the last word counts.
        kept = trial.observations
        while kept and kept[-1].step >= event.observation.step:
            kept = kept[:-1]
        again = trial.state in (TrialState.PAUSED, TrialState.FAILED)  # resumed, or asked for once more
        seen = (*kept, event.observation)
        if again:
            self._epochs.recovered(trial.failure)
            trial = replace(trial, state=TrialState.RUNNING, failure=None)
        if restart := trial.lineage.restart:  # what it left behind is no longer its own
            saved = self._checkpoints.get(trial.id, {})
            self._checkpoints[trial.id] = {step: path for step, path in saved.items() if step <= restart.step}
        lineage = trial.lineage.after_report(trial.last_step, event.observation.step)
        self._trials[event.trial] = replace(trial, observations=seen, lineage=lineage)
        value = event.observation.metrics.get(self.objective.metric)
        self._epochs.reported(event.trial, value, self.objective, self.version)

    @_apply.register
    def _(self, event: TrialEnded) -> None:
        trial = self._trials.get(event.trial)
        if trial is None:
            return
        self._trials[event.trial] = replace(trial, state=event.state, failure=event.failure)
        self.ended_version = self.version
        # Who ended the trial may not know why; whoever does writes a second event.
        self._epochs.recovered(trial.failure)
        if event.failure:
            self._epochs.failed(event.failure, self.version)

    @_apply.register
    def _(self, event: FeedbackGiven) -> None:
        self.feedback = (*self.feedback, replace(event.feedback, version=self.version))
        self._epochs.begin(self.version)

    @_apply.register
    def _(self, event: LineageEvent) -> None:
        if trial := self._trials.get(event.trial):
            self._trials[event.trial] = replace(trial, lineage=changed(trial.lineage, trial.config, event))

    @_apply.register
    def _(self, event: Decision) -> None:
        self.decisions.append(event)

    @_apply.register
    def _(self, event: Tested) -> None:
        self.tested = event

    @_apply.register
    def _(self, event: RunEnded | RunResumed) -> None:
        self.ended = event if isinstance(event, RunEnded) else None
