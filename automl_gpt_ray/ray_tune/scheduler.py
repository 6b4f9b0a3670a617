"""`ReviewScheduler`: trials freeze and thaw, together with the searcher that it shares its steering with.

    search = LLMSearch(llm=..., default=...)
    tune.Tuner(trainable, tune_config=TuneConfig(search_alg=search, scheduler=ReviewScheduler(search), ...))

A trial that reports at a milestone is paused where something else, paused or new, promises more; a free worker
goes to whatever promises most. The searcher hands out a new configuration only when one is due. The trainable
must save checkpoints and go on from them. Where `SteeringRule.revise` allows it, trials are revised as they train
(`revising`). This file knows Ray's rules; what promises more is `steering.Steering`'s to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter

from automl_gpt_ray.audit import FORGET, PAUSE, STOP
from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.events import Decision, TrialEnded, TrialResumed
from automl_gpt_ray.ray_tune.forgetting import forget, is_bare
from automl_gpt_ray.ray_tune.results import step_of
from automl_gpt_ray.ray_tune.revising import Revising, revising_of
from automl_gpt_ray.ray_tune.wrapped import unwrapped
from automl_gpt_ray.records import TrialRecord, TrialState
from automl_gpt_ray.steering import Steering
from automl_gpt_ray.steering_rule import Choice, SteeringRule

_GONE = {Trial.TERMINATED: TrialState.STOPPED, Trial.ERROR: TrialState.FAILED}
"""What a restored trial is that Ray leaves as it is; counted as running or paused it would be waited for."""


@runtime_checkable
class Desk(Protocol):
    """What a searcher shares with the scheduler.

    Attributes:
        rule: How trials are steered; None where they are not.
        slots: Trials that may train at once; set by the scheduler, None before it knows.
    """

    rule: SteeringRule | None
    slots: Callable[[], int] | None

    def share(self, rule: SteeringRule) -> None:
        """Agree to be steered by `rule`; before the first suggestion."""
        ...

    @property
    def steering(self) -> Steering | None:
        """Decides what goes on; None where nothing is steered."""
        ...

    @property
    def book(self) -> Book:
        """What has happened so far."""
        ...

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record one step of a trial; the same one twice counts once."""
        ...


class ReviewScheduler(FIFOScheduler):
    """See the module. Restored by the searcher's journal: it holds no state of its own.

    Args:
        searcher: Shares its steering; anybody else's trials run in the order of their suggestion.
        slots: Trials that train at once; by default as many as the cluster has resources for. Use this
            and not `max_concurrent_trials`, which counts paused trials too.
        max_paused: Paused trials that keep their checkpoints; beyond it the least promising lose theirs, and
            would begin anew.
        rule: How trials are steered.
        time_attr: Result key that counts steps, by default the searcher's; must be the same.
    """

    def __init__(
        self,
        searcher: Desk | None = None,
        slots: int | None = None,
        max_paused: int = 64,
        rule: SteeringRule | None = None,
        time_attr: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._slots, self._max_paused, self._time_attr = slots, max_paused, time_attr
        self._desk: Desk | None = None
        self._revising: Revising | None = None
        self._given = searcher is not None  # Ray copies searchers: which one it was cannot be asked later
        if searcher is not None:
            searcher.share(rule or SteeringRule())

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Find the searcher that shares its steering."""
        if self._desk is None:
            self._desk = _desk_of(tune_controller.search_alg)
            if self._desk is not None:
                _check_saves(trial)
                self._desk.slots = self._slots_of(trial)
            elif self._given:
                raise _other_searcher(tune_controller.search_alg)
        if self._desk is not None:
            self._settle(trial)
            self._revising = self._revising or revising_of(self._desk, trial)
        if self._revising is not None:
            self._revising.settle(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Let the trial go on, pause it where something else promises more, or stop it where a review says so."""
        desk, steering = self._desk, self._steering(tune_controller)
        if desk is None or steering is None:
            return TrialScheduler.CONTINUE
        # The searcher is told after the scheduler, and not at all of a result that stops its trial.
        desk.on_trial_result(trial.trial_id, result)
        known = desk.book.trial(trial.trial_id)
        step = known.last_step if known and not self._time_attr else step_of(result, self._time_attr)
        # One that has ended runs only where Ray's snapshot was older than the journal.
        if step >= desk.book.history().max_step or (known is not None and known.state.ended):
            return TrialScheduler.STOP
        if self._revising is not None and (told := self._revising.after(trial, result)):
            return told
        choice = steering.after(trial.trial_id)
        if choice is None or known is None:
            return (self._revising and self._revising.begin(trial)) or TrialScheduler.CONTINUE
        if choice.ends:
            self._decide(known, STOP, choice, TrialState.STOPPED)
            return TrialScheduler.STOP
        self._decide(known, PAUSE, choice, TrialState.PAUSED)
        return TrialScheduler.PAUSE

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Note what a clone of the trial goes on from."""
        if self._revising is not None:
            self._revising.ended(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the paused trial that is due a free worker, or a pending trial."""
        desk, steering, trials = self._desk, self._steering(tune_controller), tune_controller.get_trials()
        pending = next((trial for trial in trials if trial.status == Trial.PENDING), None)
        if desk is None or steering is None or pending is not None:
            return pending
        paused = [trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PAUSED]
        if (left := _left_behind(desk, paused)) is not None or not free_slots(desk):
            return left
        if self._revising is not None and (revised := self._revising.due(paused)):
            return revised
        choice = steering.next()
        if choice.action == "end":
            self._end(tune_controller, paused, choice)
            return None
        self._let_go(paused)
        chosen = next((trial for trial in paused if trial.trial_id == choice.trial), None)
        if chosen is not None:
            if self._revising is not None:
                self._revising.resumes(chosen)
            steering.bare.discard(chosen.trial_id)
            desk.book.record(TrialResumed(chosen.trial_id, choice.reason))
        return chosen

    def debug_string(self) -> str:
        """Return what Ray prints of the scheduler."""
        return "Using ReviewScheduler: trials freeze and thaw."

    def _steering(self, tune_controller: Any) -> Steering | None:
        """Return what decides; it is told whether Ray still asks for trials, which may end before the budget does."""
        steering = self._desk.steering if self._desk else None
        if steering is not None:
            is_finished = getattr(tune_controller.search_alg, "is_finished", None)  # none of a bare searcher
            steering.closed = is_finished is not None and bool(is_finished())
        return steering

    def _settle(self, trial: Trial) -> None:
        """Let the journal and Ray's snapshot agree on a trial that Ray restored as paused, or left as it was."""
        known = self._desk.book.trial(trial.trial_id) if self._desk else None
        if known and self._desk and trial.status == Trial.PAUSED and known.state is TrialState.RUNNING:
            self._desk.book.record(TrialEnded(trial.trial_id, TrialState.PAUSED))
        if known and self._desk and trial.status in _GONE and known.state in (TrialState.RUNNING, TrialState.PAUSED):
            full = known.last_step >= self._desk.book.history().max_step
            state = TrialState.COMPLETED if full else _GONE[trial.status]
            self._desk.book.record(TrialEnded(trial.trial_id, state, message="Ray did not take it up again"))
        if known and self._desk and self._desk.steering and is_bare(trial):
            self._desk.steering.bare.add(trial.trial_id)

    def _decide(self, known: TrialRecord, action: str, choice: Choice, state: TrialState) -> None:
        if self._desk is not None:
            told = Decision(known.id, action, choice.reason, choice.by, known.last_step, choice.predicted)
            self._desk.book.record(told)
            self._desk.book.record(TrialEnded(known.id, state, message=choice.reason))

    def _end(self, tune_controller: Any, paused: list[Trial], choice: Choice) -> None:
        for trial in paused:
            known = self._desk.book.trial(trial.trial_id) if self._desk else None
            if known and known.state is TrialState.PAUSED:
                self._decide(known, STOP, choice, TrialState.STOPPED)
            tune_controller.stop_trial(trial)  # also what had ended before Ray's snapshot knew

    def _let_go(self, paused: list[Trial]) -> None:
        """Delete the checkpoints of the least promising of too many paused trials; to go on they begin anew."""
        desk = self._desk
        if desk is None or desk.steering is None:
            return
        surplus = len([t for t in paused if t.trial_id not in desk.steering.bare]) - self._max_paused
        for name in desk.steering.least_promising(surplus) if surplus > 0 else ():
            trial, known = next((t for t in paused if t.trial_id == name), None), desk.book.trial(name)
            if trial is None or known is None:
                continue
            reason = f"more than {self._max_paused} trials wait with a checkpoint, and this one promises least"
            desk.book.record(Decision(name, FORGET, reason, "planner", known.last_step))
            desk.steering.bare.add(name)
            forget(trial)

    def _slots_of(self, trial: Trial) -> Callable[[], int]:
        if self._slots is not None:
            slots = self._slots
            return lambda: slots
        needed = _resources(trial)
        return lambda: fitting(needed)


def _left_behind(desk: Desk, paused: list[Trial]) -> Trial | None:
    """Return a trial that was resumed and that Ray still holds as paused, as its old actor had not gone yet.

    Ray forgets what it was told then; unless told again, the trial would hold its slot for ever.
    """
    known = ((trial, desk.book.trial(trial.trial_id)) for trial in paused)
    return next((trial for trial, record in known if record and record.state is TrialState.RUNNING), None)


def free_slots(desk: Desk) -> int:
    """Return how many more trials may train now; 1 before the scheduler has said how many fit."""
    if desk.slots is None:
        return 1
    return max(0, desk.slots() - len(desk.book.history().in_state(TrialState.RUNNING)))


def new_is_due(desk: Desk, dry: Callable[[], bool] = lambda: False) -> bool:
    """Return whether the searcher may start a new trial now.

    Args:
        desk: Shares its steering.
        dry: Says whether nobody proposes anything. Steering waits for proposals; for those, nobody has to wait.
    """
    if desk.steering is None:
        return True
    action = desk.steering.next().action if free_slots(desk) else None
    return action == "new" or (action == "wait" and dry())


def _desk_of(search_alg: Any) -> Desk | None:
    limiter = unwrapped(search_alg, ConcurrencyLimiter)
    desk = unwrapped(search_alg, Desk)  # type: ignore[type-abstract]
    if desk is None or desk.rule is None:
        return None
    if limiter is not None:
        rule = "counts paused trials too: nothing would start any more"
        remedy = "leave it out, and say `ReviewScheduler(search, slots=...)` instead"
        raise JobError("TuneConfig", [Problem("max_concurrent_trials", rule, str(limiter.max_concurrent), remedy)])
    return desk


def _other_searcher(search_alg: Any) -> JobError:
    rule = "must be the searcher that the scheduler was given: another's trials would run as without the scheduler"
    remedy = "say `search_alg=search, scheduler=ReviewScheduler(search)`"
    found = type(getattr(search_alg, "searcher", search_alg)).__name__
    return JobError("TuneConfig", [Problem("search_alg", rule, found, remedy)])


def _check_saves(trial: Trial) -> None:
    """Raise an error where the first pause of every trial would fail; Ray's class for functions does save."""
    known = isinstance(trial, Trial)  # none in virtual time
    trainable = trial.get_trainable_cls() if known else None  # type: ignore[no-untyped-call]
    if trainable is not None and trainable.save_checkpoint is tune.Trainable.save_checkpoint:
        rule = "must save checkpoints for `ReviewScheduler`, which pauses trials"
        remedy = "write its `save_checkpoint` and `load_checkpoint`"
        raise JobError("Tuner", [Problem("trainable", rule, trainable.__name__, remedy)])


def _resources(trial: Trial) -> dict[str, float]:
    factory = trial.placement_group_factory
    needed = factory.required_resources if factory else {"CPU": 1.0}
    return {name: amount for name, amount in needed.items() if amount > 0}


def fitting(needed: dict[str, float]) -> int:
    """Return how many trials that need so much of each resource the whole cluster holds at once, at least 1."""
    cluster = ray.cluster_resources()  # type: ignore[no-untyped-call]
    # 2 // 0.2 is 9: what a float lacks must not cost a slot.
    fit = (math.floor(cluster.get(name, 0.0) / amount + 1e-6) for name, amount in needed.items())
    return max(1, min(fit, default=1))
