"""`ReviewScheduler`: trials freeze and thaw, together with a searcher that shares its planner (`Desk`).

`LLMSearch` is no such searcher yet: with it, as with anybody else's, trials run in the order of their
suggestion. `benchmarks.freeze_thaw.PlannedSearch` is one.

A trial that reports at a milestone is paused where something else, paused or new, promises more; a free
worker goes to whatever promises most. The searcher hands out a new configuration only when one is due. This
file knows Ray's rules; what promises more is `planner.Planner`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from automl_gpt_ray.book import Book
from automl_gpt_ray.events import Decision, TrialEnded, TrialResumed
from automl_gpt_ray.planner import Choice, Planner
from automl_gpt_ray.ray_tune.results import step_of
from automl_gpt_ray.ray_tune.wrapped import unwrapped
from automl_gpt_ray.records import Proposal, TrialState

BY = "planner"


@runtime_checkable
class Desk(Protocol):
    """What a searcher shares with the scheduler."""

    planner: Planner | None

    @property
    def book(self) -> Book:
        """What has happened so far."""
        ...

    def ready(self) -> list[Proposal]:
        """Return the proposals that could start now; none once there are trials enough."""
        ...

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record one step of a trial; the same one twice counts once."""
        ...


class ReviewScheduler(FIFOScheduler):
    """See the module.

    Args:
        slots: Trials that train at once, or a function that says how many fit now.
        time_attr: Result key that counts steps; must be the searcher's.
    """

    def __init__(self, slots: int | Callable[[], int], time_attr: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._slots, self._time_attr = slots, time_attr
        self._desk: Desk | None = None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Find the searcher that this scheduler shares a planner with."""
        self._desk = self._desk or unwrapped(tune_controller.search_alg, Desk)  # type: ignore[type-abstract]

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Let the trial go on, or pause it where something else promises more."""
        desk = self._desk
        if desk is None or desk.planner is None:
            return TrialScheduler.CONTINUE
        # The searcher is told after the scheduler, and not at all of a result that stops its trial.
        desk.on_trial_result(trial.trial_id, result)
        history, step = desk.book.history(), step_of(result, self._time_attr)
        if step >= history.max_step:
            return TrialScheduler.STOP
        if not desk.planner.is_milestone(step):
            return TrialScheduler.CONTINUE
        choice = desk.planner.after(history, trial.trial_id, desk.ready())
        if choice is None or choice.trial == trial.trial_id:
            return TrialScheduler.CONTINUE
        desk.book.record(Decision(trial.trial_id, "pause", choice.reason, BY))
        desk.book.record(TrialEnded(trial.trial_id, TrialState.PAUSED))
        return TrialScheduler.PAUSE

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the paused trial that is due a free worker, or a pending trial."""
        desk = self._desk
        trials = tune_controller.get_trials()
        pending = next((trial for trial in trials if trial.status == Trial.PENDING), None)
        if desk is None or desk.planner is None or pending is not None:
            return pending
        choice = next_choice(desk, self.free_slots(desk))
        if choice is None or choice.trial is None:
            return None
        chosen = next((t for t in trials if t.trial_id == choice.trial and t.status == Trial.PAUSED), None)
        if chosen is not None:
            desk.book.record(TrialResumed(chosen.trial_id, choice.reason))
        return chosen

    def free_slots(self, desk: Desk) -> int:
        """Return how many more trials may train now."""
        slots = self._slots if isinstance(self._slots, int) else self._slots()
        return slots - len(desk.book.history().in_state(TrialState.RUNNING))

    def debug_string(self) -> str:
        """Return what Ray prints of the scheduler."""
        return "Using ReviewScheduler: trials freeze and thaw."


def next_choice(desk: Desk, free: int) -> Choice | None:
    """Return what a free worker does; None where none is free or nothing can run."""
    if free <= 0 or desk.planner is None:
        return None
    return desk.planner.next(desk.book.history(), desk.ready())
