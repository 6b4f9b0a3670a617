"""From raw evaluations to figures: regret, ranks, intervals; and the way through `run`."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.analysis import bootstrap, differences, markdown, table, wilcoxon
from benchmarks.raw import About, Raw, RunKey, read
from benchmarks.regret import progress, ranks

ROOT = Path(__file__).resolve().parents[1]
ABOUT = About("max", 1.0, 0.5, 0.9, 0.4, 2, 4, "epochs", 8.0, 0.1)


def run(values, seconds=(1.0, 2.0, 4.0, 8.0), about=ABOUT, task="t", seed=0, tests=(0.4, 0.5, 0.6, 0.7)):
    n = len(values)
    columns = {
        "seconds": np.array(seconds[:n]),
        "trial": np.arange(n),
        "step": np.ones(n, int),
        "value": np.array(values),
        "curve": np.arange(n),
        "test": np.array(tests[:n]),
    }
    return progress(Raw(RunKey("s", task, "m", seed), about, columns))


def test_regret_is_the_best_so_far_between_the_tables_best_and_median():
    seen = run([0.5, 0.75, 0.6, 1.0])
    assert seen.regret.tolist() == [1.0, 0.5, 0.5, 0.0]
    assert seen.at_epochs([0, 1, 2.9, 4, 9]).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert seen.at_seconds([0.5, 2.0, 3.9, 8.0]).tolist() == [1.0, 0.5, 0.5, 0.0]
    assert seen.test == pytest.approx((0.9 - 0.7) / 0.5)


def test_smaller_is_better_where_it_is_and_diverged_values_count_for_nothing():
    about = replace(ABOUT, mode="min", best=1.0, median=3.0, test_best=1.0, test_median=3.0)
    seen = run([math.nan, 3.0, -math.inf, 2.0], about=about, tests=(1.0, 2.0, 0.0, 2.0))
    assert seen.regret.tolist() == [1.0, 1.0, 1.0, 0.5]
    assert seen.test == 0.5


def test_a_run_without_any_result_has_the_medians_regret():
    assert run([]).final == 1.0
    assert run([math.nan]).final == 1.0
    assert math.isnan(run([math.nan]).test)


def test_ranks_share_ties():
    assert ranks(np.array([0.2, 0.1, 0.2])).tolist() == [2.5, 1.0, 2.5]


def methods(gain):
    """Twelve pairs: `new` is better than `old` by `gain`, give or take a little."""
    noise = np.random.default_rng(0)
    old = {(f"t{i % 3}", i // 3): run([0.5 + 0.01 * noise.random()], task=f"t{i % 3}") for i in range(24)}
    new = {key: run([float(r.raw.columns["value"][0]) + gain + 0.001 * noise.random()]) for key, r in old.items()}
    return {"old": old, "new": new}


def test_a_true_difference_is_found_and_none_is_not_claimed():
    (found,) = differences(methods(0.1), "old")
    assert found.mean == pytest.approx(-0.2, abs=0.01)
    assert found.low < found.mean < found.high < 0
    assert found.p < 0.01
    assert (found.seeds, found.pairs) == (8, 24)
    rows = table(methods(0.1), "old")
    assert [row.method for row in rows] == ["new", "old"]
    assert [row.rank for row in rows] == [1.0, 2.0]


def test_where_a_method_reaches_the_references_end():
    courses = {"old": [0.5, 0.6, 0.6, 0.7], "fast": [0.5, 0.7, 0.7, 0.8], "slow": [0.5, 0.5, 0.5, 0.6]}
    runs = {name: {("t", seed): run(values) for seed in range(8)} for name, values in courses.items()}
    found = {d.method: d.reach for d in differences(runs, "old")}
    assert found["fast"] == 0.5  # the second of four evaluations
    assert math.isnan(found["slow"])


def test_a_row_that_lacks_tasks_says_so():
    whole = {(task, 0): run([0.5], task=task) for task in ("a", "b")}
    text = markdown("s", table({"whole": whole, "half": {("a", 0): run([0.6], task="a")}}, "whole"), [], "whole")
    assert "| half (1 of 2 tasks) |" in text
    assert "| whole |" in text


def test_the_bootstrap_covers_what_is_spread_over_tasks():
    low, high = bootstrap({"a": [1.0, 1.0], "b": [3.0, 3.0]})
    assert (low, high) == (1.0, 3.0)
    assert wilcoxon(np.zeros(8)) == 1.0


def test_run_writes_raw_results_goes_on_and_refuses_another_setting(tmp_path):
    command = [sys.executable, "-m", "benchmarks.run", "--suite", "small", "--out", str(tmp_path), "--jobs", "1"]
    command += ["--methods", "random+asha", "default", "--seeds", "1", "--tasks", "xgboost-wine", "xgboost-diabetes"]

    def call(*more):
        return subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=240)

    first = call("--trainings", "3")
    assert first.returncode == 0, first.stderr
    figures = json.loads(first.stdout.splitlines()[-1])
    assert figures["runs"] == 4
    assert figures["regret"]["recorded"]["random+asha"] <= figures["regret"]["recorded"]["default"]
    runs = list(read(tmp_path))
    assert {r.key.method for r in runs} == {"random+asha", "default"}
    assert max(len(r.columns["value"]) for r in runs) == 90
    assert (tmp_path / "tables.md").read_text().count("| default |") == 2
    assert "0 to do" in call("--trainings", "3").stdout
    assert "give another --out" in call("--trainings", "4").stderr
