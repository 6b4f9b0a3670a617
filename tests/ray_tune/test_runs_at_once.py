"""Two runs of one job at once on one cluster, below one storage path, with one account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from llm_server import LLMServer
from tuning_answer import TuningAnswer

from automl_gpt_ray.events import PromptSent, TrialStarted
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.ray_tune import run as running
from automl_gpt_ray.ray_tune.run import new_place
from automl_gpt_ray.ray_tune.shared_limiter import NAMESPACE, actor_name

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[2]
PER_MINUTE = 3


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(iris_job, tmp_path, monkeypatch):
    from automl_gpt_ray.config import read_job

    monkeypatch.setattr(running.time, "strftime", lambda form: "20300101-000000")
    job = read_job({**iris_job, "storage_path": str(tmp_path)}).job
    folders = {new_place(job, "job").folder for _ in range(20)}
    assert len(folders) == 20
    assert {folder.parent for folder in folders} == {tmp_path}


def test_two_runs_at_once_do_not_collide_and_share_the_limit(local_ray, iris_job, tmp_path):
    with LLMServer(TuningAnswer()) as server:
        llm = {"model": "test-model", "base_url": server.url, "limits": {"requests_per_minute": PER_MINUTE}}
        job = tmp_path / "job.json"
        job.write_text(
            json.dumps({**iris_job, "llm": llm, "storage_path": str(tmp_path / "runs"), "experience": "off"})
        )
        address = ray.get_runtime_context().gcs_address
        command = [sys.executable, "-m", "automl_gpt_ray.cli", "run", str(job), "--address", address, "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        drivers = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        told = [driver.communicate(timeout=300) for driver in drivers]
        asked = len(server.requests)
        ray.kill(ray.get_actor(actor_name(f"{server.url.split('/')[2]}/test-model"), namespace=NAMESPACE))
    assert [driver.returncode for driver in drivers] == [0, 0], told
    folders = [Path(json.loads(out)["run_dir"]) for out, _ in told]
    assert sorted(folders) == sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    prompts, trials = 0, set()
    for folder in folders:
        outcome, events = load_outcome(folder), [entry.event for entry in read_journal(folder / "journal.jsonl")]
        assert outcome.trials["completed"] == iris_job["trials"]
        mine = {event.trial for event in events if isinstance(event, TrialStarted)}
        assert not mine & trials, "ids of trials are each run's own"
        trials |= mine
        assert {path.name for path in (folder / "ray").glob("trial_*")} == {f"trial_{name}" for name in mine}
        prompts += sum(isinstance(event, PromptSent) for event in events)
        assert "be reached" not in "".join(err for _, err in told)
    # Those that waited for a permit when their run ended were never sent.
    assert 1 <= asked <= PER_MINUTE < prompts
