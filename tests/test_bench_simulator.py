"""The simulator: virtual time, decisions, pauses, failures, revision, latency."""

from __future__ import annotations

import math

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, HyperBandScheduler, TrialScheduler
from ray.tune.search import Searcher

from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.records import TrialState
from benchmarks.formula import SPACE, START, Formula, advance
from benchmarks.replay import Costs, Limits
from benchmarks.searchers import AdvisorSearch, RandomSearch
from benchmarks.simulator import Simulator
from benchmarks.stand_in import PAUSED, PENDING, RUNNING


class Listed(Searcher):
    """Suggests the given configurations and notes what it is told."""

    def __init__(self, configs, latency_s=0.0):
        super().__init__()
        self.configs, self.latency_s, self.told = list(configs), latency_s, []

    def suggest(self, trial_id):
        return self.configs.pop(0) if self.configs else Searcher.FINISHED

    def on_trial_result(self, trial_id, result):
        self.told.append((trial_id, result["training_iteration"]))

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.told.append((trial_id, "error" if error else "end", result and result["training_iteration"]))


def configs(count, **changed):
    return [{"lr": 0.01 * (i + 1), "momentum": 0.0, **changed} for i in range(count)]


def test_two_workers_share_the_trials_and_virtual_time_adds_up():
    search = Listed(configs(3))
    replay = Simulator(Formula(steps=4), search, FIFOScheduler(), workers=2).run()
    assert replay.ended == "finished"
    # Two at once, four seconds each; the third follows on the first free worker.
    assert replay.seconds == 8.0
    assert [e.seconds for e in replay.evaluations if e.trial == 2] == [5.0, 6.0, 7.0, 8.0]
    assert search.told.count(("00002", "end", 4)) == 1
    assert len(replay.evaluations) == 12


def test_a_stopped_trial_ends_with_a_result_that_the_searcher_first_sees_at_its_end():
    class StopSecond(FIFOScheduler):
        def on_trial_result(self, tune_controller, trial, result):
            return TrialScheduler.STOP if result["training_iteration"] == 2 else TrialScheduler.CONTINUE

    search = Listed(configs(1))
    replay = Simulator(Formula(), search, StopSecond(), workers=1).run()
    assert search.told == [("00000", 1), ("00000", "end", 2)]
    assert replay.decisions == [(0, 0, "START"), (0, 1, "CONTINUE"), (0, 2, "STOP")]


def test_a_failing_trial_is_told_as_failed_and_frees_its_worker():
    search = Listed([{"lr": 0.5, "momentum": 0.0}, *configs(1)])
    replay = Simulator(Formula(steps=3, breaks_above=0.1), search, FIFOScheduler(), workers=1).run()
    assert ("00000", "error", None) in search.told
    assert [d for d in replay.decisions if d[2] in ("ERROR", "COMPLETE")] == [(0, 2, "ERROR"), (1, 3, "COMPLETE")]
    assert replay.seconds == 5.0


class PauseOnce(FIFOScheduler):
    """Pauses every trial after its first step, and runs the new before the paused."""

    def on_trial_result(self, tune_controller, trial, result):
        return TrialScheduler.PAUSE if result["training_iteration"] == 1 else TrialScheduler.CONTINUE


def test_pausing_and_resuming_keep_the_step_and_cost_what_was_said():
    search = Listed(configs(2))
    costs = Costs(start_s=1.0, pause_s=2.0, resume_s=3.0)
    replay = Simulator(Formula(steps=2), search, PauseOnce(), workers=1, costs=costs).run()
    assert [d for d in replay.decisions if d[2] != "CONTINUE"] == [
        (0, 0, "START"), (0, 1, "PAUSE"), (1, 0, "START"), (1, 1, "PAUSE"),
        (0, 1, "RESUME"), (0, 2, "COMPLETE"), (1, 1, "RESUME"), (1, 2, "COMPLETE"),
    ]  # fmt: skip
    assert [e.seconds for e in replay.evaluations] == [2.0, 6.0, 12.0, 16.0]
    assert [e.step for e in replay.evaluations] == [1, 1, 2, 2]


def test_while_a_pause_is_saved_the_trial_is_running_and_saving():
    seen = []

    class Looks(PauseOnce):
        def choose_trial_to_run(self, tune_controller):
            seen.extend((t.status, t.is_saving) for t in tune_controller.get_trials() if t.is_saving)
            return super().choose_trial_to_run(tune_controller)

    Simulator(Formula(steps=2), Listed(configs(2)), Looks(), workers=2, costs=Costs(pause_s=1.0)).run()
    assert set(seen) == {(RUNNING, True)}


class Holds(FIFOScheduler):
    """Starts a new trial only while nothing runs."""

    def choose_trial_to_run(self, tune_controller):
        trials = tune_controller.get_trials()
        if any(t.status == RUNNING for t in trials):
            return None
        return next((t for t in trials if t.status == PENDING), None)


@pytest.mark.parametrize(("as_ray", "seconds"), [(False, 6.0), (True, 3.0)])
def test_none_holds_pending_trials_back_but_not_as_ray_does_it(as_ray, seconds):
    replay = Simulator(Formula(steps=3), Listed(configs(2)), Holds(), workers=2, as_ray=as_ray).run()
    assert replay.seconds == seconds


def test_one_suggestion_is_drawn_ahead_or_none():
    for ahead, first_asked in ((1, 2), (0, 1)):
        search = Listed(configs(5))
        simulator = Simulator(Formula(steps=3), search, FIFOScheduler(), 1, Limits(epochs=1), ahead=ahead)
        simulator.run()
        assert simulator.search_alg.asked == first_asked


def test_the_searchers_latency_delays_its_trials():
    search = Listed(configs(2), latency_s=10.0)
    replay = Simulator(Formula(steps=2), search, FIFOScheduler(), workers=1).run()
    # The second was asked for as soon as the first had come: it is there before the worker is free.
    assert [e.seconds for e in replay.evaluations] == [11.0, 12.0, 21.0, 22.0]


def test_a_scheduler_may_revise_a_running_trial():
    class Revises(FIFOScheduler):
        def on_trial_result(self, tune_controller, trial, result):
            if result["training_iteration"] == 2:
                trial.set_config({"lr": 0.01, "momentum": 0.5})
            return TrialScheduler.CONTINUE

    replay = Simulator(Formula(steps=3), Listed([{"lr": 0.3, "momentum": 0.0}]), Revises(), workers=1).run()
    before, after = {"lr": 0.3, "momentum": 0.0}, {"lr": 0.01, "momentum": 0.5}
    expected = advance(advance(advance(START, before), before), after)
    assert replay.evaluations[-1].value == expected


def test_choosing_a_trial_that_already_runs_is_refused():
    class Wrong(FIFOScheduler):
        def choose_trial_to_run(self, tune_controller):
            return next(iter(tune_controller.get_trials()), None)

    with pytest.raises(ValueError, match="neither PENDING nor PAUSED"):
        Simulator(Formula(), Listed(configs(2)), Wrong(), workers=2).run()


def test_hyperband_pauses_and_resumes_and_never_trains_beyond_the_budget():
    replay = Simulator(
        Formula(steps=27), RandomSearch(SPACE, 0), HyperBandScheduler(max_t=27), 2, Limits(epochs=300)
    ).run()
    words = [d[2] for d in replay.decisions]
    assert {"PAUSE", "RESUME", "STOP"} <= set(words)
    assert len(replay.evaluations) == 300
    assert replay.ended == "epochs"
    by_trial = {}
    for e in replay.evaluations:
        assert e.step == by_trial.get(e.trial, 0) + 1
        by_trial[e.trial] = e.step


def test_the_time_limit_ends_a_run_between_reports():
    replay = Simulator(Formula(), RandomSearch(SPACE, 0), FIFOScheduler(), 1, Limits(seconds=5.5)).run()
    assert replay.ended == "seconds"
    assert replay.evaluations[-1].seconds <= 5.5 == replay.seconds


def test_our_mixture_learns_in_virtual_time_and_repeats_itself():
    def run():
        problem = Formula()
        search = AdvisorSearch(problem.brief, assemble(problem.brief, None, "tpe", 1), 1)
        asha = AsyncHyperBandScheduler(max_t=9, grace_period=1, reduction_factor=3)
        return Simulator(problem, search, asha, 2, Limits(epochs=150)).run(), search.loop.history

    (replay, history), (again, _) = run(), run()
    assert replay.evaluations == again.evaluations
    assert max(e.value for e in replay.evaluations) > -0.5
    assert {TrialState.STOPPED, TrialState.COMPLETED} <= {t.state for t in history.trials}
    # What was told is what happened: the same steps with the same values.
    told = [t.last_step for t in history.trials]
    assert sum(told) == len(replay.evaluations)


def test_a_diverged_value_reaches_nobody_as_a_number():
    problem = Formula(breaks_above=0.1)
    search = AdvisorSearch(problem.brief, assemble(problem.brief, None, "tpe", 1), 1)
    Simulator(problem, search, FIFOScheduler(), 1, Limits(trials=1)).run()
    trial = search.loop.history.trials[0]
    assert trial.state is TrialState.FAILED
    assert trial.last_step == 2
    assert all(math.isfinite(v) for _, v in trial.curve("score"))


def test_paused_trials_that_nobody_chooses_stall_the_run():
    class Forgets(PauseOnce):
        def choose_trial_to_run(self, tune_controller):
            return next((t for t in tune_controller.get_trials() if t.status == PENDING), None)

    replay = Simulator(Formula(), Listed(configs(2)), Forgets(), workers=1).run()
    assert replay.ended == "stalled"
    assert [t.status for t in replay.trials] == [PAUSED, PAUSED]
