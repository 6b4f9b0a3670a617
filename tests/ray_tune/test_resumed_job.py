"""What a resume holds to, up to where Ray would start."""

from __future__ import annotations

import pytest

from automl_gpt_ray.config import read_job
from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.job_file import FILE_NAME, saved_job
from automl_gpt_ray.ray_tune import run as running
from automl_gpt_ray.ray_tune.run import resume, run


@pytest.fixture
def begun(iris_job, tmp_path, monkeypatch):
    """The folder of a run in which Ray did nothing, nor will in what resumes it."""
    monkeypatch.setattr(running, "connect", lambda loaded: None)
    monkeypatch.setattr(running, "search", lambda *_: None)
    monkeypatch.setattr(running, "finish", lambda *_: None)
    run(read_job(iris_job), None, tmp_path / "run")
    return tmp_path / "run"


def test_what_a_resume_was_told_the_next_one_knows(begun):
    resume(saved_job(begun, {"trials": 8}), begun)
    assert saved_job(begun).job.trials == 8
    resume(saved_job(begun), begun)
    assert saved_job(begun).job.trials == 8
    assert {path.name for path in begun.iterdir()} == {FILE_NAME, "journal.jsonl", "journal.jsonl.lock"}


def test_a_resume_that_may_not_write_the_journal_changes_nothing(begun):
    (begun / "journal.jsonl").write_text("somebody else's\n")
    with pytest.raises(JournalError):
        resume(saved_job(begun, {"trials": 8}), begun)
    assert saved_job(begun).job.trials == 4
