"""A discrete-event simulator of Ray Tune: any searcher and scheduler, W workers, virtual time.

    replay = Simulator(problem, searcher, scheduler, workers=4, limits=Limits(epochs=1040)).run()
    replay.evaluations[-1].value

It follows `ray/tune/execution/tune_controller.py` of Ray 2.60 in what a searcher or scheduler can
notice: a suggestion is drawn ahead of a free worker; a result goes to the scheduler first and reaches the
searcher only when the trial is not stopped by it; `last_result` is the one before during
`on_trial_result`; a trial whose function returned is completed with its last result once more; a PAUSED
trial keeps its step. By default the scheduler is asked only when a worker is free, and what it chooses
starts at once; None leaves the worker idle, PENDING trials or not. With `as_ray=True` it is as in Ray:
the scheduler is asked all the time, its choice is staged (PENDING, for the next free worker), and PENDING
trials are staged by themselves whatever it says. A trial is moved to the configuration that the problem
trains in place of the proposal, and the searcher is told (`benchmarks.told`).
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, final

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from benchmarks.agenda import Agenda
from benchmarks.noise import EXACT, Noise
from benchmarks.problems import Problem
from benchmarks.replay import FREE, UNLIMITED, Costs, Evaluation, Limits, Replay
from benchmarks.stand_in import ERROR, PAUSED, PENDING, RUNNING, TERMINATED, SimSearch, SimTrial

POLL_S = 0.002


@final
class Simulator:
    """Runs one searcher and scheduler pair on one problem. Schedulers see it as the `TuneController`.

    Args:
        problem: What is tuned.
        searcher: Any Ray Tune searcher. It may have an attribute `latency_s`: virtual seconds its last
            suggestion took; the trial is PENDING only after them.
        scheduler: Any Ray Tune scheduler; it is told metric and mode where it has none.
        workers: Trials that train at once.
        limits: When to end.
        costs: Of starting, pausing and resuming.
        ahead: Suggestions kept PENDING or asked for (Ray keeps 1); 0 asks only for a free worker, like
            `max_concurrent_trials`.
        patience_s: Real seconds to wait for a searcher that answers None while a worker is free, as one
            with threads of its own does.
        as_ray: Whether choices are staged ahead of a free worker, and PENDING trials with them, as in Ray.
        noise: On what scheduler and searcher are shown.
    """

    def __init__(
        self,
        problem: Problem,
        searcher: Searcher,
        scheduler: TrialScheduler,
        workers: int = 4,
        limits: Limits = UNLIMITED,
        costs: Costs = FREE,
        ahead: int = 1,
        patience_s: float = 0.0,
        as_ray: bool = False,
        noise: Noise = EXACT,
    ) -> None:
        self.problem = problem
        self.scheduler_alg: Any = scheduler  # its methods are typed for Ray's own controller and trials
        self.search_alg = SimSearch(searcher, limits.trials)
        self.now, self.epochs = 0.0, 0
        self.trial_executor = SimpleNamespace(has_resources_for_trial=lambda trial: True)
        self._workers, self._limits, self._costs = workers, limits, costs
        self._ahead, self._patience_s, self._as_ray, self._noise = ahead, patience_s, as_ray, noise
        self._busy = 0
        self._arriving = 0
        self._trials: list[SimTrial] = []
        self._live: set[SimTrial] = set()
        self._agenda = Agenda()
        self._staged: list[SimTrial] = []
        self._opened: set[int] = set()
        self._evaluations: list[Evaluation] = []
        self._decisions: list[tuple[int, int, str]] = []
        objective = problem.brief.objective
        searcher.set_search_properties(objective.metric, objective.mode, {}, stop={})
        scheduler.set_search_properties(objective.metric, objective.mode)

    def run(self) -> Replay:
        """Run to the end and return what happened."""
        ended = ""
        while not ended:
            self._dispatch()
            ended = self._over() or self._next_event()
        return Replay(self._evaluations, self._decisions, self._trials, self.now, ended)

    # What schedulers call, as on Ray's `TuneController`.

    def get_trials(self) -> list[SimTrial]:
        """Return every trial, in order of arrival."""
        return self._trials

    def get_live_trials(self) -> set[SimTrial]:
        """Return the trials that have not ended."""
        return self._live

    def get_trial(self, trial_id: str) -> SimTrial | None:
        """Return the trial of that id, or None."""
        return next((t for t in self._trials if t.trial_id == trial_id), None)

    def is_finished(self) -> bool:
        """Return whether nothing is left to run."""
        return not self._live and self.search_alg.is_finished()

    def stop_trial(self, trial: SimTrial) -> None:
        """End a trial for good; Ray's order of notifications."""
        if trial.ended:
            return
        if trial.status == RUNNING:
            self.scheduler_alg.on_trial_complete(self, trial, trial.last_result)
            self.search_alg.on_trial_complete(trial.trial_id, result=trial.last_result)
        else:
            self.scheduler_alg.on_trial_remove(self, trial)
            self.search_alg.on_trial_complete(trial.trial_id)
        self._end(trial, TERMINATED)

    def request_stop_trial(self, trial: SimTrial) -> None:
        """As `stop_trial`."""
        self.stop_trial(trial)

    def pause_trial(self, trial: SimTrial, should_checkpoint: bool = True) -> None:
        """Pause a RUNNING trial: it goes on later from its last report; a step under way is lost."""
        if trial.status != RUNNING or trial.is_saving:
            return
        trial.token += 1
        trial.is_saving = True
        if should_checkpoint and self._costs.pause_s > 0:
            self._agenda.enter(self.now + self._costs.pause_s, "saved", trial)
        else:
            self._on_saved(trial)

    def _dispatch(self) -> None:
        self._fill_queue()
        while trial := self._stage() if self._as_ray else self._choose():
            self._start(trial)
            self._fill_queue()

    def _choose(self) -> SimTrial | None:
        """Return what the scheduler wants on a free worker."""
        if self._busy >= self._workers:
            return None
        trial: SimTrial | None = self.scheduler_alg.choose_trial_to_run(self)
        return trial

    def _stage(self) -> SimTrial | None:
        """Stage trials as `TuneController._maybe_add_actors` does; return one for a free worker."""
        while chosen := self.scheduler_alg.choose_trial_to_run(self):
            if chosen in self._staged or chosen.status not in (PENDING, PAUSED):
                break
            chosen.status = PENDING
            self._staged.append(chosen)
        self._staged = [t for t in self._staged if t.status == PENDING]
        waiting = [t for t in self._trials if t.status == PENDING and t not in self._staged]
        self._staged += waiting[: max(0, (self._ahead or 1) - len(self._staged))]
        return self._staged.pop(0) if self._staged and self._busy < self._workers else None

    def _fill_queue(self) -> None:
        while not self.search_alg.is_finished() and self._queued() < (self._ahead or self._workers - self._busy):
            trial_id = f"{self.search_alg.asked:05d}"
            config = self._ask(trial_id)
            if config is None:
                return
            config = self.search_alg.moved(trial_id, config, self.problem.snap(config, self._opened))
            trial = SimTrial(trial_id, self.search_alg.asked - 1, config)
            trial.curve = self.problem.open(config)
            self._opened.add(trial.curve)
            if self.search_alg.latency_s > 0:
                self._arriving += 1
                self._agenda.enter(self.now + self.search_alg.latency_s, "arrive", trial)
            else:
                self._add(trial)

    def _ask(self, trial_id: str) -> dict[str, Any] | None:
        config = self.search_alg.next_config(trial_id)
        until = time.monotonic() + (self._patience_s if self._busy < self._workers else 0.0)
        while config is None and not self.search_alg.is_finished() and time.monotonic() < until:
            time.sleep(POLL_S)
            config = self.search_alg.next_config(trial_id)
        return config

    def _queued(self) -> int:
        return self._arriving + sum(1 for t in self._live if t.status == PENDING)

    def _add(self, trial: SimTrial) -> None:
        self._trials.append(trial)
        self._live.add(trial)
        self.scheduler_alg.on_trial_add(self, trial)

    def _start(self, trial: SimTrial) -> None:
        if trial.status not in (PENDING, PAUSED):
            raise ValueError(f"the scheduler chose {trial}, which is neither PENDING nor PAUSED")
        resumes = trial.step > 0
        self._decisions.append((trial.number, trial.step, "RESUME" if resumes else "START"))
        trial.status = RUNNING
        trial.holds_worker = True
        self._busy += 1
        self._train(trial, self._costs.resume_s if resumes else self._costs.start_s)

    def _train(self, trial: SimTrial, delay_s: float = 0.0) -> None:
        """Put the next step of a running trial into the calendar, or its end."""
        if trial.revised:
            trial.revised = False
            trial.curve = self.problem.revise(trial.curve, trial.step, trial.config)
        if trial.step >= self.problem.length(trial.curve):
            kind = "fail" if self.problem.fails(trial.curve) else "return"
            self._agenda.enter(self.now + delay_s, kind, trial)
            return
        seconds = self.problem.seconds(trial.curve, trial.step + 1)
        self._agenda.enter(self.now + delay_s + seconds, "report", trial)

    def _end(self, trial: SimTrial, status: str) -> None:
        trial.token += 1
        trial.is_saving = False
        trial.status = status
        self._live.discard(trial)
        self._release(trial)

    def _release(self, trial: SimTrial) -> None:
        if trial.holds_worker:
            trial.holds_worker = False
            self._busy -= 1

    def _over(self) -> str:
        return "epochs" if self.epochs >= self._limits.epochs else ""

    def _next_event(self) -> str:
        """Handle one event; return why the run is over where none is left in time."""
        if not self._agenda:
            return "stalled" if self._live or not self.search_alg.is_finished() else "finished"
        event = self._agenda.next()
        if event.at > self._limits.seconds:
            self.now = self._limits.seconds
            return "seconds"
        self.now = event.at
        if not event.void:
            getattr(self, f"_on_{event.kind}")(event.trial)
        return ""

    def _on_arrive(self, trial: SimTrial) -> None:
        self._arriving -= 1
        self._add(trial)

    def _on_saved(self, trial: SimTrial) -> None:
        trial.is_saving = False
        trial.status = PAUSED
        self._release(trial)

    def _on_return(self, trial: SimTrial) -> None:
        # The function ended without a word: Ray repeats its last result as done.
        self._decisions.append((trial.number, trial.step, "COMPLETE"))
        trial.last_result["done"] = True
        self.stop_trial(trial)

    def _on_fail(self, trial: SimTrial) -> None:
        self._decisions.append((trial.number, trial.step, "ERROR"))
        self.scheduler_alg.on_trial_error(self, trial)
        self.search_alg.on_trial_complete(trial.trial_id, error=True)
        self._end(trial, ERROR)

    def _on_report(self, trial: SimTrial) -> None:
        trial.step += 1
        seconds = self.problem.seconds(trial.curve, trial.step)
        trial.trained_s += seconds
        self.epochs += 1
        truth, metric = self.problem.report(trial.curve, trial.step), self.problem.brief.objective.metric
        shown = self._noise.shown(truth, metric, trial.number, trial.step)
        values = float(truth[metric]), trial.curve, float(shown[metric])
        self._evaluations.append(Evaluation(self.now, trial.number, trial.step, *values))
        self._decide(trial, trial.result(shown, seconds))

    def _decide(self, trial: SimTrial, result: dict[str, Any]) -> None:
        decision = str(self.scheduler_alg.on_trial_result(self, trial, result))
        self._decisions.append((trial.number, trial.step, decision))
        if decision == TrialScheduler.STOP:
            result["done"] = True
        else:
            self.search_alg.searcher.on_trial_result(trial.trial_id, result)
        trial.last_result = result
        if decision == TrialScheduler.STOP:
            self.stop_trial(trial)
        elif decision == TrialScheduler.PAUSE:
            self.pause_trial(trial)
        elif decision == TrialScheduler.CONTINUE and trial.status == RUNNING:
            self._train(trial)
