"""Told rows: whoever models configurations knows those that were trained; noise is shown, not scored."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ray.tune.schedulers import FIFOScheduler

from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.freeze_thaw import FreezeThawAdvisor
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter
from automl_gpt_ray.ray_tune.domains import to_ray
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace
from benchmarks.controls import MaskedSearch, masked
from benchmarks.freeze_thaw import PlannedSearch
from benchmarks.noise import Noise
from benchmarks.one_run import simulate
from benchmarks.optuna_pair import gp, pruned, ray_optuna, tpe
from benchmarks.problems import Table, seated
from benchmarks.raw import RunKey, read
from benchmarks.regret import progress
from benchmarks.replay import Limits
from benchmarks.searchers import AdvisorSearch, RandomSearch
from benchmarks.simulator import Simulator
from benchmarks.told import Seated, ToldLLMSearch

SPACE = SearchSpace(
    {
        "optimizer": ChoiceParameter(choices=["adam", "sgd"], default="adam"),
        "lr": FloatParameter(low=1e-4, high=1.0, log=True, default=0.1),
        "momentum": FloatParameter(low=0.0, high=0.9, default=0.5, when={"optimizer": ["sgd"]}),
    }
)
STEPS, BUDGET, ROWS = 5, 80, 15


def table(lookup="fresh"):
    """Few rows, so that nearly every proposal is moved; the default is none of them."""
    rng = np.random.default_rng(4)
    configs = [SPACE.sample(rng) for _ in range(ROWS)]
    values = np.array([[-((math.log10(c["lr"]) + 2) ** 2) - 1 / (k + 1) for k in range(STEPS)] for c in configs])
    made = Table(
        name="t",
        suite="s",
        brief=Brief(SPACE, Objective("score", "max"), STEPS),
        configs=configs,
        values=values,
        step_seconds=np.ones_like(values),
        tests=values[:, -1],
        lengths=np.full(ROWS, STEPS),
        failed=np.zeros(ROWS, bool),
        lookup=lookup,
    )
    return made if lookup == "untold" else seated(made)


def key(config):
    return tuple(sorted((n, round(v, 9) if isinstance(v, float) else v) for n, v in config.items()))


def optuna_params(study):
    return [key(t.params) for t in study.get_trials(deepcopy=False)]


def of_book(book):
    return [key(t.config) for t in book.history().trials]


def ray_pair(problem, sampler):
    search = ray_optuna(problem, sampler)
    return search, FIFOScheduler(), lambda: optuna_params(search._ot_study)


def pruner_pair(problem):
    import optuna

    search, scheduler = pruned(problem, tpe(0), optuna.pruners.MedianPruner())
    return search, scheduler, lambda: optuna_params(search.study)


def advised(problem):
    search = AdvisorSearch(problem.brief, ClassicalAdvisor(SPACE, 0), 0)
    return search, FIFOScheduler(), lambda: of_book(search.loop.book)


def planned(problem):
    search = PlannedSearch(problem.brief, lambda model: FreezeThawAdvisor(SPACE, 0, model=model), 0)
    return search, ReviewScheduler(search, 2), lambda: of_book(search.book)


def masked_pair(problem):
    brief, names = masked(problem.brief)
    search = MaskedSearch(AdvisorSearch(brief, ClassicalAdvisor(brief.space, 0), 0), names)
    read_back = lambda: [  # noqa: E731
        key({names[n]: v for n, v in t.config.items()}) for t in search.inner.loop.history.trials
    ]
    return search, FIFOScheduler(), read_back


def seated_planner(problem):
    search = PlannedSearch(problem.brief, lambda model: Seated(FreezeThawAdvisor(SPACE, 0, model=model), problem), 0)
    return search, ReviewScheduler(search, 2), lambda: of_book(search.book)


def llm_search(problem):
    search = ToldLLMSearch(default=SPACE.default, max_steps=STEPS)
    search.set_search_properties("score", "max", to_ray(SPACE))
    return search, FIFOScheduler(), lambda: of_book(search.book)


PAIRS = {
    "Ray's OptunaSearch, TPE": lambda problem: ray_pair(problem, tpe(0)),
    "Ray's OptunaSearch, GPSampler": lambda problem: ray_pair(problem, gp(0)),
    "Optuna's pruners": pruner_pair,
    "our advisors": advised,
    "names masked": masked_pair,
    "the planner": planned,
    "the planner, moved before it weighs": seated_planner,
    "LLMSearch": llm_search,
}


def played(make, problem, budget=STEPS * 8):
    search, scheduler, known = make(problem)
    options = {"patience_s": 2.0, "ahead": 0, "as_ray": True}
    replay = Simulator(problem, search, scheduler, 2, Limits(epochs=budget), **options).run()
    found = known()
    if hasattr(search, "close"):
        search.close()
    return replay, found


@pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS.keys())
def test_whoever_models_configurations_holds_the_rows_that_were_trained(make):
    problem = table()
    replay, known = played(make, problem)
    trained = [key(problem.configs[t.curve]) for t in replay.trials]
    assert known[: len(trained)] == trained
    assert [key(t.config) for t in replay.trials] == trained
    assert len(set(trained)) > 1
    assert key(SPACE.default) not in trained


@pytest.mark.parametrize("make", [PAIRS["Ray's OptunaSearch, TPE"], advised, planned])
def test_untold_they_hold_what_they_proposed(make):
    problem = table("untold")
    replay, known = played(make, problem, budget=2 * STEPS)
    assert known[0] == key(SPACE.default)
    assert known[0] != key(problem.configs[replay.trials[0].curve])


def test_proposals_are_moved_to_rows_that_nobody_has_and_no_two_to_the_same():
    problem = table()
    search = AdvisorSearch(problem.brief, Seated(ClassicalAdvisor(SPACE, 0), problem), 0)
    replay = Simulator(problem, search, FIFOScheduler(), 2, Limits(trials=6)).run()
    moved = Seated(ClassicalAdvisor(SPACE, 0), problem).propose(search.loop.history, 4)
    rows = [problem.open(p.config) for p in moved]
    assert [key(p.config) for p in moved] == [key(problem.configs[row]) for row in rows]
    assert len({*rows, *(t.curve for t in replay.trials)}) == 4 + 6


def test_a_row_is_where_it_lies_already():
    problem = table()
    for config in problem.configs:
        assert key(problem.snap(config)) == key(config)
    assert replace(problem, lookup="untold").snap({"lr": 0.3, "optimizer": "adam"}) == {"lr": 0.3, "optimizer": "adam"}


def test_no_row_is_trained_twice_while_there_are_others_unless_repeats_are_wanted():
    def rows(lookup):
        limits = Limits(trials=ROWS)
        return [
            t.curve for t in Simulator(table(lookup), RandomSearch(SPACE, 0), FIFOScheduler(), 2, limits).run().trials
        ]

    assert sorted(rows("fresh")) == list(range(ROWS))
    assert len(set(rows("repeats"))) < ROWS
    problem = table()
    assert problem.snap(SPACE.default, range(ROWS)) == problem.snap(SPACE.default)
    nearest = problem.open(SPACE.default)
    assert problem.open(problem.snap(SPACE.default, {nearest})) != nearest


def test_a_searcher_without_a_hook_is_moved_too():
    problem = table()
    replay = Simulator(problem, RandomSearch(SPACE, 0), FIFOScheduler(), 1, Limits(epochs=BUDGET)).run()
    assert {key(t.config) for t in replay.trials} <= {key(c) for c in problem.configs}


def test_noise_is_shown_to_methods_and_the_truth_is_scored():
    problem = table()
    seen = []

    class Watches(FIFOScheduler):
        def on_trial_result(self, tune_controller, trial, result):
            seen.append(result["score"])
            return super().on_trial_result(tune_controller, trial, result)

    noise = Noise(0.5, seed=3)
    replay = Simulator(problem, RandomSearch(SPACE, 0), Watches(), 1, Limits(epochs=40), noise=noise).run()
    assert seen == [e.shown for e in replay.evaluations]
    off = [e.shown - e.value for e in replay.evaluations]
    assert 0.3 < np.std(off) < 0.8
    assert [e.value for e in replay.evaluations] == [problem.values[e.curve, e.step - 1] for e in replay.evaluations]


def test_the_regret_is_that_of_what_looks_best(tmp_path):
    problem = table()
    simulate(RunKey("s", "t", "random", 0), problem, [problem], 8, 1, tmp_path, noise=1.0)
    (raw,) = read(tmp_path)
    shown, value = raw.columns["shown"], raw.columns["value"]
    assert np.argmax(shown) != np.argmax(value)
    expected = (problem.best - value[np.argmax(shown)]) / (problem.best - problem.median)
    assert progress(raw).final == pytest.approx(expected)
