"""The planner: what trials, paused or running, and proposals promise."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from small_runs import MAXIMISE, PLAIN, proposed, trial

from automl_gpt_ray.planner import SOURCE, Planner
from automl_gpt_ray.records import History, TrialState

PAUSED, RUNNING, DONE, STOPPED = TrialState.PAUSED, TrialState.RUNNING, TrialState.COMPLETED, TrialState.STOPPED
STEPS = 20
POOR = proposed({**PLAIN.default, "eta": 0.0015}, 1)


def rising(top, length):
    return [top * (1 - 0.5**step) for step in range(1, length + 1)]


def history(*trials, pending=(POOR,)):
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


def test_a_promising_paused_trial_promises_more_than_a_poor_new_one(planner):
    ranking = planner.rank(history(*several()))
    assert ranking.trials["t9"] > ranking.proposals[POOR.id]
    assert ranking.version == 50


def test_a_poor_trial_promises_less_than_a_good_one_paused_or_running(planner):
    poor = trial(10, config(0.002), rising(0.3, 4), RUNNING)
    for state in (PAUSED, RUNNING):
        ranking = planner.rank(history(*several(state), poor))
        assert ranking.trials["t9"] > ranking.trials["t10"]
        assert ranking.finals["t9"] > ranking.finals["t10"]
        assert ranking.finals["t9"] == pytest.approx(0.9, abs=0.1)


def test_what_has_ended_or_diverged_promises_nothing(planner):
    broken = trial(11, config(0.3), [0.5, math.nan], PAUSED)
    gone = trial(12, config(0.2), rising(0.9, 3), STOPPED)
    full = trial(13, config(0.25), rising(0.9, STEPS), RUNNING)
    ranking = planner.rank(history(*several(), broken, gone, full))
    assert set(ranking.trials) == {"t9"}


def test_a_budget_that_covers_little_speaks_against_new_trials():
    fresh = proposed(config(0.1, depth=7), 2)
    run = history(*several(), pending=(fresh,))
    rich, poor = Planner(PLAIN, STEPS).rank(run), Planner(PLAIN, STEPS, lambda history: 4.0).rank(run)
    before, after = (r.trials["t9"] / r.proposals[fresh.id] for r in (rich, poor))
    assert after > before


def test_starts_that_cost_much_lower_what_a_short_budget_buys():
    run, left = history(*several()), lambda history: 15.0
    free = Planner(PLAIN, STEPS, left).rank(run)
    dear = Planner(PLAIN, STEPS, left, lambda: 40.0).rank(run)
    assert dear.trials["t9"] < free.trials["t9"]


def test_forecasts_are_made_of_those_asked_about(planner):
    ranking = planner.rank(history(*several(RUNNING)), asked=["t9", "t0", "nobody"])
    assert set(ranking.forecasts) == {"t9"}  # t0 is at its end
    log = ranking.forecasts["t9"]
    assert log.source == SOURCE
    assert log.points[0].step > 6
    assert log.final.step == STEPS
    assert {7, 8} <= {p.step for p in log.points}  # near ones, soon to be scored
    assert all(p.low <= p.value <= p.high for p in log.points)


def test_a_proposal_from_outside_the_space_is_left_out(planner):
    outside = proposed({**PLAIN.default, "eta": 99.0}, 3)
    assert set(planner.rank(history(*several(), pending=(POOR, outside))).proposals) == {POOR.id}


def test_the_model_is_fitted_anew_where_trials_report_few_of_their_steps():
    def sparse(number, count):
        made = trial(number, config(0.001 * (number + 1)), rising(0.3 + number / 100, count))
        return replace(made, observations=tuple(replace(o, step=10 * o.step) for o in made.observations))

    planner = Planner(PLAIN, 10 * STEPS)
    first = planner.model(replace(history(sparse(0, 1)), max_step=10 * STEPS))
    second = planner.model(replace(history(*(sparse(n, 6) for n in range(4))), max_step=10 * STEPS))
    assert second.scale != first.scale


def test_the_model_is_kept_until_enough_was_seen(planner):
    first = planner.model(history(*several()))
    more = trial(9, config(0.1), rising(0.9, 7), PAUSED)
    second = planner.model(history(*several()[:-1], more))
    assert second.process.theta.tolist() == first.process.theta.tolist()
    assert second.context.curves[-1].last_step == 7
