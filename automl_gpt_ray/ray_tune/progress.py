"""What a run prints while it goes on: one line for each trial that starts, ends or fails.

A Ray Tune callback. It also writes down why a trial failed: the searcher is told only that it did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial

from automl_gpt_ray.config import LoadedJob
from automl_gpt_ray.events import CheckpointSaved, TrialEnded
from automl_gpt_ray.lineage import told
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.outcome import WARNINGS
from automl_gpt_ray.ray_tune.failure import failure_of
from automl_gpt_ray.ray_tune.results import step_of
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import TrialRecord, TrialState

Tell = Callable[[str], None]


@runtime_checkable
class Audience(Protocol):
    """One that is told lines and may also look at the run itself."""

    def watch(self, loaded: LoadedJob, searcher: LLMSearch) -> None:
        """Look at this run from here on; called once before its first trial."""

    def rest(self) -> None:
        """Look at it no longer: its search is over."""


@contextmanager
def watched(tell: Tell | None, loaded: LoadedJob, searcher: LLMSearch) -> Iterator[None]:
    """Let whoever is told the lines look at the run itself meanwhile, if they want to."""
    if not isinstance(tell, Audience):
        yield
        return
    tell.watch(loaded, searcher)
    try:
        yield
    finally:
        tell.rest()


class Progress(Callback):
    """Tells a person how the run goes.

    Args:
        searcher: The run's searcher; its book is read.
        tell: Called with one line at a time; None prints nothing.
        total: Number of trials planned.
    """

    def __init__(self, searcher: LLMSearch, tell: Tell | None, total: int) -> None:
        self._searcher, self._tell, self._total = searcher, tell, total
        self._began = time.monotonic()
        self._started: set[str] = set()
        self._told = 0
        self._revised: dict[str, int] = {}

    def setup(self, *args: Any, **info: Any) -> None:
        """Listen to the searcher too: while nothing runs, Ray may call no callback for minutes."""
        self._searcher.listener = self._say_decisions
        self._told = len(self._searcher.book.decisions)  # those of a run that is resumed have been told
        self._revised = {t.id: len(t.lineage.applied) for t in self._searcher.book.history().trials}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Say what was decided about the run since."""
        self._say_decisions()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say who proposed the trial and why."""
        record = self._searcher.book.trial(trial.trial_id)
        if record is None:
            return
        again = trial.trial_id in self._started or bool(record.observations)
        self._started.add(trial.trial_id)
        what = "resumes" if again else f"starts ({record.proposal.source}: {record.proposal.reason})"
        self._say(f"{self._name(trial)} {what}")
        for note in () if again else record.proposal.notes:
            self._say(f"  note: {note}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Say what was changed about the trial since."""
        record = self._searcher.book.trial(trial.trial_id)
        for applied in record.lineage.applied[self._revised.get(record.id, 0) :] if record else ():
            self._say(f"{self._name(trial)} {told(applied)}")
            self._revised[trial.trial_id] = self._revised.get(trial.trial_id, 0) + 1

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say what the trial reached."""
        record = self._searcher.book.trial(trial.trial_id)
        if record is not None:
            self._say(f"{self._name(trial)} {self._result(record)}")

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say that the trial goes on elsewhere."""
        kind, message = failure_of(trial)
        self._say(f"{self._name(trial)} begins again at its last checkpoint ({kind}): {message}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Write down and say why the trial failed."""
        kind, message = failure_of(trial)
        if self._searcher.book.trial(trial.trial_id) is not None:
            self._searcher.book.record(TrialEnded(trial.trial_id, TrialState.FAILED, kind, message))
        self._say(f"{self._name(trial)} failed ({kind}): {message}")

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Checkpoint, **_: Any
    ) -> None:
        """Write down where the trial's checkpoint lies: Ray's own record of it may die with the driver."""
        if self._searcher.book.trial(trial.trial_id) is not None:
            self._searcher.book.record(CheckpointSaved(trial.trial_id, step_of(trial.last_result), checkpoint.path))

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles callbacks with the Tuner; whoever listens stays behind.
        return {**self.__dict__, "_tell": None}

    def _name(self, trial: Trial) -> str:
        # By its place in the book, which also a resumed run remembers.
        ids = [record.id for record in self._searcher.book.history().trials]
        number = ids.index(trial.trial_id) + 1 if trial.trial_id in ids else "?"
        return f"trial {number}/{self._total}"

    def _result(self, record: TrialRecord) -> str:
        history = self._searcher.book.history()
        objective = history.objective
        value, best = record.value(objective), history.best
        end = "stopped early" if record.state is TrialState.STOPPED else "done"
        shown = "no value" if value is None else f"{objective.metric} {value:.4f}"
        top = best.value(objective) if best else None
        return f"{end} at step {record.last_step}: {shown}" + (f" (best {top:.4f})" if top is not None else "")

    def _say_decisions(self) -> None:
        decisions = self._searcher.book.decisions
        for decision in decisions[self._told :]:
            if decision.action in WARNINGS:
                self._say(f"WARNING: {decision.reason}")
            elif decision.action == "feedback":
                self._say(f"{decision.subject}: {decision.reason}")
            elif decision.action == "finish":
                self._say(f"no further trial: {decision.reason}")
        self._told = len(decisions)

    def _say(self, line: str) -> None:
        if self._tell:
            # A failed trial's message, or a model's reason, may quote what should not be seen.
            self._tell(f"[{time.monotonic() - self._began:5.0f} s] {redact(line, secrets_in())}")
