"""A table between its rows: what its network tells of configurations that were never recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import FloatParameter, IntParameter
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace
from benchmarks.methods import METHODS, Setting
from benchmarks.problems import RevisionError, Table
from benchmarks.replay import Limits
from benchmarks.run import problems
from benchmarks.simulator import Simulator
from benchmarks.surrogate import Surrogate

CURVES = Path(__file__).resolve().parents[2] / "shared" / "curves"
SPACE = SearchSpace(
    {"lr": FloatParameter(low=1e-4, high=1.0, log=True, default=0.3), "layers": IntParameter(low=1, high=4, default=2)}
)
STEPS = 6


def truth(config):
    return 1.0 - (np.log10(config["lr"]) + 2) ** 2 / 4 - 0.05 * config["layers"] - 0.5 / np.arange(1, STEPS + 1)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(600)]
    values = np.array([truth(config) for config in configs])
    rows = len(configs)
    return Table(
        name="made",
        suite="s",
        brief=Brief(SPACE, Objective("score", "max"), STEPS),
        configs=configs,
        values=values,
        step_seconds=np.full(values.shape, 2.0),
        tests=np.zeros(rows),
        lengths=np.full(rows, STEPS),
        failed=np.zeros(rows, bool),
    )


def curve(problem, config):
    handle = problem.open(config)
    return np.array([problem.report(handle, step)["score"] for step in range(1, STEPS + 1)])


def test_it_tells_what_lies_between_the_rows(table):
    problem, rng = Surrogate(table), np.random.default_rng(1)
    configs = [SPACE.sample(rng) for _ in range(50)]
    asked = np.array([curve(problem, config) for config in configs])
    true, nearest = np.array([truth(c) for c in configs]), np.array([table.values[table.open(c)] for c in configs])
    error = np.square(asked - true).mean()
    assert error < 0.02 * true.var()
    assert error < np.square(nearest - true).mean()
    assert problem.snap(configs[0]) == configs[0]


def test_it_is_the_same_each_time_and_one_handle_is_one_configuration(table):
    one, other, config = Surrogate(table), Surrogate(table), SPACE.default
    assert np.array_equal(curve(one, config), curve(other, config))
    assert one.open(config) == one.open(dict(config))
    assert one.open({**config, "layers": 3}) != one.open(config)
    assert (one.best, one.median) == (other.best, other.median)


def test_regret_is_by_the_tables_own_configurations(table):
    problem = Surrogate(table)
    known = np.array([curve(problem, config) for config in table.configs])
    assert problem.best == pytest.approx(known.max())
    assert problem.median == pytest.approx(np.median(known[:, -1]))
    fewer = Surrogate(replace(table, brief=replace(table.brief, objective=Objective("score", "min"))))
    assert fewer.best == pytest.approx(known.min(), abs=0.05)


def test_what_fails_and_what_changes_on_the_way_is_refused(table):
    failed = table.failed.copy()
    failed[3] = True
    with pytest.raises(ValueError, match="`made` holds trainings that fail"):
        Surrogate(replace(table, failed=failed))
    problem = Surrogate(table)
    handle = problem.open(SPACE.default)
    assert problem.revise(handle, 0, {**SPACE.default, "layers": 1}) != handle
    with pytest.raises(RevisionError, match="after step 2"):
        problem.revise(handle, 2, SPACE.default)


def test_a_method_trains_what_it_asks_for(table):
    problem = Surrogate(table)
    pair = METHODS["random+asha"].make(Setting(problem, seed=0, workers=2, epochs=60))
    done = Simulator(problem, pair.searcher, pair.scheduler, workers=2, limits=Limits(epochs=60), as_ray=True).run()
    assert len(done.evaluations) == 60
    assert all(e.value == problem.report(e.curve, e.step)["score"] for e in done.evaluations)


@pytest.mark.shared
@pytest.mark.skipif(not CURVES.exists(), reason=f"the public learning curves are not in {CURVES}")
def test_public_curves_are_told_of_rows_that_were_not_shown():
    problem = problems("lcbench@surrogate", str(CURVES))[0]
    shown = problem.table
    rest = range(1500, 1800)
    kept = replace(
        shown,
        configs=shown.configs[:1500],
        values=shown.values[:1500],
        step_seconds=shown.step_seconds[:1500],
        tests=shown.tests[:1500],
        lengths=shown.lengths[:1500],
        failed=shown.failed[:1500],
    )
    fewer = Surrogate(kept)
    told = [fewer.report(fewer.open(shown.configs[i]), 52)["val_balanced_accuracy"] for i in rest]
    assert np.corrcoef(told, shown.values[list(rest), -1])[0, 1] > 0.95
