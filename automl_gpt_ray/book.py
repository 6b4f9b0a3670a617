"""The book of a run: applies events one by one and answers with what is known so far.

State is nothing but the events applied, so a run is rebuilt by applying its journal again. One lock
covers "write down, then apply": no decision can see a state that is not on disk.

    book = Book(Journal(path))            # the journal may be None: then nothing is kept
    book.record(TrialStarted(...))
    history = book.history()              # a frozen snapshot; hand it to an advisor
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod

from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import (
    AdviceGiven,
    CallFailed,
    Decision,
    Event,
    ProposalDropped,
    ReplyReceived,
    ResultReported,
    RunEnded,
    RunStarted,
    Tested,
    TrialEnded,
    TrialStarted,
)
from automl_gpt_ray.journal import Journal
from automl_gpt_ray.records import History, Objective, Proposal, TrialRecord, TrialState, Usage

# Events that change what an advisor is shown.
_SHOWN = (RunStarted, AdviceGiven, ProposalDropped, TrialStarted, ResultReported, TrialEnded)


@dataclass(frozen=True)
class Spending:
    """What language models have cost so far."""

    calls: int = 0
    failures: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0


class Book:
    """The state of a run, thread-safe.

    Args:
        journal: Where events are kept; None keeps them in memory only. Events it already holds are
            applied first.

    Attributes:
        version: Number of the last event.
        changed_version: Of the last one that changed trials or queue.
        ended_version: Of the last one that ended a trial.

    Raises:
        JournalError: The journal holds results but not what the run is: its beginning is damaged.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._lock = threading.RLock()
        self.version = 0
        self.ended_version = 0
        self.changed_version = 0
        self._epochs: list[int] = []
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self.spending = Spending()
        self.tested: Tested | None = None
        self.decisions: list[Decision] = []
        self._trials: dict[str, TrialRecord] = {}
        self._open: set[str] = set()
        self._pending: dict[str, Proposal] = {}
        self._failures: Counter[str] = Counter()
        self._best: float | None = None
        self._leaders: set[str] = set()
        self._snapshot: History | None = None
        if journal:
            self._rebuild(journal)

    @property
    def lock(self) -> threading.RLock:
        """Held while an event is written and applied; hold it to read and record as one act."""
        return self._lock

    def record(self, event: Event) -> int:
        """Write `event` down, apply it, and return the new version.

        Raises:
            JournalError: It could not be written; it was not applied either.
        """
        with self._lock:
            seq = self._journal.append(event).seq if self._journal else self.version + 1
            self._enter(event, seq)
            return seq

    def replay(self, events: Iterable[Event]) -> Book:
        """Apply `events` without writing them, and return this book."""
        for event in events:
            self._enter(event, self.version + 1)
        return self

    def history(self) -> History:
        """Return a frozen snapshot of what is known.

        Raises:
            RuntimeError: No run was started yet.
        """
        with self._lock:
            if self._snapshot is None:
                self._snapshot = self._take_snapshot()
            return self._snapshot

    def trial(self, trial_id: str) -> TrialRecord | None:
        """Return one trial, or None where there is none of that id."""
        with self._lock:
            return self._trials.get(trial_id)

    @property
    def running(self) -> int:
        """Number of trials that run now."""
        return len(self._open)

    def queued(self, source: str | None = None) -> list[Proposal]:
        """Return the proposals without a trial, oldest first; of one source where given."""
        with self._lock:
            return [p for p in self._pending.values() if source is None or p.source == source]

    def epochs_since(self, version: int) -> int:
        """Return how many new bests and new classes of failure came after `version`."""
        return len(self._epochs) - bisect_right(self._epochs, version)

    @property
    def objective(self) -> Objective:
        """What the run optimises."""
        if self.started is None:
            raise RuntimeError("the book is empty: record RunStarted first")
        return Objective(self.started.metric, self.started.mode)

    def close(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()

    def _rebuild(self, journal: Journal) -> None:
        for entry in journal.entries:
            if self.started is None and isinstance(entry.event, ResultReported):
                raise JournalError(f"cannot rebuild the run from `{journal.path}`: its first event cannot be read")
            self._enter(entry.event, entry.seq)

    def _take_snapshot(self) -> History:
        objective = self.objective
        return History(
            objective=objective,
            trials=tuple(self._trials.values()),
            pending=tuple(self._pending.values()),
            version=self.version,
            epoch=len(self._epochs),
            max_step=self.started.max_step if self.started else 1,
        )

    def _enter(self, event: Event, seq: int) -> None:
        with self._lock:
            self.version = seq
            self._snapshot = None
            if isinstance(event, _SHOWN):
                self.changed_version = seq
            self._apply(event)

    def _new_epoch(self) -> None:
        self._epochs.append(self.version)

    @singledispatchmethod
    def _apply(self, event: Event) -> None:
        """Events without a handler below change nothing but the version."""

    @_apply.register
    def _(self, event: RunStarted) -> None:
        self.started = event

    @_apply.register
    def _(self, event: ReplyReceived) -> None:
        spent = self.spending
        self.spending = replace(
            spent,
            calls=spent.calls + 1,
            usage=spent.usage + event.usage,
            seconds=spent.seconds + event.seconds,
        )

    @_apply.register
    def _(self, event: CallFailed) -> None:
        self.spending = replace(self.spending, failures=self.spending.failures + 1)

    @_apply.register
    def _(self, event: AdviceGiven) -> None:
        self._pending.update({proposal.id: proposal for proposal in event.proposals})

    @_apply.register
    def _(self, event: ProposalDropped) -> None:
        self._pending.pop(event.proposal, None)

    @_apply.register
    def _(self, event: TrialStarted) -> None:
        self._pending.pop(event.proposal.id, None)
        self._trials[event.trial] = TrialRecord(event.trial, event.proposal)
        self._open.add(event.trial)

    @_apply.register
    def _(self, event: ResultReported) -> None:
        trial = self._trials.get(event.trial)
        if trial is None:
            return
        # A trial that was restarted from a checkpoint reports some steps again: the last word counts.
        kept = trial.observations
        while kept and kept[-1].step >= event.observation.step:
            kept = kept[:-1]
        state = TrialState.RUNNING if trial.state is TrialState.PAUSED else trial.state
        if state is TrialState.RUNNING:
            self._open.add(event.trial)
        self._trials[event.trial] = replace(trial, observations=(*kept, event.observation), state=state)
        value = event.observation.metrics.get(self.objective.metric)
        if self.objective.better(value, self._best):
            self._best = value
            # A leader that only climbs on teaches nothing new: each trial opens one epoch at most.
            if event.trial not in self._leaders:
                self._leaders.add(event.trial)
                self._new_epoch()

    @_apply.register
    def _(self, event: TrialEnded) -> None:
        trial = self._trials.get(event.trial)
        if trial is None:
            return
        self._trials[event.trial] = replace(trial, state=event.state, failure=event.failure)
        self.ended_version = self.version
        if event.state is not TrialState.RUNNING:
            self._open.discard(event.trial)
        if trial.failure:
            # Who ended the trial may not know why; whoever does writes a second event.
            self._failures[trial.failure] -= 1
        if event.failure:
            self._failures[event.failure] += 1
            if self._failures[event.failure] == 1:
                self._new_epoch()

    @_apply.register
    def _(self, event: Decision) -> None:
        self.decisions.append(event)

    @_apply.register
    def _(self, event: Tested) -> None:
        self.tested = event

    @_apply.register
    def _(self, event: RunEnded) -> None:
        self.ended = event
