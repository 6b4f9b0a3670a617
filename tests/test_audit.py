"""The audit: how many trials paused, how often that was wrong, what it saved."""

from __future__ import annotations

import pytest
from small_runs import MAXIMISE, PLAIN, trial

from automl_gpt_ray.audit import audit_of
from automl_gpt_ray.events import Decision
from automl_gpt_ray.records import History, TrialState

STOPPED, DONE, RUNNING = TrialState.STOPPED, TrialState.COMPLETED, TrialState.RUNNING


def one(number, value, length, state):
    return trial(number, {**PLAIN.default, "eta": 0.01 + number / 100}, [value] * length, state)


def decided(number, action):
    return Decision(f"t{number}", action, "because", "rungs")


def test_nothing_paused_is_nothing_to_audit():
    history = History(MAXIMISE, (one(0, 0.5, 4, DONE),), (), 1, 0, 4)
    assert audit_of(history, [Decision("run", "finish", "enough", "budget")]) is None


@pytest.mark.parametrize(("value", "wrong"), [(0.9, 1), (0.4, 0)])
def test_an_audited_trial_that_comes_out_best_was_wrong_to_pause(value, wrong):
    trials = (one(0, 0.5, 1, STOPPED), one(1, 0.6, 2, STOPPED), one(2, value, 4, DONE), one(3, 0.3, 2, RUNNING))
    decisions = [decided(0, "pause"), decided(0, "stop"), decided(1, "pause"), decided(2, "audit"), decided(3, "audit")]
    found = audit_of(History(MAXIMISE, trials, (), 1, 0, 4), decisions)
    assert (found.paused, found.audited, found.wrong) == (2, 1, wrong)
    assert found.steps_saved == 3 + 2
    assert found.shortfall == pytest.approx(0.0 if wrong else 0.6 - 0.4)
    # Wilson's interval of one in one, and of none in one.
    assert (round(found.low, 3), round(found.high, 3)) == ((0.207, 1.0) if wrong else (0.0, 0.793))
