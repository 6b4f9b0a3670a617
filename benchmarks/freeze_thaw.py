"""Freeze-thaw in virtual time: the planner, the advisor and the scheduler of the package, without threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, final

from ray.tune.search import Searcher

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.default_first import default_proposal
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import AdviceGiven, ProposalDropped, ResultReported, RunStarted, TrialEnded, TrialStarted
from automl_gpt_ray.planner import Planner
from automl_gpt_ray.ray_tune.results import observation
from automl_gpt_ray.ray_tune.scheduler import next_choice
from automl_gpt_ray.records import History, Proposal, TrialState
from benchmarks.told import rewrite_book


@final
class PlannedSearch(Searcher):
    """The advisor asked for one proposal whenever a decision is due; see `ray_tune.scheduler.Desk`.

    Args:
        brief: What is tuned.
        advisor: Who proposes.
        planner: Shared with the scheduler.
        slots: Trials at once.
        seed: Of the run.
        trials: Trials at most; without new ones the paused are trained to their end.
    """

    def __init__(
        self, brief: Brief, advisor: Advisor, planner: Planner, slots: int, seed: int, trials: int | None = None
    ) -> None:
        objective = brief.objective
        super().__init__(metric=objective.metric, mode=objective.mode)
        self.planner: Planner | None = planner
        self._brief, self._advisor, self._slots, self._trials = brief, advisor, slots, trials
        self._seed, self._book = seed, cast("Book | None", None)
        self._asked_at = (-1, -1)

    @property
    def book(self) -> Book:
        """What has happened so far; opened on first use, for Ray pickles a searcher before it asks it."""
        if self._book is None:
            objective, brief = self._brief.objective, self._brief
            self._book = Book()
            began = RunStarted(objective.metric, objective.mode, brief.max_steps, self._seed, brief.space.default)
            self._book.record(began)
        return self._book

    def __getstate__(self) -> dict[str, Any]:
        # Locks stay behind.
        return {**self.__dict__, "_book": None}

    def ready(self) -> list[Proposal]:
        """Return one fresh proposal; none once there are trials enough."""
        history = self.book.history()
        if self._trials is not None and len(history.trials) >= self._trials:
            return []
        first = default_proposal(self._brief.space, history)
        if first is not None:
            self._queue([first])
        state = (len(history.trials), sum(len(t.observations) for t in history.trials))
        if self._asked_at != state and not (history.pending and history.pending[0].source == "default"):
            for old in history.pending:
                self.book.record(ProposalDropped(old.id, "replaced by one that knows the latest results"))
            self._queue(self._advisor.propose(self.book.history(), 1))
            self._asked_at = state
        return self.book.queued()

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next configuration where one is due."""
        free = self._slots - len(self.book.history().in_state(TrialState.RUNNING))
        choice = next_choice(self, free)
        if choice is None or choice.proposal is None:
            return None
        self.book.record(TrialStarted(trial_id, choice.proposal))
        return dict(choice.proposal.config)

    def told(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Rewrite the trial: `config` is what is trained."""
        rewrite_book(self.book, trial_id, config)

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Record one step; the same one twice counts once."""
        seen, trial = observation(result), self.book.trial(trial_id)
        if trial is not None and trial.last_step < seen.step:
            self.book.record(ResultReported(trial_id, seen))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how a trial ended."""
        if result:
            self.on_trial_result(trial_id, result)
        trial = self.book.trial(trial_id)
        full = trial is not None and trial.last_step >= self._brief.max_steps
        state = TrialState.FAILED if error else TrialState.COMPLETED if full else TrialState.STOPPED
        self.book.record(TrialEnded(trial_id, state, "nan" if error else None))

    def _queue(self, proposals: list[Proposal]) -> None:
        if proposals:
            self.book.record(AdviceGiven(proposals[0].source, self.book.version, tuple(proposals)))


def steps_of(history: History) -> int:
    """Return the steps that all trials have trained."""
    return sum(len(trial.observations) for trial in history.trials)
