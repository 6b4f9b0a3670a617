"""The cost of a switch, in steps, from when things happened."""

from __future__ import annotations

import pytest
from small_runs import PLAIN, proposed

from automl_gpt_ray.events import ResultReported, TrialEnded, TrialResumed, TrialStarted
from automl_gpt_ray.records import Observation, TrialState
from automl_gpt_ray.switching import SwitchCost


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def run():
    clock = Clock()
    cost = SwitchCost(clock)

    def at(seconds, event):
        clock.now = seconds
        cost.note(event)

    return cost, at


STARTED = TrialStarted("t", proposed(PLAIN.default))


def report(step):
    return ResultReported("t", Observation(step, {}, 0.0))


def test_a_start_costs_what_is_more_than_a_step(run):
    cost, at = run
    cost.begin()
    at(0.0, STARTED)
    at(5.0, report(1))
    assert cost.steps == 0.0  # no second step yet: nobody knows how long one takes
    at(7.0, report(2))
    assert cost.steps == pytest.approx(5.0 / 2.0 - 1.0)


def test_the_time_a_trial_was_paused_is_no_step(run):
    cost, at = run
    cost.begin()
    for seconds, event in (
        (0.0, STARTED),
        (2.0, report(1)),
        (4.0, report(2)),
        (4.0, TrialEnded("t", TrialState.PAUSED)),
        (100.0, TrialResumed("t", "it promises most")),
        (102.0, report(3)),
        (104.0, report(4)),
    ):
        at(seconds, event)
    assert cost.steps == 0.0  # a start takes a step here, and a step two seconds


def test_what_a_journal_held_is_not_timed(run):
    cost, at = run
    at(0.0, STARTED)
    at(0.0, report(1))
    at(0.0, report(2))
    cost.begin()
    assert cost.steps == 0.0
    at(10.0, report(3))
    at(11.0, report(4))
    assert cost.steps == 0.0
    at(11.0, STARTED)
    at(14.0, report(1))
    assert cost.steps == pytest.approx(2.0)


def test_it_counts_in_steps_however_few_of_them_are_reported(run):
    cost, at = run
    at(0.0, STARTED)
    at(0.0, report(100))  # by an earlier driver
    cost.begin()
    for seconds, event in (
        (0.0, TrialResumed("t", "it promises most")),
        (30.0, report(150)),
        (40.0, report(200)),
    ):
        at(seconds, event)
    assert cost.steps == pytest.approx(30.0 / 0.2 - 50)
