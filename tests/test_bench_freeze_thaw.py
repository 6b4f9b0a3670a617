"""Freeze-thaw: the scheduler with a searcher that shares its planner, in virtual time and in real Ray."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from ray import tune

from automl_gpt_ray.advisors.freeze_thaw import FreezeThawAdvisor
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.records import TrialState
from benchmarks.formula import Formula
from benchmarks.freeze_thaw import PlannedSearch
from benchmarks.replay import Limits
from benchmarks.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent / "ray_tune"))
from trainables import climbing

STEPS = 9


def pair(slots, budget, trials=None):
    brief = Formula(steps=STEPS).brief
    searcher = PlannedSearch(brief, lambda model: FreezeThawAdvisor(brief.space, 0, model=model), 0, budget, trials)
    return searcher, ReviewScheduler(searcher, slots, time_attr="step")


def test_trials_freeze_and_thaw_in_virtual_time():
    searcher, scheduler = pair(3, 120)
    limits, options = Limits(epochs=120), {"as_ray": True, "ahead": 0}
    replay = Simulator(Formula(steps=STEPS), searcher, scheduler, workers=3, limits=limits, **options).run()
    words = Counter(word for _, _, word in replay.decisions)
    assert words["PAUSE"] >= 3
    history = searcher.book.history()
    assert max(len(history.in_state(TrialState.RUNNING)), 0) <= 3
    assert len(history.trials) > 120 // STEPS  # what is frozen leaves room for more
    assert any(trial.last_step == STEPS for trial in history.trials)
    resumed = [t for t, _, word in replay.decisions if word == "PAUSE"]
    later = {e.trial for e in replay.evaluations if e.trial in resumed}
    assert later
    best = max(e.value for e in replay.evaluations)
    assert best > replay.evaluations[STEPS - 1].value


@pytest.mark.ray
def test_trials_freeze_and_thaw_in_ray(local_ray, tmp_path):
    searcher, scheduler = pair(1, 200, 7)
    tuner = tune.Tuner(
        tune.with_resources(climbing, {"cpu": 2}),  # all there is: one trial at a time
        tune_config=tune.TuneConfig(
            metric="score", mode="max", num_samples=7, search_alg=searcher, scheduler=scheduler, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="exp", verbose=0),
    )
    grid = tuner.fit()
    assert not grid.errors
    history = searcher.book.history()
    assert len(history.trials) == 7
    # With nothing new to start, what promises enough is trained to its end, and the rest is let go.
    assert any(t.last_step == STEPS for t in history.trials)
    assert all(t.state.ended for t in history.trials)
    assert all((t.state is TrialState.COMPLETED) == (t.last_step == STEPS) for t in history.trials)
    paused = [d.subject for d in searcher.book.decisions if d.action == "pause"]
    assert paused
    for trial in history.trials:
        assert [o.step for o in trial.observations] == list(range(1, trial.last_step + 1))
