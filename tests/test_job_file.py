"""What a run folder keeps of its job: whole or not there, and said where it cannot be read."""

from __future__ import annotations

import os

import pytest
from typer.testing import CliRunner

from automl_gpt_ray.cli import app
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.job_file import TASKS, tasks_in, write_values


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
