"""Tables of curves: nearest neighbours, what was recorded, what diverged, where a run starts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace
from benchmarks.controls import best_rows, masked, nearest
from benchmarks.problems import RevisionError, Table, median_row, started_from
from benchmarks.tables import RECORDED, load, recorded

CURVES = Path(__file__).resolve().parents[2] / "shared" / "curves"
SPACE = SearchSpace(
    {
        "kind": ChoiceParameter(choices=["a", "b"], default="a"),
        "lr": FloatParameter(low=1e-4, high=1.0, log=True, default=0.01),
        "momentum": FloatParameter(low=0.0, high=1.0, default=0.5, when={"kind": ["b"]}),
    }
)
CONFIGS = [{"kind": "a", "lr": 1e-3}, {"kind": "a", "lr": 1e-1}, {"kind": "b", "lr": 1e-3, "momentum": 0.9}]


def table(mode="max", values=((1.0, 2.0), (3.0, math.nan), (2.0, 4.0)), name="t", numbers=()):
    values = np.array(values)
    failed = np.isnan(values).any(axis=1)
    return Table(
        name=name,
        suite="s",
        brief=Brief(SPACE, Objective("score", mode), 2),
        configs=CONFIGS,
        values=values,
        step_seconds=np.ones(values.shape),
        tests=np.array([1.5, math.nan, 3.5]),
        lengths=np.full(3, 2),
        failed=failed,
        numbers=numbers,
    )


def test_a_configuration_is_answered_by_its_nearest_neighbour():
    tuned = table()
    assert tuned.open({"kind": "a", "lr": 2e-2}) == 1
    assert tuned.open({"kind": "a", "lr": 5e-3}) == 0
    # Another kind is as far as the whole range of a number.
    assert tuned.open({"kind": "b", "lr": 1e-1, "momentum": 0.9}) == 2
    for row, config in enumerate(CONFIGS):
        assert tuned.open(config) == row


def test_best_and_median_follow_the_direction_and_leave_failures_out():
    up, down = table(), table("min")
    assert (up.best, up.median) == (4.0, 3.0)
    assert (down.best, down.median) == (1.0, 3.0)
    assert up.fails(1)
    assert math.isnan(up.report(1, 2)["score"])
    assert (up.test_best, up.test_median) == (3.5, 2.5)


def test_a_table_knows_no_revision_on_the_way():
    tuned = table()
    assert tuned.revise(0, 0, CONFIGS[1]) == 1
    with pytest.raises(RevisionError, match="whole curves"):
        tuned.revise(0, 1, CONFIGS[1])


def test_every_method_may_start_from_another_configuration():
    moved = started_from(table(), 2)
    assert moved.brief.space.default == CONFIGS[2]
    assert table().brief.space.default == {"kind": "a", "lr": 0.01}
    assert median_row(table()) in (0, 2)


def test_masking_takes_every_name_and_keeps_the_conditions():
    brief, names = masked(table().brief)
    assert list(brief.space.parameters) == ["x1", "x2", "x3"]
    assert brief.space.parameters["x3"].when == {"x1": ["b"]}
    assert {names[n]: v for n, v in brief.space.default.items()} == SPACE.default
    assert brief.data is None
    assert brief.model is None


def test_the_nearest_card_is_that_of_like_size_and_its_best_rows_come_first():
    mine = table(name="mine", numbers=(100, 10, 2))
    like, unlike = table(name="like", numbers=(120, 9, 2)), table(name="unlike", numbers=(90000, 10, 2))
    assert nearest(mine, [unlike, mine, like]) is like
    assert nearest(mine, [mine]) is None
    assert best_rows(like, 2) == [CONFIGS[2], CONFIGS[0]]


def test_the_recorded_tasks_are_whole():
    tasks = list(recorded(RECORDED))
    assert len(tasks) >= 6
    for task in tasks:
        assert len(task.configs) >= 300
        assert task.brief.max_steps >= 30
        assert task.configs[0] == task.brief.space.default
        assert not any(task.brief.space.problems(config) for config in task.configs)
        done = ~task.failed
        assert np.isfinite(task.values[done]).all()
        assert np.isfinite(task.tests[done]).all()
        assert (task.step_seconds[done] > 0).all()
        assert task.brief.data is not None
        assert task.best != task.median


@pytest.mark.shared
@pytest.mark.skipif(not CURVES.exists(), reason="the public curves are not beside the checkout")
@pytest.mark.parametrize(("suite", "tasks", "rows"), [("lcbench", 8, 6000), ("taskset", 6, 500), ("arlbench", 11, 256)])
def test_public_curves(suite, tasks, rows):
    loaded = load(suite, CURVES)
    assert len(loaded) == tasks
    for task in loaded:
        assert len(task.configs) == rows
        problems = [problem for config in task.configs[:50] for problem in task.brief.space.problems(config)]
        assert not problems
        curve = task.open(task.configs[7])
        assert task.report(curve, 1)[task.brief.objective.metric] == task.values[curve, 0]
        assert task.best != task.median


def test_a_suite_that_needs_curves_says_so():
    with pytest.raises(ValueError, match="--curves"):
        load("lcbench")
    with pytest.raises(ValueError, match="must be one of"):
        load("lcbanch")
