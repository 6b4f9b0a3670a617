"""What every curve predictor must do, whatever it is; and what each of them is for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.last_value import LastValue
from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.median_curve import MedianCurve
from automl_gpt_ray.curves.parametric import ParametricFit
from automl_gpt_ray.curves.predictor import Context, Curve, CurvePredictor, Query
from automl_gpt_ray.curves.scale import Scale
from automl_gpt_ray.records import Objective

T = 40
PREDICTORS: dict[str, CurvePredictor] = {p.name: p for p in (LastValue(), MedianCurve(), ParametricFit(), FreezeThaw())}
LEARNED = ["parametric", "gp"]
CONFIGURATIONS = ["gp"]  # those that know them
if not weights.unavailable():
    PREDICTORS["network"] = LearnedForecaster.shipped()
    LEARNED.append("network")
    CONFIGURATIONS.append("network")


@pytest.fixture(params=PREDICTORS)
def predictor(request) -> CurvePredictor:
    return PREDICTORS[request.param]


def quality(x):
    """The final value of a configuration: best in one corner of the first two of three dimensions."""
    return 0.9 - 0.6 * (x[0] - 0.7) ** 2 - 0.4 * (x[1] - 0.3) ** 2


def rising(x, seen, begin=0.1, tau=8.0):
    steps = np.arange(1, seen + 1.0)
    share = (1 - np.exp(-steps / tau)) / (1 - np.exp(-T / tau))
    return begin + (quality(x) - begin) * share


def made(seen, count=20, seed=0, sign=1.0, scale=1.0, offset=0.0):
    rng = np.random.default_rng(seed)
    curves = []
    for i in range(count):
        x = rng.random(3)
        n = seen if isinstance(seen, int) else int(rng.choice(seen))
        values = sign * scale * (rising(x, n) + 0.002 * rng.standard_normal(n)) + offset
        curves.append(Curve(f"t{i}", x, np.arange(1, n + 1.0), values))
    return Context(tuple(curves), Objective("a", "max" if sign > 0 else "min"), T)


def partial(x, seen, key="q"):
    return Curve(key, np.asarray(x, dtype=float), np.arange(1, seen + 1.0), rising(np.asarray(x), seen))


def arrays(forecasts):
    return {n: getattr(forecasts, n) for n in ("low", "median", "high", "mean", "sd")}


def assert_sound(forecasts, count):
    for name, values in arrays(forecasts).items():
        assert values.shape == (count,), name
        assert np.isfinite(values).all(), name
    assert (forecasts.low <= forecasts.median).all()
    assert (forecasts.median <= forecasts.high).all()
    assert (forecasts.sd >= 0).all()


def test_is_a_predictor(predictor):
    assert isinstance(predictor, CurvePredictor)


@pytest.mark.parametrize("known", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("seen", [0, 1, 2, T])
def test_answers_every_question(predictor, known, seen):
    context = made([1, 5, T], known)
    queries = [Query(partial([0.5, 0.5, 0.5], seen), step) for step in (max(seen, 1), T)]
    queries += [Query(c, T) for c in context.curves]
    assert_sound(predictor.predict(context, queries), len(queries))


def test_no_question_no_answer(predictor):
    assert_sound(predictor.predict(made(T, 4), []), 0)


DISASTERS = {
    "nan at the end": [0.1, 0.2, math.nan],
    "nan from the beginning": [math.nan],
    "nan on the way": [0.1, math.nan, 0.2],
    "infinite": [0.1, math.inf],
    "minus infinite": [0.1, -math.inf],
    "exploding": [0.1, 1e12, -1e30],
    "constant": [0.5, 0.5, 0.5],
    "huge": [1e300, -1e300],
    "tiny": [1e-300, 2e-300],
}


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("disaster", DISASTERS)
def test_any_value_is_an_input(predictor, disaster, mode):
    values = np.array(DISASTERS[disaster])
    bad = Curve("bad", np.full(3, 0.5), np.arange(1.0, len(values) + 1), values)
    for curves in [(bad,), (*made(5, 4).curves, bad)]:
        context = Context(curves, Objective("a", mode), T)
        queries = [Query(bad, T), Query(curves[0], T), Query(Curve("new", np.full(3, 0.1)), T)]
        assert_sound(predictor.predict(context, queries), 3)


def test_what_diverged_is_forecast_to_be_bad(predictor):
    context = made([10, T])
    bad = Curve("bad", np.array([0.7, 0.3, 0.5]), np.array([1.0, 2.0]), np.array([0.5, math.nan]))
    told = predictor.predict(context, [Query(bad, T)])
    assert told.high[0] < min(c.values[-1] for c in context.curves if c.last_step == T)


@pytest.mark.parametrize(
    ("sign", "scale", "offset"), [(1, 1e6, 0), (1, 1e-6, 0), (1, 1e-18, 0), (-1, 1, 0), (1, 1, 50), (-1, 300, -7)]
)
def test_range_and_direction_do_not_matter(predictor, sign, scale, offset):
    plain, moved = made([5, T], 8), made([5, T], 8, sign=sign, scale=scale, offset=offset)
    a = predictor.predict(plain, [Query(plain.curves[0], T), Query(Curve("new", np.full(3, 0.4)), T)])
    b = predictor.predict(moved, [Query(moved.curves[0], T), Query(Curve("new", np.full(3, 0.4)), T)])
    np.testing.assert_allclose(b.median, sign * scale * a.median + offset, rtol=2e-3, atol=2e-3 * scale)
    np.testing.assert_allclose(b.sd, scale * a.sd, rtol=2e-2)


def test_equal_questions_get_equal_answers(predictor):
    context = made([3, 10, T])
    queries = [Query(context.curves[1], T), Query(Curve("new", np.full(3, 0.4)), 20)]
    for name, values in arrays(predictor.predict(context, queries)).items():
        np.testing.assert_array_equal(values, getattr(predictor.predict(context, queries), name), err_msg=name)


def test_a_step_that_was_seen_is_known(predictor):
    curve = partial([0.6, 0.4, 0.5], 12)
    told = predictor.predict(made([10, T]), [Query(curve, 12)])
    assert told.median[0] == pytest.approx(curve.values[-1], abs=0.02)


def test_the_farther_the_less_is_known(predictor):
    curve = partial([0.6, 0.4, 0.5], 6)
    told = predictor.predict(made([10, T]), [Query(curve, step) for step in (7, 12, T)])
    assert told.sd[0] < told.sd[2]


def test_the_more_was_seen_the_better(predictor):
    context = made([5, 10, T], 30)
    rng = np.random.default_rng(9)
    xs = rng.random((30, 3))
    truth = np.array([quality(x) for x in xs])
    errors = []
    for seen in (4, 12, 30):
        told = predictor.predict(context, [Query(partial(x, seen, f"q{i}"), T) for i, x in enumerate(xs)])
        errors.append(float(np.abs(told.median - truth).mean()))
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("name", LEARNED)
def test_learned_ones_beat_the_last_value(name):
    context = made([5, 10, T], 30)
    xs = np.random.default_rng(9).random((30, 3))
    truth = np.array([quality(x) for x in xs])
    queries = [Query(partial(x, 8, f"q{i}"), T) for i, x in enumerate(xs)]
    error = {n: float(np.abs(PREDICTORS[n].predict(context, queries).median - truth).mean()) for n in PREDICTORS}
    assert error[name] < 0.4 * error["last_value"]


def test_intervals_hold_what_they_promise(predictor):
    xs = np.random.default_rng(5).random((60, 3))
    truth = np.array([quality(x) for x in xs])
    told = predictor.predict(made([5, 10, T], 40), [Query(partial(x, 8, f"q{i}"), T) for i, x in enumerate(xs)])
    assert np.mean((told.low <= truth) & (truth <= told.high)) > 0.6


def test_some_know_configurations():
    context = made(T, 40)
    xs = np.random.default_rng(3).random((40, 3))
    truth = np.array([quality(x) for x in xs])
    queries = [Query(Curve(f"n{i}", x), T) for i, x in enumerate(xs)]
    told = {n: p.predict(context, queries).median for n, p in PREDICTORS.items()}
    assert all(np.corrcoef(told[n], truth)[0, 1] > 0.95 for n in CONFIGURATIONS)
    assert all(np.ptp(told[n]) == 0 for n in told if n not in CONFIGURATIONS)


def test_the_scale_is_undone():
    context = made([5, T], 10, sign=-1, scale=7.0)
    scale = Scale.of(context)
    values = np.array([c.values[-1] for c in context.curves])
    np.testing.assert_allclose(scale.invert(scale.apply(values)), values)
    assert scale.apply(np.array([math.nan, math.inf, -math.inf])).tolist() == [-1.0] * 3
