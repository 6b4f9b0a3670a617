"""Steering: what it says from a ranking, from rungs, and when neither has anything to say."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from small_runs import PLAIN, proposed

from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import AdviceGiven, ForecastMade, ResultReported, RunStarted, TrialEnded, TrialStarted
from automl_gpt_ray.planner import Ranking
from automl_gpt_ray.records import LogPoint, Observation, PredictedLog, TrialState
from automl_gpt_ray.steering import Steering
from automl_gpt_ray.steering_rule import SteeringRule

STEPS = 20
FREE = SteeringRule(grace=2, audit=0.0, forecasts="trusted", background=False)
GATED = SteeringRule(grace=2, audit=0.0, background=False)


class Says:
    """A planner that promises what it is told to."""

    def __init__(self, trials=None, proposals=None):
        self.trials, self.proposals = trials or {}, proposals or {}
        self.error = None
        self.asked = []

    def rank(self, history, asked=(), bare=()):
        if self.error:
            raise self.error
        self.asked += list(asked)
        logs = {t: PredictedLog("accuracy", (LogPoint(STEPS, 0.8, 0.7, 0.9),), "gp") for t in asked}
        return Ranking(history.version, self.trials, self.proposals, dict.fromkeys(self.trials, 0.77), logs)


class Gate:
    """A scorekeeper that trusts, or does not."""

    def __init__(self, trusts=False):
        self.trusts = trusts

    def may_stop(self, source):
        return self.trusts


class Run:
    """A book with a steering over it."""

    def __init__(self, planner=None, rule=FREE, gate=None, starts=True):
        self.events = []
        self.book = Book(also=self.events.append)
        self.book.record(RunStarted("accuracy", "max", STEPS, 0, PLAIN.default))
        self.planner, self.starts = planner or Says(), starts
        cost = rule.switch_cost or 0.0
        self.steering = Steering(self.book, self.planner, gate or Gate(), rule, lambda: self.starts, lambda: cost)

    def trial(self, number, value=0.5, step=2, state=TrialState.PAUSED):
        config = {**PLAIN.default, "eta": 0.01 + number / 100}
        self.book.record(TrialStarted(f"t{number}", proposed(config, number)))
        self.report(number, value, 1, step)
        if state is not TrialState.RUNNING:
            self.book.record(TrialEnded(f"t{number}", state))
        return self

    def report(self, number, value, first, last):
        for step in range(first, last + 1):
            self.book.record(ResultReported(f"t{number}", Observation(step, {"accuracy": value}, float(step))))

    def queue(self, source="classical"):
        self.book.record(AdviceGiven(source, 0, (proposed({**PLAIN.default, "eta": 0.4}, 99, source),)))
        return self

    def decisions(self):
        return Counter(d.action for d in self.book.decisions)


def four(run, running=3):
    """Three paused trials, and a running one at its first milestone."""
    for number in range(3):
        run.trial(number, 0.5 + number / 10)
    return run.trial(running, 0.1, state=TrialState.RUNNING)


@pytest.mark.parametrize("source", ["default", "recalled"])
def test_the_first_trials_and_what_is_recalled_need_not_compete(source):
    assert Run().queue().steering.next().action == "new"
    run = four(Run(Says({"t0": 5.0}))).queue(source)
    assert run.steering.next().action == "new"


def test_a_trial_makes_way_for_what_promises_more():
    run = four(Run(Says({"t2": 0.5, "t3": 0.1})))
    choice = run.steering.after("t3")
    assert (choice.action, choice.trial, choice.predicted) == ("trial", "t2", 0.77)
    assert "0.5" in choice.reason
    run = four(Run(Says({"t2": 0.5, "t3": 0.1}, {"classical-99": 0.7}))).queue()
    assert run.steering.after("t3").action == "new"


def test_a_trial_goes_on_while_nothing_promises_more_or_between_milestones():
    run = four(Run(Says({"t2": 0.1, "t3": 0.5})))
    assert run.steering.after("t3") is None
    run = four(Run(Says({"t2": 0.5, "t3": 0.1})))
    run.report(3, 0.1, 3, 3)
    assert run.steering.after("t3") is None


def test_switching_must_be_worth_its_cost():
    dear = SteeringRule(2, 3.0, 0.0, switch_cost=100.0, forecasts="trusted", background=False)
    assert four(Run(Says({"t2": 0.5, "t3": 0.1}), dear)).steering.after("t3") is None


def test_a_trial_the_ranking_does_not_know_goes_on():
    assert four(Run(Says({"t2": 0.5}))).steering.after("t3") is None


def test_a_free_worker_goes_to_what_promises_most():
    run = four(Run(Says({"t0": 0.1, "t2": 0.4, "t3": 0.9})))
    assert run.steering.next().trial == "t2"  # t3 runs already
    run.planner.proposals = {"classical-99": 0.6}
    run.queue()
    assert run.steering.next().action == "new"
    run.starts = False
    assert run.steering.next().trial == "t2"


def test_rungs_decide_while_the_forecasts_have_earned_no_say():
    run = four(Run(Says({"t3": 9.0}), GATED)).queue()
    choice = run.steering.after("t3")
    # Its forecast says it promises most; nobody listens. One of four may go on, and another is better.
    assert (choice.action, choice.trial, choice.by) == ("trial", "t2", "rungs")
    assert four(Run(Says(), GATED), running=4).trial(5, 0.95, state=TrialState.RUNNING).steering.after("t5") is None


@pytest.mark.parametrize("rule", [FREE, GATED])
def test_a_trial_that_reports_only_now_and_then_makes_way_too(rule):
    run = Run(Says({"t2": 0.5, "t3": 0.1}), rule).queue()
    for number, value in enumerate((0.1, 0.2, 0.3, 0.05)):
        run.trial(number, step=0, state=TrialState.RUNNING).report(number, value, 7, 7)
        if number < 3:
            run.book.record(TrialEnded(f"t{number}", TrialState.PAUSED))
    choice = run.steering.after("t3")
    assert (choice.action, choice.trial) == ("trial", "t2")


def test_a_report_without_the_metric_pauses_nobody():
    run = four(Run(Says(), GATED)).trial(5, 0.9, step=1, state=TrialState.RUNNING)
    run.book.record(ResultReported("t5", Observation(2, {"other": 1.0}, 2.0)))
    assert run.steering.after("t5") is None
    run.report(5, 0.1, 3, 3)
    assert run.steering.after("t5").trial == "t2"


def test_trust_is_asked_for_with_each_ranking():
    gate = Gate()
    run = four(Run(Says({"t0": 0.9, "t3": 0.1}), GATED, gate))
    assert run.steering.next().by == "rungs"
    gate.trusts = True
    run.report(3, 0.1, 3, 3)
    assert run.steering.next().trial == "t0"


def test_forecasts_that_are_ignored_decide_nothing_whatever_they_earned():
    gate = Gate()
    gate.trusts = True
    run = four(Run(Says({"t0": 0.9, "t3": 0.1}), replace(GATED, forecasts="ignored"), gate))
    assert run.steering.next().by == "rungs"


def test_audited_trials_run_on_and_are_written_down():
    rule = SteeringRule(2, 3.0, audit=0.999999, forecasts="trusted", background=False)
    run = four(Run(Says({"t2": 0.5, "t3": 0.1}), rule))
    assert run.steering.after("t3") is None
    run.report(3, 0.1, 3, 4)
    assert run.steering.after("t3") is None
    assert run.decisions() == {"audit": 1}
    (told,) = run.book.decisions
    assert (told.subject, told.step, told.predicted) == ("t3", 2, 0.77)


def test_audits_cost_no_more_than_their_share_of_all_steps():
    rule = SteeringRule(2, 3.0, audit=0.5, forecasts="trusted", background=False)
    run = Run(Says({"t0": 9.0}), rule).trial(0)
    for number in range(1, 60):
        run.planner.trials[f"t{number}"] = 0.1
        run.trial(number, 0.1, state=TrialState.RUNNING)
        if run.steering.after(f"t{number}") is None:
            run.report(number, 0.1, 3, STEPS)
        run.book.record(TrialEnded(f"t{number}", TrialState.STOPPED))
    costs = [STEPS - d.step for d in run.book.decisions if d.action == "audit"]
    spent = sum(trial.last_step for trial in run.book.history().trials)
    assert len(costs) > 2
    assert sum(costs[:-1]) <= 0.5 * spent
    assert sum(costs) <= 0.5 * spent + STEPS


def test_about_the_share_asked_for_is_audited():
    rule = SteeringRule(2, 3.0, audit=0.2, forecasts="trusted", background=False)
    audited = 0
    for number in range(3, 203):
        run = four(Run(Says({"t2": 0.5, f"t{number}": 0.1}), rule), running=number)
        audited += run.steering.after(f"t{number}") is None
    assert 20 <= audited <= 60


def test_the_end_comes_when_nothing_promises_enough_and_nobody_runs():
    run = four(Run(Says({"t0": 1e-6, "t1": 1e-5})))
    run.starts = False
    assert run.steering.next().action == "wait"  # t3 still runs
    run.book.record(TrialEnded("t3", TrialState.COMPLETED))
    assert run.steering.next().action == "end"
    run.planner.trials = {"t0": 0.1}
    run.report(3, 0.1, 3, 3)
    run.book.record(TrialEnded("t3", TrialState.COMPLETED))
    assert run.steering.next().trial == "t0"


def test_without_trust_the_best_trial_is_trained_to_its_end_before_the_end():
    run = Run(Says(), GATED, starts=False).trial(0, 0.5).trial(1, 0.9)
    assert run.steering.next().trial == "t1"
    run.book.record(TrialEnded("t1", TrialState.COMPLETED))
    assert run.steering.next().action == "end"


def test_the_least_promising_are_named_and_never_the_best_so_far():
    run = four(Run(Says({"t0": 0.3, "t1": 0.1, "t2": 0.0})))
    run.steering.next()
    assert run.steering.least_promising(5) == ["t1", "t0"]  # t2 has the best value
    assert run.steering.least_promising(1) == ["t1"]


def test_forecasts_of_early_steps_and_milestones_are_written_down():
    run = Run().trial(0, state=TrialState.RUNNING, step=1)
    run.steering.after("t0")
    assert [(e.trial, e.step) for e in run.events if isinstance(e, ForecastMade)] == [("t0", 1)] or run.steering.next()
    assert [(e.trial, e.step) for e in run.events if isinstance(e, ForecastMade)] == [("t0", 1)]
    run.report(0, 0.5, 2, 7)
    run.steering.after("t0")
    run.steering.next()
    assert len([e for e in run.events if isinstance(e, ForecastMade)]) == 1  # step 7 is no milestone


def waiting(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen within ten seconds")


BACKGROUND = SteeringRule(2, 3.0, 0.0, forecasts="trusted")


def test_rankings_are_made_in_the_background_when_something_happened():
    run = four(Run(Says({"t2": 0.5, "t3": 0.1}), BACKGROUND))
    assert run.steering.after("t3") is not None  # no ranking yet: by rungs
    run.steering.start()
    try:
        run.steering.after("t3")
        waiting(lambda: run.steering._ranking)
        assert run.steering.next().trial == "t2"
        assert run.planner.asked == ["t3"]
    finally:
        run.steering.stop()


def test_numbers_nobody_thought_of_leave_it_to_the_rungs(caplog):
    run = four(Run(Says({"t0": 0.9, "t3": 0.1}), BACKGROUND))
    run.planner.error = ValueError("not positive definite")
    run.steering.start()
    try:
        run.steering.changed()
        waiting(lambda: "promoted by rungs" in caplog.text)
        assert run.steering.next().by == "rungs"
        run.planner.error = None
        run.steering.changed()
        waiting(lambda: run.steering._ranking)
        assert run.steering.next().trial == "t0"
    finally:
        run.steering.stop()


def test_a_journal_that_cannot_be_written_ends_the_run():
    run = four(Run(Says(), BACKGROUND))
    run.planner.error = JournalError("disk full")
    run.steering.start()
    run.steering.changed()
    waiting(lambda: run.steering._broken)
    with pytest.raises(JournalError, match="disk full"):
        run.steering.next()
