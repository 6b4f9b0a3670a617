"""What deterministic rules revise, and what they leave alone."""

from __future__ import annotations

import math

import pytest

from automl_gpt_ray.parameters import FloatParameter
from automl_gpt_ray.records import (
    History,
    LogPoint,
    Objective,
    Observation,
    PredictedLog,
    Proposal,
    TrialRecord,
)
from automl_gpt_ray.remedy import remedy
from automl_gpt_ray.revision import RevisionRule
from automl_gpt_ray.space import SearchSpace

SPACE = SearchSpace(
    {
        "learning_rate": FloatParameter(low=1e-4, high=1.0, log=True, default=0.1),
        "dropout": FloatParameter(low=0.0, high=0.5, default=0.1),
    }
)
RULE = RevisionRule(hot=("learning_rate", "dropout"))
CONFIG = dict(SPACE.default)


def trial(values, losses=(), name="t", config=None, log=None, metric="accuracy"):
    seen = []
    for step, value in enumerate(values, 1):
        metrics = {metric: value} | ({"train_loss": losses[step - 1]} if losses else {})
        seen.append(Observation(step, metrics, float(step)))
    return TrialRecord(name, Proposal(f"p-{name}", config or CONFIG, "r", "s", log), tuple(seen))


def found(first, *peers, rule=RULE, guess=None, mode="max", metric="accuracy"):
    return remedy(first, History(Objective(metric, mode), (first, *peers), max_step=10), SPACE, rule, guess)


@pytest.mark.parametrize(
    ("values", "losses", "back_to"),
    [
        ((0.5, 0.6, math.nan), (1.0, 0.9, 0.9), 2),
        ((math.nan,), (), 0),
        ((0.5, 0.6, 0.6), (1.0, 0.9, math.inf), 2),
        ((0.5, 0.6, 0.2), (1.0, 0.9, 2.5), 2),
        ((0.5, 0.1), (1.0, 2.5), 0),
    ],
)
def test_a_trial_that_diverges_goes_back_with_a_tenth_of_its_rate(values, losses, back_to):
    remedied = found(trial(values, losses))
    assert remedied.changes == {"learning_rate": pytest.approx(0.01)}
    assert remedied.back_to == back_to
    assert "0.1 -> 0.01" in remedied.reason


@pytest.mark.parametrize(
    ("values", "losses"),
    [
        ((0.5, 0.6, 0.7), (1.0, 0.9, 0.8)),
        ((0.5, 0.6, 0.59), (1.0, 0.9, 0.8)),  # overfits
        ((0.5, 0.6, 0.7), (1.0, 0.9, 2.5)),  # its loss is odd, but it is as good as ever
        ((0.9, 0.9, 0.9, 0.9), (0.1, 0.1, 0.1, 0.1)),  # a plateau
        ((0.5, 0.2, 0.1), ()),  # no loss to tell why
        ((0.5, 0.5, 0.5), (0.0, 0.0, 0.0)),
        ((0.1, 0.1), (2.3, 2.3)),
        ((), ()),
    ],
)
def test_what_merely_goes_badly_is_left_alone(values, losses):
    assert found(trial(values, losses)) is None


def test_a_trial_that_learns_nothing_is_known_by_a_guess_a_prediction_or_its_peers():
    stuck = trial((0.1, 0.1, 0.1), (9.0, 2.3, 2.3))
    assert found(stuck) is None, "perhaps nothing can be learned"
    assert "a guess" in found(stuck, guess=0.1).reason
    assert found(stuck, guess=0.05) is None
    log = PredictedLog("accuracy", (LogPoint(1, 0.6, 0.4, 0.8),), "language")
    assert "predicted" in found(trial((0.1,) * 3, (9.0, 2.3, 2.3), log=log)).reason
    peers = [trial((0.5, 0.6, value), (1.0, 0.9, 0.8), name=f"p{value}") for value in (0.7, 0.75, 0.8)]
    assert "peers" in found(stuck, *peers).reason
    assert found(stuck, *peers[:2]) is None
    learns = trial((0.1, 0.1, 0.1), (9.0, 2.3, 2.0))
    assert found(learns, *peers, guess=0.1) is None


def test_smaller_may_be_better():
    worse = trial((2.0, 2.0, 9.0), (1.0, 0.9, 9.0), metric="log_loss")
    assert found(worse, mode="min", metric="log_loss").back_to == 0
    assert (
        "a guess"
        in found(trial((2.3,) * 3, (2.3,) * 3, metric="log_loss"), mode="min", metric="log_loss", guess=2.3).reason
    )


def test_nothing_is_asked_that_may_not_be():
    lost = trial((math.nan,))
    assert found(lost, rule=RevisionRule(hot=("dropout",))) is None
    assert found(trial((math.nan,), config={**CONFIG, "learning_rate": 1e-4})) is None
    mild = found(lost, rule=RevisionRule(hot=("learning_rate",), factor=2.0))
    assert mild.changes == {"learning_rate": pytest.approx(0.05)}
