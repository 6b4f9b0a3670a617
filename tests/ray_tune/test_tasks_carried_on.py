"""Which tasks of a job are begun, carried on or left as they are; the runs themselves are stood in for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_runs import PLAIN

from automl_gpt_ray.assignment.open_job import read_open_job
from automl_gpt_ray.assignment.registry import Registry
from automl_gpt_ray.assignment.saved_open_job import assigned_before, save_open_job, saved_open_job
from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import RunStarted
from automl_gpt_ray.job_events import ModelAssigned
from automl_gpt_ray.job_file import save_job, tasks_in
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.outcome import summarise
from automl_gpt_ray.ray_tune import run_tasks as module


@pytest.fixture
def two(iris_job):
    """A job of two tables and no model."""
    iris = iris_job["data_card"]
    tasks = [{"data_card": iris}, {"data_card": iris.replace("iris", "wine")}]
    return read_open_job({"name": "two", "tasks": tasks, "trials": 3, "max_steps": 2})


@pytest.fixture
def stage(monkeypatch):
    """What runs come to, in turn (`ends`), and what was done (`done`)."""
    made = SimpleNamespace(ends=[], done=[])

    def outcome(folder):
        book = Book()
        book.record(RunStarted("accuracy", "max", 4, 0, PLAIN.default))
        found = summarise(
            book, name=folder.name, run_dir=folder, wall_seconds=1.0, ended_by="trials", journal=folder / "j"
        )
        changed = replace(found, **made.ends.pop(0))
        changed.save(folder)
        return changed

    def run(task, client, folder, tell):
        place = Path(folder)
        place.mkdir(parents=True)
        save_job(task, place)
        made.done.append(f"run {place.name}")
        return outcome(place)

    def resume(task, folder, client, tell):
        made.done.append(f"resume {folder.name}")
        return outcome(folder)

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "resume", resume)
    monkeypatch.setattr(module, "remember", lambda job, folder, tell: made.done.append(f"remember {folder.name}"))
    return made


STOPPED = {"ended_by": "interrupted", "trials": {"total": 2, "running": 2}}


def test_after_an_interruption_no_other_task_begins(two, stage, tmp_path):
    stage.ends += [STOPPED]
    lines = []
    assert list(module.run_tasks(two, None, tmp_path / "job", lines.append)) == ["iris"]
    assert stage.done == ["run iris"]
    assert "interrupted: 1 tasks were left; carry the job on with --resume" in lines
    assert list(tasks_in(tmp_path / "job")) == ["iris", "wine"]
    stage.ends += [STOPPED, {}, {}]
    assert list(module.resume_tasks(tmp_path / "job")) == ["iris"]
    assert list(module.resume_tasks(tmp_path / "job")) == ["iris", "wine"]
    assert stage.done[1:] == ["resume iris", "resume iris", "run wine"]


@pytest.mark.parametrize(
    "end", [STOPPED, {"failed": True}, {"trials": {"total": 1, "paused": 1}}, {"trials": {"total": 1, "running": 1}}]
)
def test_a_task_that_has_not_ended_is_carried_on(two, stage, tmp_path, end):
    stage.ends += [{}, end, {}]
    module.run_tasks(two, None, tmp_path / "job")
    module.resume_tasks(tmp_path / "job")
    assert stage.done == ["run iris", "run wine", "remember iris", "resume wine"]


def test_a_task_that_has_ended_is_remembered_all_the_same(two, stage, tmp_path):
    stage.ends += [{}, {}]
    outcomes = module.run_tasks(two, None, tmp_path / "job")
    del stage.done[:]
    assert module.resume_tasks(tmp_path / "job") == outcomes
    assert stage.done == ["remember iris", "remember wine"]


CHOICE = [
    {"task": "wine", "model": "random_forest", "reason": "few rows", "alternatives": []},
    {"task": "iris", "model": "logistic_regression", "reason": "linear", "alternatives": []},
]


def killed(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("at", "asked"), [("jobs_of", 0), ("assign_models", 1)])
def test_a_paid_assignment_outlives_a_kill(iris_job, stage, tmp_path, monkeypatch, at, asked):
    cards = Path(iris_job["data_card"]).parent
    tasks = [{"data_card": "iris.yaml"}, {"data_card": "wine.yaml", "data": {"path": "tables"}}]
    values = {"name": "two", "tasks": tasks, "trials": 3, "max_steps": 2, "llm": {"model": "m"}}
    job = read_open_job(values, "job.yaml", cards)
    model = Scripted([json.dumps({"assignments": CHOICE})] * 2)
    with monkeypatch.context() as patch:
        patch.setattr(module, at, killed)
        with pytest.raises(KeyboardInterrupt):
            module.run_tasks(job, lambda options: model, tmp_path / "job")
    assert tasks_in(tmp_path / "job") == {}
    already = len(model.prompts)
    monkeypatch.chdir(tmp_path)
    stage.ends += [{}, {}]
    assert list(module.resume_tasks(tmp_path / "job", lambda options: model)) == ["iris", "wine"]
    assert len(model.prompts) - already == asked
    names = {name: task["model_card"]["name"] for name, task in tasks_in(tmp_path / "job").items()}
    assert names == {"iris": "logistic_regression", "wine": "random_forest"}


def test_an_open_job_is_kept_as_it_was(iris_job, tmp_path):
    cards = Path(iris_job["data_card"]).parent
    adult = {"data_card": "adult.yaml", "data": {"path": "tables"}, "budget": {"trials": 2}, "models": 2}
    named = {"data_card": "wine.yaml", "model_card": "../models/xgboost.yaml"}
    values = {"name": "two", "tasks": [adult, named], "llm": {"model": "m"}, "max_steps": 2}
    job = read_open_job(values, "job.yaml", cards, {"seed": 3})
    save_open_job(job, tmp_path)
    again = saved_open_job(tmp_path)
    assert (again.job.name, again.job.llm, again.folders) == ("two", job.job.llm, job.folders)
    for old, new in zip(job.tasks, again.tasks, strict=True):
        assert replace(new, values={}) == replace(old, values={})
        assert (new.values["seed"], new.values.get("budget")) == (3, old.values.get("budget"))
    assert again.tasks[0].values["data"]["path"] == str(Path.cwd() / "tables")
    with pytest.raises(JobError, match="cannot be read"):
        saved_open_job(tmp_path / "nowhere")


def test_models_that_are_gone_are_asked_for_again(two):
    registry = Registry.read(two.folders)
    told = [ModelAssigned("iris", "xgboost", "x", "rules"), ModelAssigned("wine", "xgboost", "x", "rules")]
    found = assigned_before(two, registry, told)
    assert found is not None
    assert [a.model for a in found] == ["xgboost", "xgboost"]
    assert assigned_before(two, registry, told[:1]) is None
    assert assigned_before(two, registry, [*told, ModelAssigned("wine", "gone", "x", "rules")]) is None
    assert assigned_before(two, registry, [*told, ModelAssigned("wine", "", "x", "rules")]) is None
