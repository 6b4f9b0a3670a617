"""The planner: what runs next, from a fitted model; and the model brought up to date without a new fit."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import CONDITIONAL, MAXIMISE

from automl_gpt_ray.curves.candidates import KEPT, LOCAL, MOVES, NARROWING, RANDOM, best_predicted, pool, refined
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.planner import Costs, expected_improvement, plan, ranks
from automl_gpt_ray.curves.predictor import Context, Curve
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace

T = 30
BEST = np.array([0.7, 0.3])


def rising(x, seen, end=None):
    steps = np.arange(1, seen + 1.0)
    final = 0.9 - 1.2 * float(((x - BEST) ** 2).sum()) if end is None else end
    return 0.1 + (final - 0.1) * (1 - np.exp(-steps / 8)) / (1 - np.exp(-T / 8))


def trial(key, x, seen, end=None, sign=1):
    x = np.asarray(x, dtype=float)
    return Curve(key, x, np.arange(1, seen + 1.0), sign * rising(x, seen, end))


def several(sign=1, count=16):
    rng = np.random.default_rng(1)
    lengths = [T, 10, 6, 4]
    return [trial(f"t{i}", rng.random(2), lengths[i % 4], sign=sign) for i in range(count)]


def fitted(curves, mode="max"):
    return FreezeThaw().fit(Context(tuple(curves), Objective("a", mode), T))


@pytest.mark.parametrize(("sign", "mode"), [(1, "max"), (-1, "min")])
def test_a_promising_paused_trial_goes_on(sign, mode):
    curves = [*several(sign), trial("star", BEST, 6, sign=sign)]
    found = plan(fitted(curves, mode), np.array([[0.05, 0.95]]), steps=5)
    assert (found.trial, found.candidate, found.steps) == ("star", None, 5)
    assert found.improvement > 0


def test_a_good_new_configuration_goes_before_bad_paused_ones():
    curves = [trial(f"t{i}", x, n) for i, (x, n) in enumerate([([0.1, 0.9], 5), ([0.5, 0.4], T), ([0.9, 0.8], 5)] * 4)]
    found = plan(fitted(curves), np.array([[0.05, 0.95], [0.68, 0.32]]))
    assert (found.trial, found.candidate) == (None, 1)


def test_running_and_unavailable_trials_are_left_alone():
    curves = [*several(), trial("star", BEST, 6)]
    nothing = np.empty((0, 2))
    model = fitted(curves)
    assert plan(model, nothing).trial == "star"
    assert plan(model, nothing, running=["star"]).trial != "star"
    assert plan(model, nothing, unavailable=["star"]).trial != "star"


def test_finished_and_diverged_trials_never_go_on():
    dead = Curve("dead", BEST, np.array([1.0, 2.0]), np.array([0.5, np.nan]))
    model = fitted([*(c for c in several() if c.last_step == T), dead])
    assert plan(model, np.empty((0, 2))) is None
    assert plan(model, np.array([[0.5, 0.5]])).candidate == 0


def test_no_more_steps_than_a_trial_needs():
    model = fitted([*(c for c in several() if c.last_step == T), trial("late", BEST, T - 2)])
    assert plan(model, np.empty((0, 2)), steps=5).steps == 2


def test_workers_do_not_pile_up():
    model = fitted(several())
    twins = np.array([[0.7, 0.3], [0.7, 0.3001], [0.1, 0.1], [0.2, 0.8], [0.9, 0.9]])
    first = plan(model, twins, unavailable=[c.key for c in model.context.curves])
    again = plan(model, twins, starting=twins[[0]], unavailable=[c.key for c in model.context.curves])
    assert first.candidate in (0, 1)
    assert again.improvement < first.improvement


def test_a_short_budget_prefers_what_is_nearly_done():
    curves = [*several(), trial("near", [0.6, 0.4], T - 4)]
    model, fresh = fitted(curves), np.array([[0.7, 0.3]])
    paused = [c.key for c in curves if c.key != "near"]
    rich, poor = (plan(model, fresh, unavailable=paused, budget=budget) for budget in (np.inf, 4))
    assert rich.candidate == 0
    assert poor.trial == "near"


def test_few_steps_to_the_end_count_for_a_trial():
    at, fresh = [0.66, 0.34], np.array([[0.7, 0.3]])
    gains = {}
    for seen in (T - 20, T - 4):
        model = fitted([*several(), trial("paused", at, seen)])
        found = ranks(model, fresh)
        place = [c.key for c in model.context.curves].index("paused")
        mean, var = model.known()
        gains[seen] = found.trials[place] / expected_improvement(mean, var, found.target)[place]
    assert gains[T - 20] == pytest.approx((T / 20) ** 0.5)
    assert gains[T - 4] == pytest.approx((T / 4) ** 0.5)


def test_starting_costs_count():
    model, fresh = fitted(several()), np.array([[0.7, 0.3]])
    free, dear = (ranks(model, fresh, budget=40, costs=Costs(start=cost)).candidates[0] for cost in (0, 400))
    assert dear / free == pytest.approx((T / (T + 400)) ** 0.5 * 40 / (T + 400))


def test_nothing_known_takes_a_candidate():
    model = FreezeThaw().fit(Context((), Objective("a", "max"), T))
    assert plan(model, np.array([[0.5, 0.5]])).candidate == 0
    assert plan(model, np.empty((0, 2))) is None


def test_expected_improvement_is_its_integral():
    draws = np.random.default_rng(0).normal(0.3, 0.2, 200_000)
    found = expected_improvement(np.array([0.3]), np.array([0.04]), 0.5)[0]
    assert found == pytest.approx(np.maximum(draws - 0.5, 0).mean(), rel=0.02)
    assert expected_improvement(np.array([0.0]), np.array([1e-5]), 10.0)[0] == 0.0


def test_an_update_is_close_to_a_new_fit():
    before = several()
    later = [trial(c.key, c.vector, min(T, c.last_step + 3)) for c in before] + [trial("new", [0.6, 0.2], 4)]
    context = Context(tuple(later), Objective("a", "max"), T)
    model = FreezeThaw().fit(Context(tuple(before), Objective("a", "max"), T))
    updated, again = model.updated(context), FreezeThaw().fit(context)
    a, b = (m.scale.invert(m.known()[0]) for m in (updated, again))
    np.testing.assert_allclose(a, b, atol=0.05)
    assert len(updated.context.curves) == len(before) + 1


def test_an_update_without_news_changes_nothing():
    model = fitted(several())
    np.testing.assert_allclose(model.updated(model.context).known(), model.known())


def test_more_trials_than_are_fitted_are_all_predicted():
    model = fitted(several(count=130))
    mean, var = model.known()
    assert len(model.chosen) == 96
    assert mean.shape == var.shape == (130,)
    truth = np.array([rising(c.vector, T)[-1] for c in model.context.curves])
    assert np.corrcoef(model.scale.invert(mean), truth)[0, 1] > 0.98


def test_the_pool_is_new_valid_and_near_the_best():
    rng = np.random.default_rng(0)
    configs = {f"t{i}": CONDITIONAL.sample(rng) for i in range(8)}
    curves = [
        Curve(k, CONDITIONAL.to_vector(c), np.arange(1, 5.0), 0.1 * np.arange(1, 5.0) * (i + 1))
        for i, (k, c) in enumerate(configs.items())
    ]
    model = FreezeThaw().fit(Context(tuple(curves), MAXIMISE, 4))
    assert best_predicted(model, 2) == ["t7", "t6"]
    taken = {CONDITIONAL.key(c) for c in configs.values()}
    found, vectors = pool(CONDITIONAL, model, configs, taken, rng)
    assert 0 < len(found) <= RANDOM + LOCAL
    assert vectors.shape == (len(found), CONDITIONAL.vector_size)
    keys = [CONDITIONAL.key(c) for c in found]
    assert len(set(keys)) == len(keys)
    assert not taken & set(keys)
    assert all(not CONDITIONAL.problems(c) for c in found)


def near_a_point(vectors):
    return -np.square(vectors - 0.3).sum(axis=1)


def test_a_local_search_gets_closer_than_any_pool():
    space = SearchSpace({f"x{i}": FloatParameter(low=0.0, high=1.0, default=0.5) for i in range(5)})
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(RANDOM)]
    vectors = np.array([space.to_vector(c) for c in drawn])
    barred = space.key(drawn[int(np.argmax(near_a_point(vectors)))])
    configs, all_of_them = refined(space, drawn, vectors, near_a_point, {barred}, rng)
    assert near_a_point(all_of_them).max() > 0.1 * near_a_point(vectors).max()
    assert len(drawn) < len(configs) <= len(drawn) + len(NARROWING) * KEPT * MOVES
    keys = [space.key(c) for c in configs]
    assert len(set(keys)) == len(keys)
    assert barred not in keys[len(drawn) :]
    assert np.array_equal(all_of_them, [space.to_vector(c) for c in configs])
    assert not any(space.problems(c) for c in configs)


def test_a_local_search_of_a_space_that_is_all_drawn_or_empty_adds_nothing():
    space = SearchSpace({"kind": ChoiceParameter(choices=["a", "b"], default="a")})
    both = [{"kind": "a"}, {"kind": "b"}]
    vectors = np.array([space.to_vector(c) for c in both])
    configs, found = refined(space, both, vectors, near_a_point, set(), np.random.default_rng(0))
    assert configs == both
    assert np.array_equal(found, vectors)
    assert refined(space, [], vectors[:0], near_a_point, set(), np.random.default_rng(0))[0] == []
