"""Promotion by rungs: who goes on, who waits, who is promoted later."""

from __future__ import annotations

import pytest
from small_runs import MAXIMISE, MINIMISE, PLAIN, trial

from automl_gpt_ray.promotion import Promotion
from automl_gpt_ray.records import History, TrialState

PAUSED, RUNNING = TrialState.PAUSED, TrialState.RUNNING
RULE = Promotion(max_step=20, grace=2, eta=3.0)


def at(number, value, step=2, state=PAUSED, metric="accuracy"):
    """A trial that stands at `step` and reported `value` at each of its steps."""
    return trial(number, {**PLAIN.default, "eta": 0.01 + number / 100}, [value] * step, state, metric=metric)


def history(*trials, objective=MAXIMISE):
    return History(objective, trials, (), 50, 0, 20)


@pytest.mark.parametrize(
    ("rule", "rungs"),
    [
        (RULE, (2, 6)),
        (Promotion(52, 2, 3.0), (2, 6, 18)),
        (Promotion(10, 1, 2.0), (1, 2, 4)),
        (Promotion(3, 3), ()),
        (Promotion(4, 1, 1.01), (1, 2, 3)),
    ],
)
def test_rungs_lie_well_below_a_full_training(rule, rungs):
    assert rule.rungs == rungs


def test_the_best_third_goes_on_and_nobody_of_two():
    two = history(at(0, 0.5), at(1, 0.6, state=RUNNING))
    assert not RULE.may_go_on(two, two.trials[1])
    three = history(*two.trials, at(2, 0.4))
    assert RULE.may_go_on(three, three.trials[1])
    assert not RULE.may_go_on(three, three.trials[0])


def test_a_paused_trial_is_promoted_once_it_belongs_to_the_best():
    few = history(at(0, 0.6), at(1, 0.5))
    assert RULE.promotable(few) == []
    more = history(*few.trials, at(2, 0.4))
    assert [t.id for t in RULE.promotable(more)] == ["t0"]


def test_higher_rungs_go_first_and_what_has_gone_on_is_not_promoted_again():
    low = [at(n, 0.1 * n) for n in range(6)]
    high = [at(6 + n, 0.7 + 0.05 * n, step=6) for n in range(3)]
    found = [t.id for t in RULE.promotable(history(*low, *high))]
    # Nine reached the first rung: its best three are the three that went on.
    assert found == ["t8"]


def test_nan_is_worse_than_all_and_small_may_be_better():
    broken = history(*(at(n, float("nan")) for n in range(3)))
    assert RULE.promotable(broken) == []
    losses = [at(n, float(n), metric="log_loss") for n in range(3)]
    assert [t.id for t in RULE.promotable(history(*losses, objective=MINIMISE))] == ["t0"]


def test_a_step_that_was_not_reported_is_no_rung_reached():
    skipped = trial(9, PLAIN.default, [0.9], PAUSED)
    assert RULE.promotable(history(at(0, 0.1), at(1, 0.2), skipped)) == []
