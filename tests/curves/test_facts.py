"""Curve facts: each computed from the curve it is about, NaN and short curves included."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import MAXIMISE, MINIMISE, PLAIN, proposed, trial

from automl_gpt_ray.curves.facts import facts_of
from automl_gpt_ray.records import History, LogPoint, Observation, PredictedLog, TrialRecord

CONFIG = dict(PLAIN.default)


def facts(values, others=(), objective=MAXIMISE, log=None, train=None):
    made = trial(0, CONFIG, values, metric=objective.metric)
    if train:
        both = ({objective.metric: v, f"train_{objective.metric}": t} for v, t in zip(values, train, strict=True))
        made = replace(made, observations=tuple(Observation(i, m, i) for i, m in enumerate(both, 1)))
    if log:
        made = replace(made, proposal=replace(made.proposal, predicted_log=log))
    peers = [trial(i, CONFIG, other, metric=objective.metric) for i, other in enumerate(others, 1)]
    return facts_of(made, History(objective, (made, *peers), max_step=20))


def test_a_line_has_its_slope_and_no_plateau():
    found = facts([0.1, 0.2, 0.3, 0.4])
    assert found.slope == pytest.approx(0.1)
    assert (found.step, found.value, found.best, found.best_step) == (4, 0.4, 0.4, 4)
    assert (found.plateau, found.spikes, found.missing) == (0, 0, 0)


def test_the_slope_is_of_the_last_points():
    assert facts([0.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]).slope == pytest.approx(0.0)


def test_a_plateau_counts_from_the_last_improvement_in_the_metrics_own_direction():
    assert facts([0.5, 0.9, 0.9, 0.9, 0.9]).plateau == 3
    assert facts([0.9, 0.5, 0.5, 0.5], objective=MINIMISE).plateau == 2
    assert facts([0.9, 0.5, 0.5, 0.5], objective=MINIMISE).best == 0.5


def test_a_spike_is_one_value_off_its_neighbours():
    calm = [0.50, 0.52, 0.53, 0.55, 0.56, 0.58, 0.59, 0.61]
    assert facts(calm).spikes == 0
    assert facts([*calm[:4], 0.1, *calm[4:]]).spikes == 1


def test_nan_is_counted_and_the_rest_stands():
    found = facts([0.1, math.nan, 0.3, math.inf])
    assert (found.missing, found.best, found.best_step) == (2, 0.3, 3)
    assert math.isinf(found.value)
    assert facts([math.nan]).rank is None


def test_nothing_reported_has_no_facts():
    found = facts_of(TrialRecord("t", proposed(CONFIG)), History(MAXIMISE, max_step=4))
    assert (found.step, found.value, found.best, found.slope, found.rank, found.surprise) == (0, *[None] * 5)


def test_the_gap_is_training_minus_validation_where_both_are_told():
    assert facts([0.5, 0.6], train=[0.5, 0.9]).gap == pytest.approx(0.3)
    assert facts([0.5, 0.6]).gap is None


def test_the_rank_counts_those_that_came_as_far_by_what_they_had_there():
    found = facts([0.3, 0.4], [[0.9], [0.1, 0.5], [0.1, 0.2, 0.9], [math.nan, math.nan]])
    assert (found.rank, found.peers) == (2, 4)


@pytest.mark.parametrize(("objective", "better"), [(MAXIMISE, 0.7), (MINIMISE, 0.3)])
def test_a_surprise_is_in_half_widths_of_the_predicted_interval(objective, better):
    log = PredictedLog(objective.metric, (LogPoint(2, 0.5, 0.4, 0.6), LogPoint(20, 0.5, 0.4, 0.6)), "language")
    assert facts([0.5, better], log=log, objective=objective).surprise == pytest.approx(2.0)
    sure = PredictedLog(objective.metric, (LogPoint(2, 0.5, 0.5, 0.5),), "language")
    assert facts([0.5, better], log=sure, objective=objective).surprise is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_any_numbers_have_facts(values):
    found = facts(values)
    assert found.missing == sum(1 for v in values if not math.isfinite(v))
    assert 0 <= found.plateau <= len(values)
    assert found.best is None or found.best == max(v for v in values if math.isfinite(v))
