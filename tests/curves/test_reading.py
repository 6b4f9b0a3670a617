"""Histories as contexts, and forecasts as predicted logs."""

from __future__ import annotations

import math

import numpy as np
from small_runs import CONDITIONAL, PLAIN, made_history, trial

from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.last_value import LastValue
from automl_gpt_ray.curves.reading import context_of, predicted_logs, untried
from automl_gpt_ray.records import History, Objective, TrialState


def test_a_context_holds_every_trial():
    history = made_history(PLAIN, 12)
    context = context_of(history, PLAIN)
    assert [c.key for c in context.curves] == [t.id for t in history.trials]
    for curve, record in zip(context.curves, history.trials, strict=True):
        if record.failure is None:
            assert curve.last_step == record.last_step
        np.testing.assert_array_equal(curve.vector, PLAIN.to_vector(record.config))


def test_a_failed_trial_has_diverged():
    dead = trial(1, PLAIN.default, (), TrialState.FAILED, "oom")
    waiting = trial(2, PLAIN.default, (), TrialState.RUNNING)
    context = context_of(History(Objective("accuracy", "max"), (dead, waiting), max_step=4), PLAIN)
    assert [c.diverged for c in context.curves] == [True, False]


def test_strangers_are_left_out():
    stranger = trial(1, {"eta": 99.0}, (0.1,))
    assert context_of(History(Objective("accuracy", "max"), (stranger,), max_step=4), PLAIN).curves == ()


def test_logs_end_at_the_last_step_and_lie_ahead():
    history = made_history(CONDITIONAL, 12)
    context = context_of(history, CONDITIONAL)
    curves = [*context.curves, untried("new", CONDITIONAL.default, CONDITIONAL)]
    for predictor in (LastValue(), FreezeThaw()):
        logs = predicted_logs(predictor, context, curves)
        for curve, log in zip(curves, logs, strict=True):
            assert (log is None) == (curve.last_step == history.max_step)
            if log is not None:
                assert log.source == predictor.name
                assert log.final.step == history.max_step
                assert all(p.step > curve.last_step for p in log.points)
                assert all(p.low <= p.value <= p.high and math.isfinite(p.value) for p in log.points)
