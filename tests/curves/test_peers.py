"""The forecast from peers: quantiles of what trials reported, at steps that enough of them reached."""

from __future__ import annotations

import math

import pytest

from automl_gpt_ray.curves.peers import peer_forecast
from automl_gpt_ray.records import History, Objective, Observation, Proposal, TrialRecord


def history(*curves, max_step=8):
    trials = tuple(
        TrialRecord(f"t{i}", Proposal(f"p{i}", {}, "r", "x"), tuple(Observation(s, {"a": v}, 1.0) for s, v in curve))
        for i, curve in enumerate(curves)
    )
    return History(Objective("a", "max"), trials, (), 1, 0, max_step)


def curve(value, last=8):
    return [(step, value) for step in range(1, last + 1)]


def test_nothing_before_three_peers():
    assert peer_forecast(history()) is None
    assert peer_forecast(history(curve(0.1), curve(0.2))) is None


def test_median_and_quantiles():
    log = peer_forecast(history(*(curve(v / 10) for v in range(11))))
    assert [p.step for p in log.points] == [2, 4, 6, 8]
    for point in log.points:
        assert (point.low, point.value, point.high) == pytest.approx((0.1, 0.5, 0.9))
    assert (log.metric, log.source) == ("a", "peers")


def test_only_steps_that_three_reached():
    log = peer_forecast(history(curve(0.1), curve(0.2), curve(0.3, 5)))
    assert [p.step for p in log.points] == [2, 4]


def test_nan_is_no_peer():
    assert peer_forecast(history(curve(0.1), curve(0.2), curve(math.nan))) is None
    log = peer_forecast(history(curve(0.1), curve(0.2), curve(math.inf), curve(0.3)))
    assert log.final.high < 1


def test_a_training_of_one_step():
    log = peer_forecast(history(*(curve(v, 1) for v in (0.1, 0.2, 0.3)), max_step=1))
    assert [(p.step, p.value) for p in log.points] == [(1, 0.2)]


def test_other_metrics_are_no_evidence():
    assert peer_forecast(History(Objective("b", "max"), history(*[curve(0.1)] * 5).trials, (), 1, 0, 8)) is None
