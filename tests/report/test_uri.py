"""Commands that read a run whose storage is named by a URI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from automl_gpt_ray import cli
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.jobs.fetching import at_hand
from automl_gpt_ray.trials_table import write_trials


def called(*arguments):
    done = CliRunner().invoke(cli.app, list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture
def uri(made):
    folder = made(6)
    (folder / "ray").mkdir()
    (folder / "ray" / "checkpoint").write_bytes(b"x" * 1000)
    return folder.as_uri()


def test_a_report_is_written_where_it_was_asked_for(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run0/**/*")}
    assert called("report", uri).startswith(str(tmp_path / "report.html"))
    assert "run0" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("run0/**/*")} == before


def test_trials_and_exports_are_those_of_the_folder(uri, tmp_path):
    write_trials(tmp_path / "run0", tmp_path / "here.json")
    called("trials", uri, "--out", str(tmp_path / "there.json"))
    assert (tmp_path / "there.json").read_bytes() == (tmp_path / "here.json").read_bytes()
    for command in (["trials"], ["export", "--format", "json"]):
        assert called(command[0], uri, *command[1:]) == called(command[0], str(tmp_path / "run0"), *command[1:])


def test_a_replay_reads_it_too(uri):
    assert json.loads(called("replay", uri, "--json"))["events"] > 6


def test_the_copy_has_no_checkpoints_and_is_gone_afterwards(uri):
    with at_hand(uri) as folder:
        assert folder.name == "run0"
        assert not (folder / "ray").exists()
    assert not Path(folder).exists()


def test_a_uri_of_nothing_is_one_clear_mistake(tmp_path):
    with pytest.raises(JobError, match="must be storage that this machine can read"), at_hand(tmp_path.as_uri() + "/x"):
        pass
