"""What is refused before anything is submitted; packing, log lines and addresses, without a cluster."""

from __future__ import annotations

import sys

import pytest

from automl_gpt_ray.config import load_job
from automl_gpt_ray.errors import InputError, JobError
from automl_gpt_ray.jobs.fetching import fetch
from automl_gpt_ray.jobs.following import _Lines, exit_code
from automl_gpt_ray.jobs.packing import own_modules, pack, source_of
from automl_gpt_ray.jobs.server import JobServer, JobState
from automl_gpt_ray.jobs.submitting import submit

NOWHERE = "http://127.0.0.1:9"
SECRET = "sk-planted-7f3a9c51d2e84b60"


@pytest.fixture
def job(climbing, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    monkeypatch.delitem(sys.modules, "climbing", raising=False)  # another test's

    def load(**changes):
        return load_job(climbing(**changes))

    return load


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"storage_path": "runs"}, "must outlive the driver"),
        ({"storage_path": "nofs://bucket/x"}, "must be a folder or a URI that `pyarrow.fs` knows"),
        ({"refit": True}, "must take a second parameter `task`"),
        ({"name": SECRET}, "must hold no key"),
        ({}, "must be a Ray cluster's job server"),
    ],
)
def test_bad_input_is_refused_here(job, changes, said):
    with pytest.raises(InputError, match=said):
        submit(job(**changes), NOWHERE)


def test_an_unknown_trainable_is_refused_as_run_does(job, tmp_path):
    loaded = job()
    (tmp_path / "mine" / "climbing.py").write_text("def other(config): ...\n")
    card = loaded.model.model_copy(update={"trainable": "climbing:missing"})
    with pytest.raises(JobError, match="must hold a function `missing`"):
        submit(type(loaded)(loaded.job, loaded.data, card, loaded.source), NOWHERE)


def test_a_package_holds_job_and_code_and_no_rubbish(job, tmp_path):
    job()
    (tmp_path / "mine" / ".env").write_text("X=1")
    folder = tmp_path / "package"
    folder.mkdir()
    pack({"name": "x"}, ["climbing"], folder)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert {"job.json", "climbing.py", "automl_gpt_ray/jobs/driver.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".env")]


def test_a_package_with_a_key_of_the_environment_is_refused(job, tmp_path, monkeypatch):
    job()
    monkeypatch.setenv("MY_TOKEN", "quite-ordinary-text")
    (tmp_path / "mine" / "climbing.py").write_text("KEY = 'quite-ordinary-text'\n")
    (tmp_path / "package").mkdir()
    with pytest.raises(JobError, match=r"climbing\.py.*must hold no key"):
        pack({"name": "x"}, ["climbing"], tmp_path / "package")


def test_what_is_installed_stays_here():
    assert source_of("numpy") is None
    assert source_of("json") is None
    assert own_modules(["automl_gpt_ray.training.tabular:train", "a.b:c", None], ["d", "a"]) == ["a", "d"]
    with pytest.raises(JobError, match="must be importable here"):
        source_of("no_such_module_at_all")


def test_lines_are_told_once_however_often_the_log_is_read():
    told = []
    lines = _Lines(told.append)
    for piece in ("Running entrypoint for job x: y\none\nt", "wo\n"):
        lines.take(piece)
    lines.again()
    for piece in ("Running entrypoint for job x: y\none\ntwo\nthree\n", "last"):
        lines.take(piece)
    lines.end()
    assert told == ["one", "two", "three", "last"]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", None, 1), ("FAILED", -9, 1), ("STOPPED", None, 4)],
)
def test_exit_codes(status, code, expected):
    assert exit_code(JobState("x", status, "r", (), "", code, None, None, "")) == expected


@pytest.mark.parametrize("address", ["head", "http://[::1"])
def test_an_address_must_be_a_url(address):
    with pytest.raises(JobError, match="job server"):
        JobServer(address)


def test_a_run_that_cannot_be_seen_is_not_fetched(tmp_path):
    with pytest.raises(JobError, match="Fetch on a machine that sees that folder"):
        fetch(str(tmp_path / "nothing"), tmp_path / "back")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(JobError, match="must be a new or empty folder"):
        fetch(str(tmp_path / "nothing"), tmp_path / "full")
    (tmp_path / "file").write_text("x")
    with pytest.raises(JobError, match="must be a new or empty folder"):
        fetch(str(tmp_path / "nothing"), tmp_path / "file")
