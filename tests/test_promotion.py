"""Promotion by rungs: who goes on, who waits, who is promoted later."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from small_runs import MAXIMISE, MINIMISE, PLAIN, trial

from automl_gpt_ray.lineage import Lineage, Origin
from automl_gpt_ray.promotion import Promotion, passes
from automl_gpt_ray.records import History, Observation, TrialState

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


@pytest.mark.parametrize(("objective", "gone"), [(MAXIMISE, math.inf), (MINIMISE, -math.inf)])
def test_an_infinity_in_the_good_direction_is_no_better(objective, gone):
    three = [at(n, value, metric=objective.metric) for n, value in enumerate((gone, 0.5, 0.6))]
    found = [t.id for t in RULE.promotable(history(*three, objective=objective))]
    assert found == ["t2" if objective is MAXIMISE else "t1"]


def test_a_step_that_was_not_reported_is_no_rung_reached():
    skipped = trial(9, PLAIN.default, [0.9], PAUSED)
    assert RULE.promotable(history(at(0, 0.1), at(1, 0.2), skipped)) == []


def sparse(number, points, state=PAUSED):
    """A trial that reported the (step, value) of `points`; a value of None stands for a report without the metric."""
    seen = (Observation(step, {} if value is None else {"accuracy": value}, 1.0) for step, value in points)
    return replace(at(number, 0.0, 0, state), observations=tuple(seen))


@pytest.mark.parametrize("points", [[(5, 0.1)], [(2, None), (3, 0.1)]])
def test_a_trial_is_judged_by_its_first_value_beyond_a_rung(points):
    late = sparse(9, points, RUNNING)
    run = history(at(0, 0.5, 6), at(1, 0.6, 6), at(2, 0.4, 6), late)
    assert RULE.judges(late, "accuracy")
    assert not RULE.may_go_on(run, late)


def test_it_stands_at_a_rung_once_and_not_while_nothing_was_measured():
    assert not RULE.judges(sparse(9, [(1, 0.1)]), "accuracy")
    assert not RULE.judges(sparse(9, [(1, 0.1), (2, None)]), "accuracy")
    assert not RULE.judges(sparse(9, [(3, 0.1), (5, 0.2)]), "accuracy")
    assert RULE.judges(sparse(9, [(3, 0.1), (8, 0.2)]), "accuracy")


def test_sparse_reports_are_promoted_as_dense_ones_are():
    run = history(*(sparse(n, [(5, 0.1 * n)]) for n in range(3)))
    assert [t.id for t in RULE.promotable(run)] == ["t2"]


def test_a_clone_is_not_judged_where_its_parent_had_been():
    clone = replace(sparse(9, [(4, 0.9)], RUNNING), lineage=Lineage(Origin("t0", 3)))
    run = history(at(0, 0.5), at(1, 0.4), at(2, 0.3), clone)
    assert not RULE.judges(clone, "accuracy")
    assert [t.id for t in RULE.promotable(run)] == ["t0"]


@pytest.mark.parametrize(
    ("steps", "expected"), [([10], True), ([9], False), ([9, 11], True), ([10, 11], False), ([7, 35], True)]
)
def test_milestones_are_passed_between_two_reports(steps, expected):
    assert passes(sparse(9, [(step, 0.5) for step in steps]), 10) is expected
