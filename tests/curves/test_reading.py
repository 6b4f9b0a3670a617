"""Histories as contexts, and forecasts as predicted logs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from small_runs import CONDITIONAL, PLAIN, made_history, trial

from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.last_value import LastValue
from automl_gpt_ray.curves.predictor import Forecasts
from automl_gpt_ray.curves.reading import Reader, context_of, predicted_logs, untried
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


def test_a_reader_gives_the_same_context_until_a_curve_changes():
    history = made_history(PLAIN, 6)
    reader = Reader(PLAIN)
    first = reader.context(history)
    assert reader.context(dataclasses.replace(history, version=history.version + 1)) is first
    assert reader.context(dataclasses.replace(history, max_step=history.max_step + 1)) is not first
    shorter = dataclasses.replace(history, trials=history.trials[:-1])
    assert [c.key for c in reader.context(shorter).curves] == [t.id for t in shorter.trials]
    running = trial(7, PLAIN.default, (0.1,), TrialState.RUNNING)
    further = trial(7, PLAIN.default, (0.1, 0.4), TrialState.RUNNING)
    before, after = (
        reader.context(dataclasses.replace(history, trials=(*history.trials, t))) for t in (running, further)
    )
    assert (before.curves[-1].last_step, after.curves[-1].last_step) == (1, 2)


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


class _Wild:
    """Forecasts from far below zero to far above one."""

    name = "wild"

    def predict(self, context, queries):
        n = len(queries)
        low, middle, high = (np.full(n, value) for value in (-3.0, 0.5, 7.0))
        return Forecasts(low, middle, high, middle, high)


def test_forecasts_keep_to_the_range_of_a_known_metric_unless_reports_do_not():
    def told(metric, mode, values):
        running = trial(1, PLAIN.default, values, TrialState.RUNNING, metric=metric)
        context = context_of(History(Objective(metric, mode), (running,), max_step=8), PLAIN)
        point = predicted_logs(_Wild(), context, context.curves)[0].final
        return point.low, point.value, point.high

    assert told("accuracy", "max", (0.4, 0.6)) == (0.0, 0.5, 1.0)
    assert told("log_loss", "min", (0.4, 0.6)) == (0.0, 0.5, 7.0)
    assert told("accuracy", "max", (40.0, 60.0)) == (-3.0, 0.5, 7.0)  # somebody's own, in per cent
    assert told("reward", "max", (0.4,)) == (-3.0, 0.5, 7.0)
