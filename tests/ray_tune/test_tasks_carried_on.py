"""Which tasks of a job are begun, carried on or left as they are; the runs themselves are stood in for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from small_runs import PLAIN

from automl_gpt_ray.assignment.open_job import read_open_job
from automl_gpt_ray.book import Book
from automl_gpt_ray.events import RunStarted
from automl_gpt_ray.job_file import save_job, tasks_in
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
        place = module.Path(folder)
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
