"""Each budget, and an outage, ends a small run on a real local Ray, says so and keeps the best trial."""

from __future__ import annotations

import pytest
from llm_server import LLMServer
from ray import tune
from trainables import leisurely
from tuning_answer import TuningAnswer

from automl_gpt_ray.budget import Budget
from automl_gpt_ray.config import read_job
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.ray_tune.run import run
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.stopping import StopAtBudget
from automl_gpt_ray.records import TrialState

pytestmark = pytest.mark.ray

CARD = {
    "name": "leisurely",
    "structure": "none",
    "tasks": ["classification"],
    "input_types": ["tabular"],
    "hyperparameters": {"lr": {"type": "float", "low": 1e-4, "high": 0.2, "log": True, "default": 0.01}},
    "trainable": "trainables:leisurely",
    "max_steps": 40,
}
PRICES = {"test-model": {"input": 1.0, "output": 1.0}}


def job(iris_job, budget, **changes):
    metrics = [{"name": "score", "mode": "max"}]
    values = {**iris_job, "model_card": CARD, "request": {"metrics": metrics}, "max_steps": 40, "budget": budget}
    del values["trials"]
    return read_job({**values, "trials": 30, **changes})


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"steps": 50}, "the budget of 50 training steps was used up"),
        ({"seconds": 3}, "the time budget of 3 s was used up"),
    ],
)
def test_running_trials_are_stopped(local_ray, iris_job, tmp_path, budget, words):
    lines = []
    outcome = run(job(iris_job, budget), None, tmp_path / "run", lines.append)
    (kind,) = budget
    assert words in outcome.ended_by
    assert budget[kind] <= outcome.used[kind] < budget[kind] + 20
    assert outcome.trials["running"] == 0
    assert outcome.trials["stopped"] >= 1
    assert outcome.trials["total"] < 30
    assert (outcome.best_config is None) == (outcome.steps == 0)
    assert not outcome.failed
    assert any(words in line for line in lines)
    assert read_journal(outcome.journal)[-1].event.reason == outcome.ended_by


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"trials": 2}, "all 2 trials were run"),
        ({"tokens": 3000}, "of 3000 tokens"),
        ({"money": 0.003, "prices": PRICES}, "of 0.003 US dollars"),
    ],
)
def test_running_trials_run_on(local_ray, iris_job, tmp_path, budget, words):
    short = {**CARD, "max_steps": 4, "trainable": "trainables:sometimes_broken"}
    changes = {"max_steps": 4, "trials": budget.get("trials", 200), "model_card": short}
    with LLMServer(TuningAnswer()) as server:
        llm = Retrying(OpenAIClient("test-model", server.url), attempts=1)
        outcome = run(job(iris_job, budget, llm={"model": "test-model"}, **changes), llm, tmp_path / "run")
    assert words in outcome.ended_by
    assert outcome.trials["stopped"] == outcome.trials["running"] == 0
    assert outcome.trials["total"] < 200
    assert outcome.best_config is not None
    if "tokens" in budget:
        assert outcome.used["tokens"] == outcome.prompt_tokens + outcome.completion_tokens > 0
        events = [e.event for e in read_journal(outcome.journal)]
        paid = {p.id for e in events if e.kind == "advice" and e.source == "language" for p in e.proposals}
        gone = {e.proposal if e.kind == "dropped" else e.proposal.id for e in events if e.kind in ENDS}
        assert paid
        assert paid <= gone  # trained, or replaced by a fresher one


ENDS = ("trial_started", "dropped")


def test_gpu_hours_and_samples_in_somebodys_tuner(local_ray, tmp_path):
    search = LLMSearch(default={"lr": 0.01}, max_steps=40, budget=Budget(gpu_hours=2 / 3600), gpus=0.5)
    tuner = tune.Tuner(
        leisurely,
        param_space={"lr": tune.loguniform(1e-4, 0.2)},
        tune_config=tune.TuneConfig(
            metric="score", mode="max", num_samples=30, search_alg=search, max_concurrent_trials=2, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="exp", verbose=0, stop=StopAtBudget(search)),
    )
    tuner.fit()
    assert "GPU-hours was used up" in search.limits.ended_by
    trials = search.book.history().trials
    assert 2 <= len(trials) < 30
    assert all(t.state.ended for t in trials)
    assert TrialState.STOPPED in {t.state for t in trials}
    assert search.limits.used().gpu_hours >= 2 / 3600
    search.close()


def test_an_outage_ends_the_run_where_the_job_wants_that(local_ray, iris_job, tmp_path):
    lines = []
    dead = Retrying(OpenAIClient("m", "http://127.0.0.1:9/v1", timeout_s=1.0), attempts=2, base_s=0.01)
    loaded = job(iris_job, {}, llm={"model": "m", "on_outage": "fail"})
    outcome = run(loaded, dead, tmp_path / "run", lines.append)
    assert outcome.failed
    assert "`llm.on_outage` is `fail`" in outcome.ended_by
    assert "127.0.0.1:9" in outcome.ended_by
    assert outcome.trials["total"] < 30
    assert outcome.trials["running"] == 0
    assert any("WARNING" in line and "Ending the run" in line for line in lines)


def test_an_outage_is_waited_for_and_then_not(local_ray, iris_job, tmp_path):
    lines = []
    dead = Retrying(OpenAIClient("m", "http://127.0.0.1:9/v1", timeout_s=1.0), attempts=1)
    loaded = job(iris_job, {}, trials=3, llm={"model": "m", "on_outage": "wait", "wait_s": 2})
    outcome = run(loaded, dead, tmp_path / "run", lines.append)
    assert outcome.trials["total"] == 3
    assert not outcome.failed
    said = [line for line in lines if "WARNING" in line]
    assert "Waiting for it, at most 2 s" in said[0]
    assert "waited 2 s for language" in said[1]
    assert outcome.warnings[1].startswith("waited 2 s")
