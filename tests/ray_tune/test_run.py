"""`run(job)` from job to outcome on a real local Ray, with models that work, break and lie."""

from __future__ import annotations

import json

import pytest
from llm_server import LLMServer
from tuning_answer import TuningAnswer

from automl_gpt_ray.config import read_job
from automl_gpt_ray.errors import DataError, JobError
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.ray_tune import fit
from automl_gpt_ray.ray_tune.run import run

pytestmark = pytest.mark.ray
MODEL = {"model": "test-model"}


def client(url):
    return Retrying(OpenAIClient("test-model", url, timeout_s=2.0), attempts=2, base_s=0.01)


def test_the_whole_path(local_ray, iris_job, tmp_path):
    lines = []
    with LLMServer(TuningAnswer()) as server:
        loaded = read_job({**iris_job, "trials": 8, "llm": {**MODEL, "base_url": server.url}})
        outcome = run(loaded, client(server.url), tmp_path / "run", lines.append)
    assert outcome.trials["total"] == outcome.trials["completed"] == 8
    assert outcome.sources["default"] == 1
    assert outcome.sources["language"] >= 1
    assert outcome.llm_calls >= 1
    assert outcome.prompt_tokens > 0
    assert outcome.test["accuracy"] > 0.85
    assert outcome.validation["accuracy"] == max(v for _, v in outcome.real_log)
    assert outcome.ended_by == "all 8 trials were run"
    assert load_outcome(tmp_path / "run") == outcome
    kinds = [entry.event.kind for entry in read_journal(outcome.journal)]
    assert kinds[-1] == "run_ended"
    assert kinds.count("tested") == 1
    assert sum(line.endswith(")") and "done at step" in line for line in lines) == 8


def test_a_trainable_that_never_reports_the_metric_is_one_message(local_ray, iris_job, tmp_path):
    space = {"lr": {"type": "float", "low": 0.1, "high": 1, "default": 0.5}}
    kinds = {"tasks": ["classification"], "input_types": ["tabular"], "structure": "none"}
    card = {"name": "mine", **kinds, "trainable": "trainables:silent", "hyperparameters": space}
    with pytest.raises(JobError, match="must report `accuracy` at every step"):
        run(read_job({**iris_job, "model_card": card}), None, tmp_path / "run")


def test_a_dead_server_costs_no_trial_and_is_loud(local_ray, iris_job, tmp_path):
    lines = []
    dead = client("http://127.0.0.1:9/v1")
    outcome = run(read_job({**iris_job, "trials": 5}), dead, tmp_path / "run", lines.append)
    assert outcome.trials["completed"] == 5
    assert "language" not in outcome.sources
    assert outcome.warnings
    assert "127.0.0.1:9" in outcome.warnings[0]
    assert any("WARNING: language cannot be asked" in line for line in lines)
    assert any("note: `language` could not be asked" in line for line in lines)


def test_a_model_that_answers_rubbish_costs_no_trial(local_ray, iris_job, tmp_path):
    with LLMServer(lambda body: "As a language model I prefer poetry.") as server:
        outcome = run(read_job(iris_job), client(server.url), tmp_path / "run")
    assert outcome.trials["completed"] == 4
    assert outcome.llm_failures >= 1
    failed = [e.event for e in read_journal(outcome.journal) if e.event.kind == "call_failed"]
    assert failed[0].error == "no_json"
    assert "poetry" in failed[0].message


def test_failed_trials_are_told_with_their_class(local_ray, iris_job, tmp_path):
    card = {
        "name": "fragile",
        "structure": "none",
        "tasks": ["classification"],
        "input_types": ["tabular"],
        "hyperparameters": {"lr": {"type": "float", "low": 1e-4, "high": 0.2, "log": True, "default": 0.01}},
        "trainable": "trainables:sometimes_broken",
        "max_steps": 3,
    }
    job = {**iris_job, "model_card": card, "trials": 14, "request": {"metrics": [{"name": "score", "mode": "max"}]}}
    outcome = run(read_job({**job, "max_steps": None}), None, tmp_path / "run")
    assert outcome.trials["total"] == 14
    assert outcome.trials["failed"] == sum(outcome.failures.values()) >= 1
    assert set(outcome.failures) <= {"oom", "error"}
    assert outcome.best_config["lr"] <= 0.02
    assert outcome.test is None
    assert "no `evaluate` function" in outcome.test_note


def test_missing_data_is_named_before_ray_does_anything(iris_job, tmp_path):
    card = {
        "name": "gone",
        "task": "classification",
        "input_type": "tabular",
        "label_space": {"column": "y", "classes": ["a", "b"]},
        "metric": "accuracy",
        "load": {"format": "csv", "path": str(tmp_path / "nowhere"), "files": {"train": "train.csv"}},
    }
    with pytest.raises(DataError) as error:
        run(read_job({**iris_job, "data_card": card}), None, tmp_path / "run")
    assert "train.csv" in str(error.value)
    assert error.value.problems[0].remedy
    assert not (tmp_path / "run").exists()


def test_a_trainable_that_does_not_exist_is_named(iris_job, tmp_path):
    configs = json.loads(json.dumps(iris_job))
    card = {
        "name": "lost",
        "structure": "none",
        "tasks": ["classification"],
        "input_types": ["tabular"],
        "hyperparameters": {"lr": {"type": "float", "low": 0, "high": 1, "default": 0.5}},
        "trainable": "no_such_package:train",
    }
    with pytest.raises(JobError, match="`no_such_package` must be importable"):
        run(read_job({**configs, "model_card": card}), None, tmp_path / "run")


def test_resources_no_machine_has_are_refused(local_ray, iris_job, tmp_path):
    with pytest.raises(JobError, match=r"`resources.gpu`: must not exceed what this machine has \(0\), got 1"):
        run(read_job({**iris_job, "resources": {"gpu": 1}}), None, tmp_path / "run")


def test_memory_that_no_machine_has_is_refused_and_less_shares_it_out(local_ray, iris_job, tmp_path, monkeypatch):
    told = r"`resources.memory_gb`: must not exceed what this machine has \(\d.*\), got 1e\+07"
    with pytest.raises(JobError, match=told):
        run(read_job({**iris_job, "resources": {"memory_gb": 1e7}}), None, tmp_path / "run")
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0, "memory": 7 * 1024**3})
    assert fit._slots(read_job({**iris_job, "resources": {"memory_gb": 2}}).job) == 3


def test_a_run_folder_in_use_is_refused(iris_job, tmp_path):
    (tmp_path / "journal.jsonl").write_text("somebody's run")
    with pytest.raises(JobError, match="must be a new or empty folder"):
        run(read_job(iris_job), None, tmp_path)
