"""Records: comparing values, reading histories and predicted logs."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest

from automl_gpt_ray.events import ADAPTER, AdviceGiven
from automl_gpt_ray.records import (
    History,
    LogPoint,
    Message,
    Objective,
    Observation,
    PredictedLog,
    Prompt,
    Proposal,
    TrialRecord,
    TrialState,
    Usage,
    config_key,
)

NAN = math.nan
UP, DOWN = Objective("accuracy", "max"), Objective("loss", "min")


@pytest.mark.parametrize(
    ("a", "b", "up", "down"),
    [
        (0.9, 0.8, True, False),
        (0.8, 0.9, False, True),
        (0.8, 0.8, False, False),
        (0.0, None, True, True),
        (0.0, NAN, True, True),
        (None, 0.0, False, False),
        (NAN, 0.0, False, False),
        (NAN, None, False, False),
        (math.inf, 0.0, False, False),
        (-math.inf, 0.0, False, False),
        (0.0, math.inf, True, True),
    ],
)
def test_better(a, b, up, down):
    assert UP.better(a, b) is up
    assert DOWN.better(a, b) is down


def test_best():
    assert UP.best([None, 0.1, NAN, 0.3, 0.2]) == 0.3
    assert DOWN.best([None, 0.1, NAN, 0.3, 0.2]) == 0.1
    assert UP.best([None, NAN]) is None
    assert UP.best([]) is None


LOG = PredictedLog("accuracy", (LogPoint(2, 0.5, 0.4, 0.6), LogPoint(6, 0.9, 0.8, 1.0)), "language")


@pytest.mark.parametrize(
    ("step", "value", "low", "high"),
    [(1, 0.5, 0.4, 0.6), (2, 0.5, 0.4, 0.6), (3, 0.6, 0.5, 0.7), (6, 0.9, 0.8, 1.0), (9, 0.9, 0.8, 1.0)],
)
def test_predicted_log_between_and_beyond_its_points(step, value, low, high):
    point = LOG.at(step)
    assert (point.step, point.value, point.low, point.high) == (step, *map(pytest.approx, (value, low, high)))


def test_predicted_log_final():
    assert LOG.final.step == 6


def trial(name, *values, state=TrialState.COMPLETED):
    seen = [Observation(i + 1, {} if v is None else {"accuracy": v}, float(i)) for i, v in enumerate(values)]
    return TrialRecord(name, Proposal(name, {}, "why", "default"), tuple(seen), state)


def test_value_is_the_best_finite_and_the_curve_keeps_nan():
    record = trial("a", 0.5, NAN, None, 0.4)
    assert record.value(UP) == 0.5
    assert [s for s, _ in record.curve("accuracy")] == [1, 2, 4]
    assert math.isnan(record.curve("accuracy")[1][1])
    assert (record.last_step, record.seconds) == (4, 3.0)


def test_a_trial_that_has_not_reported():
    record = trial("a")
    assert (record.value(UP), record.last_step, record.seconds) == (None, 0, 0.0)


def test_history_best_is_the_earliest_on_a_tie():
    history = History(UP, (trial("nan", NAN), trial("a", 0.7), trial("b", 0.7), trial("c", 0.6)))
    assert history.best.id == "a"
    assert History(UP, (trial("nan", NAN),)).best is None


def test_states():
    history = History(UP, (trial("a", state=TrialState.PAUSED), trial("b", state=TrialState.FAILED)))
    assert [t.id for t in history.in_state(TrialState.FAILED, TrialState.STOPPED)] == ["b"]
    assert [s for s in TrialState if s.ended] == [TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED]


def test_a_conversation_grows_at_its_end():
    prompt = Prompt((Message("system", "s"),)).then("reply", "again")
    assert [(m.role, m.content) for m in prompt.messages] == [
        ("system", "s"),
        ("assistant", "reply"),
        ("user", "again"),
    ]


def test_usage_adds_up():
    assert (Usage(1, 2) + Usage(10, 20)).total == 33


def test_the_key_of_a_proposal_is_no_part_of_it():
    proposal, same = (Proposal("p", {"b": 0.1 + 0.2, "a": 2.0}, "why", "local") for _ in range(2))
    before = ADAPTER.dump_json(AdviceGiven("local", 1, (proposal,)))
    assert proposal.key == config_key({"a": 2, "b": 0.3}) == '{"a": 2, "b": 0.3}'
    assert proposal == same
    assert ADAPTER.dump_json(AdviceGiven("local", 1, (proposal,))) == before
    assert replace(proposal, config={"a": 3}).key == '{"a": 3}'
    assert pickle.loads(pickle.dumps(proposal)) == proposal
