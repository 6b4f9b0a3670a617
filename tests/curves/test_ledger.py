"""The ledger: forecasts scored beside the naive ones, the gate, and the same state from the same events."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from automl_gpt_ray.curves import ledger as ledger_module
from automl_gpt_ray.curves.gate import MIN_TRIALS, Gate
from automl_gpt_ray.curves.ledger import Ledger
from automl_gpt_ray.curves.questions import BINS
from automl_gpt_ray.curves.scoring import covered, pinball, rank_correlation
from automl_gpt_ray.records import LogPoint, Objective, PredictedLog

T = 20


def final_of(number):
    return 0.5 + 0.02 * (number % 13)


def value_at(number, step):
    """A curve that rises from 0.2 to its own final, ever slower."""
    return 0.2 + (final_of(number) - 0.2) * (1 - math.exp(-step / 6)) / (1 - math.exp(-T / 6))


def log_of(value, step=T, source="oracle", metric="a", width=0.02):
    return PredictedLog(metric, (LogPoint(step, value, value - width, value + width),), source)


def play(ledger, numbers, at=4, sources=None, sign=1):
    """Run trials one after the other; after `at` steps each source says what the final will be."""
    for number in numbers:
        trial = f"t{number}"
        for step in range(1, T + 1):
            ledger.observe(trial, step, sign * value_at(number, step))
            if step == at:
                for source, guess in (sources or {}).items():
                    ledger.forecast(trial, log_of(sign * guess(number), source=source))
    return ledger


def wrong(number):
    return 0.1


def made(mode="max", count=30, **extra):
    sources = {"oracle": final_of, "wrong": wrong, **extra}
    return play(Ledger(Objective("a", mode), T), range(count), sources=sources, sign=1 if mode == "max" else -1)


@pytest.mark.parametrize("mode", ["max", "min"])
def test_only_who_beats_the_naive_ones_may_stop(mode):
    ledger = made(mode)
    assert ledger.may_stop("oracle")
    assert not ledger.may_stop("wrong")
    assert not ledger.may_stop("somebody else")
    assert ledger.gate("oracle").skill > 0.5
    assert ledger.gate("wrong").skill < 0


def test_too_few_trials_open_nothing():
    ledger = made(count=MIN_TRIALS - 1)
    assert not ledger.may_stop("oracle")
    assert ledger.gate("oracle").reason == f"{MIN_TRIALS - 1} of {MIN_TRIALS} trials scored"


def test_many_questions_about_few_trials_open_nothing():
    ledger = Ledger(Objective("a", "max"), T)
    for number in range(3):
        for step in range(1, T + 1):
            ledger.observe(f"t{number}", step, value_at(number, step))
            ledger.forecast(f"t{number}", log_of(final_of(number)))
    assert not ledger.may_stop("oracle")


def test_forecasts_before_the_first_report_are_scored_but_open_nothing():
    ledger = Ledger(Objective("a", "max"), T)
    for number in range(20):
        ledger.forecast(f"t{number}", log_of(final_of(number)))
        play(ledger, [number])
    (score,) = ledger.scores()
    assert (score.observed, score.questions) == (BINS[0], 20)
    assert not ledger.may_stop("oracle")


def test_a_gate_stays_open_until_it_is_worse_than_naive():
    gate = Gate()
    rng = np.random.default_rng(0)
    naive = 0.1 + 0.01 * rng.random((20, 2))
    gate = gate.next(naive[:, 0] - 0.05, naive)
    assert gate.open
    noisy = naive[:, 0] - 0.001 + 0.02 * rng.standard_normal(20)
    noisy -= noisy.mean() - (naive.mean(axis=0).min() - 0.0005)
    kept = gate.next(noisy, naive)
    assert kept.open
    assert not Gate().next(noisy, naive).open
    assert not kept.next(naive[:, 0] + 0.01, naive).open


def test_an_open_gate_shuts_when_forecasts_turn_bad():
    def turns(number):
        return final_of(number) if number < 20 else 0.0

    assert made(count=20, turns=turns).may_stop("turns")
    assert not made(count=40, turns=turns).may_stop("turns")


def test_scores_stand_beside_the_naive_ones():
    score = next(s for s in made().scores() if s.source == "oracle")
    assert score.observed == "up to 25 %"
    assert (score.questions, score.trials, score.coverage) == (30, 30, 1.0)
    assert score.pinball < min(score.naive.values())
    assert set(score.naive) == {"last_value", "median_curve"}
    assert score.rank == pytest.approx(1.0)
    assert score.naive_rank > 0.99  # these curves do not cross


def test_each_share_observed_is_its_own_bin():
    ledger = Ledger(Objective("a", "max"), T)
    for step in range(1, T):
        ledger.forecast("t", log_of(0.5))
        ledger.observe("t", step, value_at(1, step))
    ledger.observe("t", T, value_at(1, T))
    assert {s.observed: s.questions for s in ledger.scores()} == dict(zip(BINS, (1, 2, 3, 5, 8), strict=True))


def test_divergence_is_the_worst_value_not_an_accident():
    ledger = Ledger(Objective("a", "max"), T)
    play(ledger, range(5))
    ledger.forecast("bad", log_of(0.9))
    ledger.observe("bad", 1, 0.3)
    ledger.observe("bad", 2, math.nan)
    ledger.observe("bad", T, math.nan)
    (score,) = ledger.scores()
    assert math.isfinite(score.pinball)
    assert score.pinball > 0.3
    assert score.coverage == 0.0


def test_a_step_without_a_report_is_read_between_its_neighbours():
    ledger = Ledger(Objective("a", "max"), T)
    ledger.observe("t", 2, 0.2)
    ledger.forecast("t", log_of(0.5, step=5))
    ledger.observe("t", 8, 0.8)
    ledger.observe("other", 1, 0.0)
    (score,) = ledger.scores()
    assert score.coverage == 1.0  # 0.5, halfway


def test_what_is_no_forecast_is_not_scored():
    ledger = Ledger(Objective("a", "max"), T)
    ledger.observe("t", 5, 0.5)
    ledger.forecast("t", log_of(0.5, step=5))
    ledger.forecast("t", log_of(0.5, metric="other"))
    ledger.forecast("t", log_of(math.nan))
    for step in range(6, T + 1):
        ledger.observe("t", step, 0.5)
    assert ledger.scores() == []


def test_a_restarted_trial_is_scored_once():
    ledger = Ledger(Objective("a", "max"), T)
    for _ in range(2):
        ledger.observe("t", 1, 0.1)
        ledger.observe("t", 2, 0.2)
    ledger.forecast("t", log_of(0.4, step=4))
    for step in (3, 4, 3, 4):
        ledger.observe("t", step, step / 10)
    assert [s.questions for s in ledger.scores()] == [1]


@pytest.mark.parametrize("kept", [7, 40, 5000])
def test_gates_go_by_the_latest_questions_trial_by_trial(monkeypatch, kept):
    monkeypatch.setattr(ledger_module, "KEPT", kept)
    ledger = Ledger(Objective("a", "max"), T)
    ledger.forecast("before", log_of(0.4, source="oracle"))
    for number in range(30):
        play(ledger, [number], at=3 + number % 5, sources={"oracle": final_of, "wrong": wrong})
    ledger.observe("before", T, 0.5)
    ledger.forecast("late", log_of(0.4, source="oracle"))
    ledger.observe("late", T, 0.7)
    for source, questions in ledger.answered.items():
        observed = [q for q in questions if q.observed]
        found = ledger._tallies[source].losses(ledger._scale())
        names = list(dict.fromkeys(q.trial for q in observed))
        assert len(questions) <= kept
        assert len(found) == len(names)
        for name, losses in zip(names, found, strict=True):
            mine = [q for q in observed if q.trial == name]
            answers, truth = np.array([q.answer for q in mine]), np.array([q.truth for q in mine])
            scale = ledger._scale()
            assert losses[0] == pytest.approx(pinball(scale.apply(answers), scale.apply(truth)).mean())


def test_saved_and_read_back():
    ledger = made(count=12)
    ledger.observe("bad", 1, math.nan)
    ledger.forecast("t-open", log_of(0.7))
    again = Ledger.from_dict(json.loads(json.dumps(ledger.to_dict(), allow_nan=False)))
    assert again.to_dict() == ledger.to_dict()
    assert again.scores() == ledger.scores()
    for each in (ledger, again):
        play(each, range(20, 30), sources={"oracle": final_of, "wrong": wrong})
    assert again.to_dict() == ledger.to_dict()


def test_the_same_events_give_the_same_ledger():
    assert made().to_dict() == made().to_dict()


def test_pinball_is_least_for_the_true_quantiles():
    truth = np.random.default_rng(0).standard_normal(4000)
    true = pinball(np.tile([-1.2816, 0.0, 1.2816], (4000, 1)), truth).mean()
    for off in ([-0.5, 0.0, 0.5], [-3.0, 0.0, 3.0], [-1.0, 0.3, 1.5]):
        assert pinball(np.tile(off, (4000, 1)), truth).mean() > true
    # By hand: truth 1 with quantiles 0, 0.5, 2: (0.1 x 1 + 0.5 x 0.5 + 0.1 x 1) / 3.
    assert pinball(np.array([[0.0, 0.5, 2.0]]), np.array([1.0])) == pytest.approx([0.15])


def test_coverage_includes_the_ends():
    assert covered(np.array([[0, 1, 2]] * 4), np.array([0.0, 2.0, 2.1, -0.1])).tolist() == [True, True, False, False]


def test_rank_correlation_is_spearmans():
    stats = pytest.importorskip("scipy.stats")
    a, b = np.array([1, 2, 2, 5, 3.0]), np.array([2, 1, 4, 9, 4.0])
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    assert rank_correlation(a, np.ones(5)) is None
    assert rank_correlation(a[:2], b[:2]) is None
