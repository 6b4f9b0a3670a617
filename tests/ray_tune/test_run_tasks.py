"""A job of several tasks on a real local Ray: matched, checked, trained one after the other, carried on."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from automl_gpt_ray.assignment.open_job import read_open_job
from automl_gpt_ray.cli import app
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.job_events import ModelAssigned
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.ray_tune.run_tasks import best_models, resume_tasks, run_tasks
from automl_gpt_ray.replay import replay
from automl_gpt_ray.yaml_file import dump_yaml

pytestmark = pytest.mark.ray


@pytest.fixture
def two(iris_job):
    """Values of a job of two tables and no model."""
    iris = iris_job["data_card"]
    tasks = [{"data_card": iris}, {"data_card": iris.replace("iris", "wine"), "trials": 2}]
    return {"name": "two", "tasks": tasks, "trials": 3, "max_steps": 2}


def test_each_task_is_a_run_of_its_own(local_ray, two, tmp_path):
    choice = {"task": "wine", "model": "random_forest", "reason": "few rows", "alternatives": []}
    other = {"task": "iris", "model": "logistic_regression", "reason": "linear", "alternatives": []}
    scripts = [Scripted([json.dumps({"assignments": [choice, other]})])]
    lines, shown = [], []
    job = read_open_job({**two, "llm": {"model": "m"}})
    outcomes = run_tasks(
        job,
        lambda options: scripts.pop() if scripts else OpenAIClient("m", "http://127.0.0.1:9/v1", timeout_s=1.0),
        tmp_path / "job",
        lines.append,
        lambda assignments, registry: shown.extend(assignments),
    )
    done = {name: (outcome.trials["completed"], outcome.name) for name, outcome in outcomes.items()}
    assert done == {"iris": (3, "iris"), "wine": (2, "wine")}
    assert [(a.model, a.by) for a in shown] == [("logistic_regression", "language"), ("random_forest", "language")]
    assigned = [e.event for e in read_journal(tmp_path / "job" / "journal.jsonl") if isinstance(e.event, ModelAssigned)]
    assert [(e.task, e.model) for e in assigned] == [("iris", "logistic_regression"), ("wine", "random_forest")]
    assert "task wine: random_forest on wine" in lines
    assert replay(tmp_path / "job" / "wine").different == 0
    assert load_outcome(tmp_path / "job" / "iris") == outcomes["iris"]


def test_two_models_on_a_task_are_two_runs_and_the_better_one_is_named(local_ray, two, tmp_path):
    values = {**two, "tasks": two["tasks"][:1], "models": 2, "trials": 2}
    outcomes = run_tasks(read_open_job(values), None, tmp_path / "job")
    first, second = outcomes
    assert {name.partition("/")[0] for name in outcomes} == {"iris"}
    assert first != second
    assert load_outcome(tmp_path / "job" / second) == outcomes[second]
    better = max(outcomes, key=lambda n: outcomes[n].validation["accuracy"] * (1 if outcomes[n].mode == "max" else -1))
    assert outcomes[better].metric == "accuracy"
    assert outcomes[best_models(outcomes)["iris"]].validation["accuracy"] == outcomes[better].validation["accuracy"]
    assert resume_tasks(tmp_path / "job") == outcomes
    assert best_models({"iris": outcomes[first]}) == {}


def test_a_model_that_breaks_a_limit_is_not_the_best():
    def outcome(value, kept, mode="max"):
        made = SimpleNamespace(metric="m", mode=mode, best_config={}, validation={"m": value})
        return SimpleNamespace(**vars(made), limits=[SimpleNamespace(kept=kept)])

    assert best_models({"t/a": outcome(0.9, False), "t/b": outcome(0.5, True)}) == {"t": "t/b"}
    assert best_models({"t/a": outcome(0.9, None), "t/b": outcome(0.5, True)}) == {"t": "t/a"}
    assert best_models({"t/a": outcome(0.9, True, "min"), "t/b": outcome(0.5, True, "min")}) == {"t": "t/b"}
    assert best_models({"t/a": outcome(math.nan, True), "t/b": outcome(0.5, True)}) == {"t": "t/b"}


def test_a_job_that_was_killed_between_two_tasks_goes_on(local_ray, two, tmp_path, monkeypatch):
    from automl_gpt_ray.ray_tune import run_tasks as module

    def killed(*arguments):
        monkeypatch.undo()
        raise KeyboardInterrupt

    first = module._run
    calls = []
    monkeypatch.setattr(module, "_run", lambda *told: first(*told) if not calls and not calls.append(1) else killed())
    with pytest.raises(KeyboardInterrupt):
        run_tasks(read_open_job(two), None, tmp_path / "job")
    iris = load_outcome(tmp_path / "job" / "iris")
    assert not (tmp_path / "job" / "wine").exists()
    outcomes = resume_tasks(tmp_path / "job")
    assert outcomes["iris"] == iris
    assert outcomes["wine"].trials["completed"] == 2


def test_what_is_wrong_with_any_task_is_said_before_the_first_trains(two, tmp_path):
    (tmp_path / "adult.data").write_text("nothing of the kind")
    adult = {"data_card": two["tasks"][1]["data_card"].replace("wine", "adult"), "data": {"path": str(tmp_path)}}
    with pytest.raises(JobError, match="task adult"):
        run_tasks(read_open_job({**two, "tasks": [two["tasks"][0], adult]}), None, tmp_path / "job")
    assert not (tmp_path / "job" / "iris").exists()


def test_the_commands(local_ray, two, tmp_path):
    (tmp_path / "job.yaml").write_text(dump_yaml({**two, "storage_path": str(tmp_path / "runs")}))
    call = CliRunner().invoke
    told = json.loads(call(app, ["assign", str(tmp_path / "job.yaml"), "--json"]).stdout)
    assert [(t["task"], t["by"]) for t in told] == [("iris", "rules"), ("wine", "rules")]
    assert "refused by rule" in call(app, ["assign", str(tmp_path / "job.yaml")], env={"COLUMNS": "200"}).stdout
    done = call(app, ["run", str(tmp_path / "job.yaml"), "--trials", "1", "--quiet", "--json"])
    assert done.exit_code == 0, done.output
    outcomes = json.loads(done.stdout)
    assert [o["trials"]["total"] for o in outcomes.values()] == [1, 1]
    (folder,) = (tmp_path / "runs").glob("two-*")
    again = call(app, ["run", "--resume", str(folder), "--json"])
    assert json.loads(again.stdout) == outcomes
    wrong = call(app, ["run", "--resume", str(folder), "--trials", "2"])
    assert isinstance(wrong.exception, JobError)


def test_a_plan_of_tasks_assigns_and_plans_each(two, tmp_path):
    (tmp_path / "job.yaml").write_text(dump_yaml(two))
    told = CliRunner().invoke(app, ["plan", str(tmp_path / "job.yaml"), "--proposals", "1", "--set", "experience=off"])
    assert told.exit_code == 0, told.output
    assert told.output.count("1. default: the default configuration") == 2
    assert "up to 3 trials and 3 training steps" in told.output
    assert "up to 2 trials and 2 training steps" in told.output
