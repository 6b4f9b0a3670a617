"""Freeze-thaw in virtual time: the planner, the advisor and the scheduler of the package, without threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

from ray.tune.search import Searcher

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.default_first import default_proposal
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.curves.curve_model import CurveModel, CurveModelMaker
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.events import AdviceGiven, ProposalDropped, ResultReported, RunStarted, TrialEnded, TrialStarted
from automl_gpt_ray.planner import Planner
from automl_gpt_ray.ray_tune.results import observation
from automl_gpt_ray.ray_tune.scheduler import new_is_due
from automl_gpt_ray.records import History, Proposal, TrialState
from automl_gpt_ray.scorekeeper import Scorekeeper
from automl_gpt_ray.steering import Steering
from automl_gpt_ray.steering_rule import SteeringRule
from benchmarks.told import rewrite_book


@final
class PlannedSearch(Searcher):
    """The advisor asked for one proposal whenever a decision is due; see `ray_tune.scheduler.Desk`.

    Args:
        brief: What is tuned.
        make: Makes the advisor; given how to come by a model of the curves, which takes most of its time.
        seed: Of the run.
        budget: Steps over all trials.
        trials: Trials at most.
        makers: Gives the models of curves that compete.
    """

    def __init__(
        self,
        brief: Brief,
        make: Callable[[Callable[[History], CurveModel]], Advisor],
        seed: int,
        budget: float = float("inf"),
        trials: int | None = None,
        makers: Callable[[], Sequence[CurveModelMaker]] = lambda: [FreezeThaw()],
    ) -> None:
        objective = brief.objective
        super().__init__(metric=objective.metric, mode=objective.mode)
        self._brief, self._make, self._trials, self._budget = brief, make, trials, budget
        self._seed, self._makers = seed, makers
        self.rule: SteeringRule | None = SteeringRule(background=False)
        self.slots: Callable[[], int] | None = None
        self._live: tuple[Book, Steering, Advisor] | None = None
        self._asked_at = (-1, -1)

    def share(self, rule: SteeringRule) -> None:
        """Agree to be steered."""
        self.rule = replace(rule, background=False)

    @property
    def steering(self) -> Steering:
        """Decides what goes on."""
        return self._opened()[1]

    @property
    def book(self) -> Book:
        """What has happened so far."""
        return self._opened()[0]

    def __getstate__(self) -> dict[str, Any]:
        # Locks stay behind.
        return {**self.__dict__, "_live": None, "slots": None}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next configuration where one is due."""
        if not new_is_due(self) or not self._offers():
            return None
        chosen = self.book.queued()[0]
        self.book.record(TrialStarted(trial_id, chosen))
        return dict(chosen.config)

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

    def _opened(self) -> tuple[Book, Steering, Advisor]:
        """Open the book on first use: Ray pickles a searcher before it asks it."""
        if self._live is None:
            objective, brief = self._brief.objective, self._brief
            keeper = Scorekeeper(objective, brief.max_steps)
            book = Book(also=keeper.note)
            book.record(RunStarted(objective.metric, objective.mode, brief.max_steps, self._seed, brief.space.default))
            rule = self.rule or SteeringRule(background=False)
            left = lambda history: self._budget - steps_of(history)  # noqa: E731
            cost = lambda: rule.switch_cost or 0.0  # noqa: E731 - nothing to measure in virtual time
            makers = self._makers()
            planner = Planner(brief.space, brief.max_steps, left, cost, lambda: makers, keeper.gates)
            steering = Steering(book, planner, keeper, rule, self._offers, cost)
            self._live = book, steering, self._make(planner.model)
        return self._live

    def _offers(self) -> bool:
        """Queue a fresh proposal, and return whether there is one; none once there are trials enough."""
        book, steering, advisor = self._opened()
        history = book.history()
        if self._trials is not None and len(history.trials) >= self._trials:
            return False
        # Once: a table may have moved it, and would be taken not to have trained it.
        first = default_proposal(self._brief.space, history) if not history.trials else None
        state = (len(history.trials), sum(t.last_step // steering.slice for t in history.trials))
        if first is not None and not history.pending:
            self._queue([first])
        elif state != self._asked_at and not any(p.source == "default" for p in history.pending):
            for old in history.pending:
                book.record(ProposalDropped(old.id, "replaced by one that knows the latest results"))
            self._queue(advisor.propose(book.history(), 1))
            self._asked_at = state
        return bool(book.queued())

    def _queue(self, proposals: list[Proposal]) -> None:
        if proposals:
            self.book.record(AdviceGiven(proposals[0].source, self.book.version, tuple(proposals)))


def steps_of(history: History) -> int:
    """Return the steps that all trials have trained."""
    return sum(len(trial.observations) for trial in history.trials)
