"""What a resume holds to, up to where Ray would start."""

from __future__ import annotations

import pytest
from small_runs import PLAIN, SPACES, bare_brief, full_brief

from automl_gpt_ray.config import read_job
from automl_gpt_ray.errors import JobError, JournalError
from automl_gpt_ray.job_file import FILE_NAME, saved_job
from automl_gpt_ray.opening import departures, open_book
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


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"request.metrics": ["log_loss"]}, ["metric", "mode"]),
        ({"max_steps": 9}, ["max_steps"]),
        ({"model_card.hyperparameters.eta.high": 0.9}, ["search space: eta"]),
    ],
)
def test_a_run_is_not_carried_on_as_another_one(begun, change, named):
    journal = (begun / "journal.jsonl").read_bytes()
    with pytest.raises(JobError) as error:
        resume(saved_job(begun, change), begun)
    assert [problem.field for problem in error.value.problems] == named
    assert "must stay what the run began with" in str(error.value)
    assert (begun / "journal.jsonl").read_bytes() == journal
    resume(saved_job(begun), begun)


def test_what_is_only_said_otherwise_is_no_other_run(begun):
    told = {"model_card.hyperparameters.eta.description": "in other words", "model_card.hyperparameters.eta.when": {}}
    resume(saved_job(begun, told), begun)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_no_space_departs_from_itself(space, tmp_path):
    for brief in (bare_brief(space), full_brief(), bare_brief(space)):
        folder = tmp_path / str(brief.max_steps)
        open_book(folder / "journal.jsonl", brief, 0, {}).close()
        open_book(folder / "journal.jsonl", brief, 0, {}).close()


def test_a_journal_of_an_older_version_is_taken_up():
    assert departures({}, bare_brief(PLAIN).to_dict()) == []
