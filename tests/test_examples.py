"""Every file in `examples/` runs, as its user would run it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from automl_gpt_ray.config import load_job
from automl_gpt_ray.ray_tune.run import run

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def script(monkeypatch, tmp_path, capsys):
    """Run an example with a number of trials; returns what it defined and what it printed."""

    def play(name, trials):
        monkeypatch.setattr(sys, "argv", [name, str(trials)])
        monkeypatch.setenv("HOME", str(tmp_path))  # Ray writes to `~/ray_results`
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__"), capsys.readouterr().out

    return play


def test_every_example_is_tried():
    assert {path.name for path in EXAMPLES.iterdir() if not path.name.startswith("__")} == {
        "ray_tune_script.py",
        "own_training",
        "own_advisor.py",
        "without_ray.py",
    }


def test_ask_and_tell_need_no_ray(script):
    found, printed = script("without_ray.py", 5)
    trials = found["loop"].history.trials
    assert [t.last_step for t in trials] == [5] * 5
    assert trials[0].proposal.source == "default"
    assert f"best: {dict(found['loop'].history.best.config)}" in printed


@pytest.mark.ray
def test_a_ray_tune_script_with_another_searcher_and_scheduler(local_ray, script):
    found, printed = script("ray_tune_script.py", 3)
    history = found["search"].book.history()
    assert len(history.trials) == 3
    assert history.trials[0].config == {"lr": 1e-3, "width": 32}
    assert history.best.value(history.objective) > 0.8
    assert str(found["best"].config) in printed


@pytest.mark.ray
def test_an_advisor_of_your_own_gets_trials(local_ray, script):
    found, printed = script("own_advisor.py", 8)
    trials = found["search"].book.history().trials
    assert len(trials) == 8
    assert {"default", "classical", "halfway"} == {t.proposal.source for t in trials}
    assert "halfway between" in printed


@pytest.mark.ray
def test_a_training_of_your_own(local_ray, monkeypatch, tmp_path):
    folder = EXAMPLES / "own_training"
    monkeypatch.syspath_prepend(str(folder))
    job = load_job(folder / "job.yaml", {"trials": 3, "max_steps": 4})
    outcome = run(job, None, tmp_path / "run", lambda line: None)
    assert outcome.trials["total"] == 3
    assert outcome.test["accuracy"] > 0.5
    assert outcome.sources["default"] == 1
