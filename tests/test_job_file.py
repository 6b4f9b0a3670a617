"""What a run folder keeps of its job: whole or not there, and said where it cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from automl_gpt_ray.cli import app
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.job_file import TASKS, run_in, tasks_in, write_values
from automl_gpt_ray.journal import FILE_NAME
from automl_gpt_ray.replay import replay


@pytest.mark.parametrize("content", [b"", b'{"iris": {"name"', b"[]", b'{"iris": 3}', b"\xff\xfe"])
def test_tasks_that_cannot_be_read_are_not_none(tmp_path, content):
    (tmp_path / TASKS).write_bytes(content)
    with pytest.raises(JobError, match=r"`tasks\.json` (cannot be read|does not hold)"):
        tasks_in(tmp_path)
    done = CliRunner().invoke(app, ["run", "--resume", str(tmp_path)])
    assert isinstance(done.exception, JobError)


def test_a_folder_of_something_else_has_no_tasks(tmp_path):
    assert tasks_in(tmp_path) == {}
    assert tasks_in(tmp_path / "nowhere") == {}


def test_what_is_killed_while_it_writes_leaves_what_was_there(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    write_values({"a": {}}, tmp_path / TASKS)
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_values({"b": {}}, tmp_path / TASKS)
    assert tasks_in(tmp_path) == {"a": {}}


def job_of(tmp_path, *begun):
    """The folder of a job of two tasks, of which these have begun."""
    write_values({"iris": {}, "wine/trees": {}}, tmp_path / TASKS)
    (tmp_path / FILE_NAME).write_bytes(b"")
    for name in begun:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / FILE_NAME).write_bytes(b"")
    return str(tmp_path)


@pytest.mark.parametrize("command", [["feedback", "{}", "hello"], ["feedback", "{}"], ["replay", "{}"]])
@pytest.mark.parametrize(
    ("begun", "said"), [(["iris", "wine/trees"], "give one of iris, wine/trees"), ([], "has begun")]
)
def test_a_job_of_several_tasks_is_not_one_run(tmp_path, command, begun, said):
    folder = job_of(tmp_path, *begun)
    done = CliRunner().invoke(app, [part.format(folder) for part in command])
    assert isinstance(done.exception, JobError)
    assert said in str(done.exception).lower()
    assert not (tmp_path / "feedback.jsonl").exists()


def test_the_journal_of_a_job_of_several_tasks_is_not_one_of_a_run(tmp_path):
    with pytest.raises(JobError, match="one run"):
        replay(f"{job_of(tmp_path, 'iris', 'wine/trees')}/{FILE_NAME}")


def test_the_only_run_of_a_job_of_several_tasks_is_meant(tmp_path):
    assert run_in(Path(job_of(tmp_path, "iris")), "feedback") == tmp_path / "iris"
    assert run_in(tmp_path / "iris", "feedback") == tmp_path / "iris"
