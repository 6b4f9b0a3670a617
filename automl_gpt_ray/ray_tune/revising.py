"""Revising: how what was asked of a trial reaches it, through public Ray alone.

A hot value is put on the board when the trial reports, and taken from there before its next step. A trial that is
to go back to a checkpoint is paused and brought back at once; a structural change stops it, and the searcher hands
out its clone. Everything is in the journal before it is done, so the next driver carries on. What may be changed
is `revision`'s to say; `ReviewScheduler` calls this file at three places.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, final

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import CheckpointSaved, Decision, TrialEnded, TrialResumed
from automl_gpt_ray.lineage import Origin, Revision, RevisionApplied, RevisionJudged, RevisionRolledBack
from automl_gpt_ray.live import Notice, put
from automl_gpt_ray.ray_tune.board import Board
from automl_gpt_ray.ray_tune.origins import checkpoint_of, exists, inheritance, newest_kept
from automl_gpt_ray.records import Config, Observation, TrialRecord, TrialState
from automl_gpt_ray.remedy import guess_of, remedy
from automl_gpt_ray.revision import RevisionRule, ask, config_before, floor_of, judged
from automl_gpt_ray.steering import Steering
from automl_gpt_ray.steering_rule import SteeringRule

_LOG = logging.getLogger(__name__)
_CHECKPOINTED = "should_checkpoint"
"""Key of a Ray result that came with a checkpoint (`ray.tune.result.SHOULD_CHECKPOINT`)."""
SCHEDULE_FILE = "revisions.json"
"""Beside a trial's `params.json`: which values were in force from which step on."""


class Desk(Protocol):
    """What of `scheduler.Desk` is needed."""

    @property
    def book(self) -> Book:
        """What has happened so far."""
        ...

    rule: SteeringRule | None

    @property
    def steering(self) -> Steering | None:
        """Decides what goes on."""
        ...


@final
class Revising:
    """Brings one run's revisions to its trials; called in Ray's event loop.

    Args:
        desk: Shares the book of the run.
        rule: What may be changed.
        brief: What is tuned.
        experiment: Its name, as Ray tells it to trials.
    """

    def __init__(self, desk: Desk, rule: RevisionRule, brief: Brief, experiment: str) -> None:
        self._desk, self._rule, self._space, self._guess = desk, rule, brief.space, guess_of(brief)
        self._board = Board(experiment)
        self._waiting: dict[str, int] = {}

    def settle(self, tune_controller: Any, trial: Trial) -> None:
        """Give a trial that Ray begins or restores the values and the checkpoint that the journal knows."""
        known = self._desk.book.trial(trial.trial_id)
        if known is None or known.state.ended:
            return
        if known.lineage.schedule:
            self._configure(trial, known)
        if known.lineage.restart is not None:
            self._send(trial, known.config, checkpoint_of(trial, known.lineage.restart))
        elif known.lineage.parent is not None and trial.checkpoint is None:
            self._send(trial, known.config, inheritance(tune_controller, known.lineage.parent))

    def after(self, trial: Trial, result: Mapping[str, Any]) -> str | None:
        """Act on what a trial reported; return Ray's word for what it is to do, None where it just goes on."""
        known = self._noted(trial, result)
        if known is None or known.last_step >= self._desk.book.history().max_step:
            return None
        back = self._judge(trial, known)
        if back:
            return back
        if self._rule.rules:
            self._ask_rules(known)
        return self.begin(trial)

    def begin(self, trial: Trial) -> str | None:
        """Let what was asked of a trial that reports begin to take force; answer as `after`."""
        known = self._desk.book.trial(trial.trial_id)
        if known is None or known.lineage.asked is None or known.id in self._waiting:
            return None
        return self._begin(trial, known, known.lineage.asked)

    def ended(self, trial: Trial) -> None:
        """Note the last checkpoint of a trial whose clone goes on from it."""
        known = self._desk.book.trial(trial.trial_id)
        if known is not None and known.lineage.leaves:
            self._note_checkpoint(trial, known.last_step)

    def due(self, paused: list[Trial]) -> Trial | None:
        """Return the paused trial that was only paused to go back, and goes on before any other."""
        for trial in paused:
            known = self._desk.book.trial(trial.trial_id)
            if known and known.state is TrialState.PAUSED and known.lineage.restart is not None:
                self._see_to_restart(trial, known, known.lineage.restart)
                if self._desk.steering is not None:
                    self._desk.steering.bare.discard(known.id)  # it was told where to begin
                self._desk.book.record(TrialResumed(known.id, "it goes back for its revision"))
                return trial
        return None

    def _see_to_restart(self, trial: Trial, known: TrialRecord, restart: Origin) -> None:
        """Go back further, or not at all, where Ray has deleted the checkpoint as it saved the one of the pause."""
        if not restart.checkpoint or exists(trial, restart.checkpoint):
            return
        found = newest_kept(self._desk.book, trial, restart.step)
        rolled_back = known.lineage.open is None  # its latest weights are of use; those of what diverged are not
        if not found.checkpoint and rolled_back and trial.checkpoint is not None:
            found = Origin(known.id, known.last_step, trial.checkpoint.path)
        self._desk.book.record(RevisionApplied(known.id, found.step + 1, known.config, found))
        self._send(trial, known.config, checkpoint_of(trial, found))

    def resumes(self, trial: Trial) -> None:
        """Let what was asked of a paused trial take force as it is resumed."""
        known = self._desk.book.trial(trial.trial_id)
        asked = known.lineage.asked if known else None
        if known is None or asked is None or asked.structural:
            return
        self._waiting.pop(trial.trial_id, None)
        restart = None if asked.back_to is None else newest_kept(self._desk.book, trial, asked.back_to)
        step = known.last_step if restart is None else restart.step
        self._apply(trial, known, step + 1, asked, restart, known.observations[-1] if known.observations else None)

    def _noted(self, trial: Trial, result: Mapping[str, Any]) -> TrialRecord | None:
        """Write down what the result tells: a checkpoint, and that a revision is in force."""
        book, name = self._desk.book, trial.trial_id
        known = book.trial(name)
        if known is None:
            return None
        notice = self._board.notice(name)
        # Ray saves a checkpoint after its result was told. Of a trial that was sent back it still has an old one.
        if len(known.observations) > 1 and not notice.sent:
            self._note_checkpoint(trial, known.observations[-2].step)
        if notice.sent and result.get(_CHECKPOINTED):
            self._board.post(name, replace(notice, sent=False, start=None))  # its own checkpoints count from now on
        asked, posted = known.lineage.asked, self._waiting.get(name)
        if asked is not None and posted is not None and (self._board.taken(name) or 0) >= posted:
            del self._waiting[name]
            before = known.observations[-2] if len(known.observations) > 1 else None
            self._apply(trial, known, known.last_step, asked, None, before)
        return book.trial(name)

    def _note_checkpoint(self, trial: Trial, step: int) -> None:
        saved = trial.checkpoint.path if trial.checkpoint is not None else ""
        if saved and saved not in self._desk.book.checkpoints(trial.trial_id).values():
            self._desk.book.record(CheckpointSaved(trial.trial_id, step, saved))

    def _judge(self, trial: Trial, known: TrialRecord) -> str | None:
        book, applied = self._desk.book, known.lineage.open
        found = judged(known, book.objective, self._rule)
        if found is None or applied is None:
            return None
        if not found.failed:
            book.record(RevisionJudged(known.id, known.last_step, found.reason))
            return None
        config = config_before(known, applied)
        restart = newest_kept(self._desk.book, trial, applied.step - 1)
        since = (restart.step if restart.checkpoint else known.last_step) + 1
        going_back = restart if restart.checkpoint else None
        book.record(RevisionRolledBack(known.id, known.last_step, since, config, found.reason, going_back))
        return self._enforce(trial, going_back, found.reason)

    def _ask_rules(self, known: TrialRecord) -> None:
        book = self._desk.book
        found = remedy(known, book.history(), self._space, self._rule, self._guess)
        if found is not None:
            told = {"reason": found.reason, "by": "rules", "back_to": found.back_to}
            ask(book, known.id, found.changes, self._space, self._rule, **told)  # type: ignore[arg-type]

    def _begin(self, trial: Trial, known: TrialRecord, asked: Revision) -> str | None:
        if asked.structural:
            # It has ended when Ray has saved its last checkpoint, and tells the searcher so.
            told = (known.id, "clone", asked.reason, asked.by, known.last_step, asked.predicted)
            self._desk.book.record(Decision(*told))
            return TrialScheduler.STOP
        if asked.back_to is None:
            self._waiting[known.id] = self._post(known.id, _revised(known, {**known.config, **asked.changes}))
            return None
        restart = newest_kept(self._desk.book, trial, asked.back_to)
        return self._apply(trial, known, restart.step + 1, asked, restart, known.observations[-1])

    def _apply(
        self,
        trial: Trial,
        known: TrialRecord,
        step: int,
        asked: Revision,
        restart: Origin | None,
        before: Observation | None,
    ) -> str | None:
        """Write down that `asked` is in force from `step` on, after `before` was observed, and let it be so."""
        objective, steering = self._desk.book.objective, self._desk.steering
        value = before.metrics.get(objective.metric) if before else None
        value = value if value is not None and math.isfinite(value) else None
        forecast = steering.forecast(known.id) if steering else None
        floor = floor_of(forecast, objective, step + self._rule.patience - 1)
        config = {**known.config, **asked.changes}
        self._desk.book.record(RevisionApplied(known.id, step, config, restart, value, floor))
        return self._enforce(trial, restart, asked.reason)

    def _enforce(self, trial: Trial, restart: Origin | None, reason: str) -> str | None:
        """Let Ray and the board have the values that the book has in force, and pause the trial if it goes back."""
        known = self._desk.book.trial(trial.trial_id)
        if known is None:
            return None
        self._configure(trial, known)
        if restart is None:
            self._post(known.id, _revised(known, known.config))
            return None
        self._send(trial, known.config, checkpoint_of(trial, restart))
        if known.state is TrialState.PAUSED:
            return None
        self._desk.book.record(TrialEnded(known.id, TrialState.PAUSED, message=f"goes back: {reason}"))
        return TrialScheduler.PAUSE

    def _post(self, name: str, values: Mapping[str, Any]) -> int:
        """Put up new values, and return the version; where the trial is to begin stays as it is."""
        before = self._board.notice(name)
        self._board.post(name, replace(before, version=before.version + 1, values=values))
        self._board.taken(name)  # the board has it before the trial goes on: two callers of an actor have no order
        return before.version + 1

    def _send(self, trial: Trial, config: Config, start: Any) -> None:
        known = self._desk.book.trial(trial.trial_id)
        values, version = _revised(known, config) if known else {}, self._board.notice(trial.trial_id).version + 1
        self._board.post(trial.trial_id, Notice(version, values, True, start))
        self._board.taken(trial.trial_id)  # it must not begin without: a board that died is replaced now

    def _configure(self, trial: Trial, known: TrialRecord) -> None:
        """Let Ray start the trial with the values in force from now on, and its files tell them."""
        values = deepcopy(trial.config)
        for name, value in _revised(known, known.config).items():
            put(values, name, value)
        trial.set_config(values)  # type: ignore[no-untyped-call]
        folder = Path(trial.local_path or "")
        if not trial.local_path or not folder.is_dir():
            return  # it has not begun: Ray writes the file as it does
        try:
            (folder / "params.json").write_text(json.dumps(values, indent=2, default=str), encoding="utf-8")
            schedule = [{"from_step": step, "values": dict(new)} for step, new in known.lineage.schedule]
            (folder / SCHEDULE_FILE).write_text(json.dumps(schedule, indent=2), encoding="utf-8")
        except OSError as error:
            _LOG.warning("the parameters of %s cannot be written: %s", trial.trial_id, error)


def revising_of(desk: Desk, trial: Trial) -> Revising | None:
    """Return what revises the trials of a run, of which `trial` is one; None where nobody does."""
    started = desk.book.started
    if desk.rule is None or desk.rule.revise is None or trial.storage is None or started is None:
        return None
    brief = Brief.from_dict(started.brief)
    return Revising(desk, desk.rule.revise, brief, trial.storage.experiment_dir_name)


def _revised(known: TrialRecord, config: Config) -> dict[str, Any]:
    """Return the values of `config` that were ever changed about a trial, or are about to be."""
    names = {name for _, values in known.lineage.schedule for name in values}
    names |= {name for name, value in config.items() if known.proposal.config.get(name) != value}
    return {name: config[name] for name in config if name in names}
