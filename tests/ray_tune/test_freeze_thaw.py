"""Trials that freeze and thaw in real Ray, with `LLMSearch` and its `ReviewScheduler`."""

from __future__ import annotations

import pytest
from ray import tune
from trainables import climbing

from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import Decision, ResultReported, TrialResumed
from automl_gpt_ray.journal import FILE_NAME, read_journal
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import TrialState
from automl_gpt_ray.steering_rule import SteeringRule

STEPS, TRIALS = 9, 10
SPACE = {"lr": tune.loguniform(1e-4, 1.0), "momentum": tune.uniform(0.0, 1.0)}
pytestmark = pytest.mark.ray


def tuner(folder, search, scheduler, **options):
    return tune.Tuner(
        tune.with_resources(climbing, {"cpu": 1}),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=TRIALS,
            search_alg=search,
            scheduler=scheduler,
            reuse_actors=True,
            **options,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), name="exp", verbose=0),
    )


@pytest.mark.parametrize("forecasts", ["earned", "trusted"])
def test_trials_freeze_and_thaw(local_ray, tmp_path, forecasts):
    search = LLMSearch(max_steps=STEPS, journal=tmp_path / "run")
    rule = SteeringRule(forecasts=forecasts, audit=0.0)
    grid = tuner(tmp_path, search, ReviewScheduler(search, rule=rule, time_attr="step")).fit()
    assert not grid.errors
    history = search.book.history()
    assert len(history.trials) == TRIALS == len(grid)
    assert all(trial.state.ended for trial in history.trials)
    assert any(trial.state is TrialState.COMPLETED for trial in history.trials)
    paused = {d.subject for d in search.book.decisions if d.action == "pause"}
    assert paused
    resumed = [t for t in history.trials if t.id in paused and t.last_step > 1 and t.state is TrialState.COMPLETED]
    for trial in (*resumed, *history.trials):  # each step once, across all pauses
        assert [o.step for o in trial.observations] == list(range(1, trial.last_step + 1))
    assert all(d.reason and d.step for d in search.book.decisions if d.action in ("pause", "stop"))
    used = sum(trial.last_step for trial in history.trials)
    assert used < STEPS * TRIALS or forecasts == "trusted"  # trusted, it trains on while anything promises a little
    assert {t.proposal.source for t in history.trials} <= {"default", "classical", "random"}
    search.close()


def test_few_checkpoints_are_kept_and_whoever_lost_its_own_begins_anew(local_ray, tmp_path):
    search = LLMSearch(max_steps=STEPS, journal=tmp_path / "run")
    scheduler = ReviewScheduler(search, max_paused=1, rule=SteeringRule(audit=0.0), time_attr="step")
    grid = tuner(tmp_path, search, scheduler).fit()
    assert not grid.errors
    history = search.book.history()
    told = {d.subject for d in search.book.decisions if d.action == "forget"}
    assert told
    assert history.best.id not in told or history.best.last_step == STEPS
    events = [entry.event for entry in read_journal(tmp_path / "run" / FILE_NAME)]
    for name in told:
        at = max(
            i for i, e in enumerate(events) if isinstance(e, Decision) and (e.subject, e.action) == (name, "forget")
        )
        later = [e.observation.step for e in events[at:] if isinstance(e, ResultReported) and e.trial == name]
        resumed = any(isinstance(e, TrialResumed) and e.trial == name for e in events[at:])
        assert bool(later) == resumed
        before = [e.observation.step for e in events[:at] if isinstance(e, ResultReported) and e.trial == name]
        if resumed:
            assert later[0] == 1 or before == [1]  # a step that is reported again counts once
        else:
            assert not list((tmp_path / "exp").glob(f"*{name}*/checkpoint_*"))
    search.close()


def test_a_limit_that_counts_paused_trials_is_refused(local_ray, tmp_path):
    search = LLMSearch(max_steps=STEPS, journal=tmp_path / "run")
    with pytest.raises(JobError, match="max_concurrent_trials"):
        tuner(tmp_path, search, ReviewScheduler(search), max_concurrent_trials=2).fit()
    search.close()
