"""Runs as Ray Jobs, on a real head with a token: followed, stopped, resumed, told something, fetched back."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from llm_server import LLMServer
from tuning_answer import TuningAnswer

from automl_gpt_ray.book import Book
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.records import TrialState

pytestmark = pytest.mark.ray
PLANTED = "sk-planted-7f3a9c51d2e84b60"
OTHER = "sk-another-19c2e4a7b5d80f36"


def book_of(folder):
    return Book().replay(entry.event for entry in read_journal(folder / "journal.jsonl"))


def until(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.2)
    return found


def holding(key, folder):
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [path for path in files if key.encode() in path.read_bytes()]


def echo(body):
    """An answer whose reasons quote the key that the job was given."""
    values = json.loads(TuningAnswer()(body))
    for item in values["proposals"]:
        item["reason"] = f"because of {PLANTED}"
    return json.dumps(values)


def test_a_followed_job_and_a_key_that_is_nowhere(cluster, climbing, command, tmp_path):
    key = tmp_path / "secret"
    key.write_text(PLANTED + "\n")
    with LLMServer(echo) as server:
        job = climbing(trials=4, llm={"model": "test-model", "base_url": server.url, "api_key_file": str(key)})
        done = command("submit", job, "--follow", cluster=cluster, OPENAI_API_KEY=OTHER)
        sent = [request["headers"].get("authorization", "") for request in server.requests]
    assert done.returncode == 0, done.out + done.err
    assert any(PLANTED in header for header in sent)
    # What a local run prints, line by line.
    for line in ("Language model in charge: test-model", "trial 1/4 starts (default:", "ended because all 4 trials"):
        assert line in done.out
    told = json.loads(command("status", "--json", cluster=cluster).out)
    mine = next(job for job in told if f"job {job['id']} submitted" in done.out)
    assert (mine["status"], mine["exit_code"], mine["modules"]) == ("SUCCEEDED", 0, ["climbing"])
    fetched = command("fetch", mine["id"], tmp_path / "back", cluster=cluster)
    assert fetched.returncode == 0, fetched.err
    outcome = load_outcome(tmp_path / "back")
    assert outcome.trials["completed"] == 4
    assert outcome.sources["language"] >= 1
    below = outcome.checkpoint.removeprefix(outcome.run_dir).lstrip("/")
    assert (tmp_path / "back" / below / "step.txt").read_text() == "8"
    # The key of the cluster and the client's own: in no file of the cluster (packages, logs), of the run, or told.
    for secret in (PLANTED, OTHER):
        assert secret not in json.dumps(told) + done.out + done.err
        for place in (tmp_path / "back", tmp_path / "runs", Path(cluster.temp)):
            assert holding(secret, place) == []


def test_a_job_goes_on_unwatched_takes_a_remark_and_is_resumed_after_a_stop(cluster, climbing, command, tmp_path):
    (tmp_path / "gate").touch()
    job = climbing(trials=6)
    watched = command("submit", job, "--follow", cluster=cluster, wait=False)
    began = []
    for line in watched.stdout:
        began.append(line)
        if "trial 1/6 done" in line:
            break
    name = next(line.split()[1] for line in began if line.startswith("job "))
    watched.send_signal(signal.SIGINT)
    rest, _ = watched.communicate(timeout=60)
    assert watched.returncode == 130
    assert f"{name} goes on" in rest
    said = command("feedback", name, "--narrow", "lr=0.005:0.05", cluster=cluster)
    assert "will know of it within seconds" in said.out, said.out + said.err
    busy = command("resume", name, cluster=cluster)
    assert busy.returncode == 2
    assert "must be a job whose run has ended" in busy.err
    stopped = command("stop", name, cluster=cluster)
    assert f"{name} stopped" in stopped.out
    assert json.loads(command("status", name, "--json", cluster=cluster).out)["status"] == "STOPPED"
    kept = book_of(tmp_path / "runs" / name)
    before = {trial.id: trial for trial in kept.history().trials if trial.state.ended}
    assert [dict(remark.narrowed) for remark in kept.feedback] == [{"lr": (0.005, 0.05)}]
    assert len(before) == 1
    (tmp_path / "gate").unlink()
    resumed = command("resume", name, "--follow", cluster=cluster)
    assert resumed.returncode == 0, resumed.out + resumed.err
    assert "ended because all 6 trials" in resumed.out
    after = {trial.id: trial for trial in book_of(tmp_path / "runs" / name).history().trials}
    assert len(after) == 6
    assert {key: after[key] for key in before} == before
    assert all(trial.state is TrialState.COMPLETED for trial in after.values())
    assert len({trial.config["lr"] for trial in after.values()}) == 6
    refused = command("stop", "no-such-job", cluster=cluster)
    assert (refused.returncode, "must be the id of a job on this cluster" in refused.err) == (2, True)


def test_exit_codes_are_the_runs(cluster, climbing, command):
    failing = command("submit", climbing(fails=True, trials=2), "--follow", cluster=cluster)
    assert failing.returncode == 1, failing.out + failing.err
    assert "failed (oom)" in failing.out
    # Data that the client has never seen and the cluster has not either.
    job = json.loads(climbing(data={"path": "/nowhere/at/all.csv"}).read_text())
    job["data_card"]["load"] = {"format": "csv"}
    path = climbing()
    path.write_text(json.dumps(job))
    wrong = command("submit", path, "--follow", cluster=cluster)
    assert wrong.returncode == 2, wrong.out + wrong.err
    assert "data.path /nowhere/at/all.csv must be there on every node" in wrong.out
    assert "load.path" in wrong.out


@pytest.mark.parametrize("token", [None, "wrong-token-0123456789"])
def test_without_the_token_nothing_is_submitted(cluster, climbing, command, token):
    given = {"RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
    refused = command("submit", climbing(), cluster=cluster, **given)
    assert refused.returncode == 2, refused.out + refused.err
    assert "asks for a token" in refused.err
    assert "RAY_AUTH_MODE=token" in refused.err
    assert cluster.environment["RAY_AUTH_TOKEN"] not in refused.out + refused.err
