"""Models of curves that the network has a part in, and which of them a run goes by."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import MAXIMISE, PLAIN, made_history

from automl_gpt_ray.curves import competitors
from automl_gpt_ray.curves.curve_model import CurveModelMaker
from automl_gpt_ray.curves.freeze_thaw import Fitted, FreezeThaw
from automl_gpt_ray.curves.gate import Gate
from automl_gpt_ray.curves.learned import asking, weights
from automl_gpt_ray.curves.learned.alone import Alone
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.learned.hybrid import Hybrid
from automl_gpt_ray.curves.merit import MARGIN, best
from automl_gpt_ray.curves.outlook import outlook
from automl_gpt_ray.curves.planner import plan
from automl_gpt_ray.curves.predictor import Context, Curve, Query
from automl_gpt_ray.errors import DataError
from automl_gpt_ray.planner import Planner
from automl_gpt_ray.records import Objective

T = 20
NAMES = ("combination", "gp", "network")


@pytest.fixture(params=["hybrid", "alone"])
def maker(request) -> CurveModelMaker:
    if weights.unavailable():
        pytest.skip(weights.unavailable())
    forecaster = LearnedForecaster.shipped()
    return Hybrid(forecaster) if request.param == "hybrid" else Alone(forecaster)


def quality(x):
    return 0.9 - 0.8 * (x[0] - 0.7) ** 2


def context_of(lengths, seed=0, extra=()):
    rng = np.random.default_rng(seed)
    curves = []
    for i, n in enumerate(lengths):
        x = rng.random(2)
        steps = np.arange(1.0, n + 1)
        curves.append(Curve(f"t{i}", x, steps, quality(x) * (1 - 0.6 * np.exp(-steps / 5))))
    return Context((*curves, *extra), Objective("a", "max"), T)


def test_knows_trials_and_configurations(maker):
    context = context_of([T] * 12 + [4] * 6 + [0])
    model = maker.fit(context)
    mean, var = model.known()
    assert mean.shape == var.shape == (19,)
    assert np.isfinite(mean).all()
    assert (var > 0).all()
    assert model.reached().shape == (18,)
    done = model.scale.apply(np.array([c.values[-1] for c in context.curves[:12]]))
    np.testing.assert_allclose(mean[:12], done, atol=1e-6)
    vectors = np.stack([np.linspace(0, 1, 9), np.full(9, 0.5)], axis=1)
    new, spread = model.process.finals(vectors)
    assert (spread > 0).all()
    truth = np.array([quality(x) for x in vectors])
    assert np.corrcoef(new, truth)[0, 1] > 0.6


def test_is_brought_up_to_date(maker):
    first = maker.fit(context_of([3] * 8))
    later = first.updated(context_of([6] * 9))
    assert len(later.known()[0]) == 9
    fresh = maker.fit(context_of([6] * 9))
    np.testing.assert_allclose(later.reached(), fresh.reached())


def test_what_is_about_to_be_learned_counts(maker):
    model = maker.fit(context_of([T] * 10))
    where = np.array([[0.1, 0.1]])
    believed = model.process.and_also(where, np.array([2.0]), np.array([1e-4]))
    assert believed.finals(where)[0][0] > model.process.finals(where)[0][0]


def test_plans(maker):
    context = context_of([T] * 6 + [3] * 6)
    rng = np.random.default_rng(1)
    found = plan(maker.fit(context), rng.random((20, 2)), running=["t7"], starting=rng.random((2, 2)), steps=2)
    assert found is not None
    assert np.isfinite(found.improvement)


def test_forecasts_under_its_name(maker):
    context = context_of([T] * 5 + [4])
    model = maker.fit(context)
    queries = [Query(context.curves[5], T), Query(Curve("new", np.array([0.7, 0.2])), T // 2)]
    told = Fitted(model).predict(context, queries)
    assert Fitted(model).name == maker.name
    assert (told.low <= told.median).all()
    assert (told.median <= told.high).all()


def test_models_of_one_context_share_a_pass(monkeypatch):
    if weights.unavailable():
        pytest.skip(weights.unavailable())
    passes = []
    ask = asking.ask
    monkeypatch.setattr(asking, "ask", lambda *rest: passes.append(1) or ask(*rest))
    forecaster, context = LearnedForecaster(weights.load(weights.SHIPPED)), context_of([T] * 5 + [4])
    both = [maker(forecaster).fit(context) for maker in (Hybrid, Alone)]
    assert len(passes) == 1
    told = [model.predict([Query(context.curves[5], step) for step in (10, T)]) for model in both]
    assert len(passes) == 2
    np.testing.assert_array_equal(told[0].median, told[1].median)
    sooner = both[0].predict([Query(context.curves[5], step) for step in (9, T)])
    assert sooner.median[0] != told[0].median[0]
    assert Alone(forecaster).fit(context_of([T] * 5 + [4])).predict([]).median.shape == (0,)


def test_a_run_without_finite_values_is_modelled(maker):
    lost = Curve("lost", np.full(2, 0.5), np.array([1.0]), np.array([np.nan]))
    for context in (Context((), Objective("a", "max"), T), Context((lost,), Objective("a", "max"), T)):
        model = maker.fit(context)
        assert len(model.known()[0]) == len(context.curves)
        assert len(model.updated(context_of([3, 4])).known()[0]) == 2


def gates(**skills):
    return {name: Gate(True, 20, 3.0, skill) for name, skill in skills.items()}


@pytest.mark.parametrize(
    ("told", "current", "chosen"),
    [
        ({}, "combination", "combination"),
        (gates(gp=0.4), "combination", "gp"),
        (gates(gp=0.4, combination=0.3), "combination", "gp"),
        (gates(gp=0.3 + MARGIN / 2, combination=0.3), "combination", "combination"),
        (gates(gp=0.3, combination=0.3, network=0.3), "gp", "gp"),
        (gates(gp=-0.5, combination=-0.1, network=-0.4), "gp", "combination"),
        ({"network": Gate(False, 3, 0.0, 0.9), **gates(gp=0.1)}, "gp", "gp"),
    ],
)
def test_the_best_forecasts_decide(told, current, chosen):
    assert best(NAMES, told, current) == chosen


def test_a_planner_goes_by_the_best():
    if weights.unavailable():
        pytest.skip(weights.unavailable())
    history = made_history(PLAIN, 12)
    told: dict[str, Gate] = {}
    makers = competitors.competitors()
    planner = Planner(PLAIN, history.max_step, makers=lambda: makers, gates=lambda: told)
    running = [t.id for t in history.trials if not t.state.ended]
    first = planner.rank(history, asked=running)
    assert first.source == competitors.preferred()
    told |= gates(gp=0.5, combination=0.1, network=0.2)
    second = planner.rank(history, asked=running)
    assert second.source == "gp"
    assert {log.source for log in second.forecasts.values()} <= {"gp"}
    assert {log.source for _, log in second.others} <= {"combination", "network"}
    assert len(second.others) == 2 * len(second.forecasts)


def test_nobody_waits_for_the_network():
    loading = competitors.Loading()
    assert "gp" in [m.name for m in loading()]
    loading.wait()
    assert [m.name for m in loading()] == [m.name for m in competitors.competitors()]


def test_without_the_network_the_process_stands_alone(monkeypatch):
    monkeypatch.setattr(weights, "unavailable", lambda: "torch is not installed")
    assert [m.name for m in competitors.competitors()] == [FreezeThaw.name]
    logs = outlook(made_history(PLAIN, 20), PLAIN, [PLAIN.default])
    assert logs[0] is not None
    assert logs[0].source == "peers"


def test_damaged_weights_are_told_and_done_without(monkeypatch, caplog):
    def broken():
        raise DataError("curve network", [])

    monkeypatch.setattr(weights, "unavailable", lambda: "")
    monkeypatch.setattr(LearnedForecaster, "shipped", broken)
    assert [m.name for m in competitors.competitors()] == [FreezeThaw.name]
    assert "without the network" in caplog.text


def test_proposals_are_told_what_becomes_of_them():
    history = made_history(PLAIN, 20)
    configs = [PLAIN.default, PLAIN.sample(np.random.default_rng(0))]
    logs = outlook(history, PLAIN, configs)
    assert len(logs) == 2
    assert all(log is not None and log.points[-1].step <= history.max_step for log in logs)
    assert outlook(made_history(PLAIN, 1), PLAIN, configs) == [None, None]
    assert outlook(history, PLAIN, []) == []
    assert MAXIMISE.metric == logs[0].metric
