"""The planner: new and paused trials in one pool."""

from __future__ import annotations

import pytest
from small_runs import MAXIMISE, PLAIN, proposed, trial

from automl_gpt_ray.planner import Planner
from automl_gpt_ray.records import History, TrialState

PAUSED, RUNNING, DONE = TrialState.PAUSED, TrialState.RUNNING, TrialState.COMPLETED
STEPS = 20


def rising(top, length):
    return [top * (1 - 0.5**step) for step in range(1, length + 1)]


def history(*trials, pending=()):
    return History(MAXIMISE, tuple(trials), tuple(pending), 50, 0, STEPS)


def config(eta, depth=6):
    return {**PLAIN.default, "eta": eta, "depth": depth}


def several(last=PAUSED):
    """Four mediocre trials, one that climbs far above them, paused."""
    poor = [trial(n, config(0.001 * (n + 1)), rising(0.3 + n / 100, 20), DONE) for n in range(4)]
    return [*poor, trial(9, config(0.1), rising(0.9, 6), last)]


@pytest.fixture
def planner():
    return Planner(PLAIN, STEPS)


def test_the_first_trials_start_without_competition(planner):
    ready = [proposed(config(0.2), 1), proposed(config(0.3), 2, "default")]
    assert planner.next(history(), ready).proposal == ready[0]
    assert planner.next(history(*several()), ready).proposal == ready[1]
    assert planner.next(history(), ()) is None


def test_a_trial_goes_on_while_few_have_reported(planner):
    few = [trial(1, config(0.1), rising(0.1, 3), RUNNING), trial(2, config(0.2), rising(0.9, 3), PAUSED)]
    assert planner.after(history(*few), "t1", ()).trial == "t1"


def test_a_promising_paused_trial_goes_before_a_poor_new_one(planner):
    poor = proposed(config(0.0015), 1)
    assert planner.next(history(*several()), [poor]).trial == "t9"


def test_a_poor_trial_makes_way_for_a_promising_one(planner):
    trials = [*several(), trial(10, config(0.002), rising(0.3, 4), RUNNING)]
    found = planner.after(history(*trials), "t10", ())
    assert found.trial == "t9"
    assert "expected improvement" in found.reason


def test_switching_must_be_worth_its_cost():
    trials = [*several(), trial(10, config(0.11), rising(0.88, 6), RUNNING)]
    free = Planner(PLAIN, STEPS).after(history(*trials), "t10", ())
    dear = Planner(PLAIN, STEPS, switch_cost=1e6).after(history(*trials), "t10", ())
    assert dear.trial == "t10"
    assert free.trial in ("t9", "t10")


def test_what_runs_has_ended_or_diverged_cannot_go_on(planner):
    trials = several(last=RUNNING)
    assert planner.next(history(*trials), ()) is None
    broken = trial(11, config(0.3), [0.5, float("nan")], PAUSED)
    assert planner.next(history(*trials, broken), ()) is None


def test_it_looks_at_trials_once_a_slice(planner):
    assert planner.slice == 2
    assert [step for step in range(1, 7) if planner.is_milestone(step)] == [2, 4, 6]
