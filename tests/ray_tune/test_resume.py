"""A driver killed with SIGKILL, its run carried on by the next one: nothing finished or paid for is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from llm_server import LLMServer
from tuning_answer import TuningAnswer

from automl_gpt_ray.book import Book
from automl_gpt_ray.events import Decision, PromptSent, ReplyReceived, RunResumed, TrialEnded, TrialStarted
from automl_gpt_ray.journal import Journal, read_journal
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.records import TrialState
from automl_gpt_ray.replay import replay
from benchmarks.no_data import NO_DATA

pytestmark = pytest.mark.ray
TESTS = Path(__file__).resolve().parents[1]
TRIALS = 8
DRIVER = """
import sys
from benchmarks.climber import train
from ray import tune
from automl_gpt_ray.ray_tune.searcher import LLMSearch

space = {"lr": tune.loguniform(1e-4, 1e-1)}
run = tune.RunConfig(name="mine", storage_path=sys.argv[1], verbose=0,
    checkpoint_config=tune.CheckpointConfig(num_to_keep=1))
search = LLMSearch(metric="score", mode="max", step_key="step", max_steps=8, journal=sys.argv[1] + "/journal")
config = tune.TuneConfig(search_alg=search, num_samples=6, max_concurrent_trials=2)
if sys.argv[2] == "fit":
    tuner = tune.Tuner(train, param_space=space, tune_config=config, run_config=run)
else:
    tuner = tune.Tuner.restore(sys.argv[1] + "/mine", train, param_space=space)
grid = tuner.fit()
print(len(grid))
"""


def environment():
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), str(TESTS / "ray_tune"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "TUNE_GLOBAL_CHECKPOINT_S": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def job_file(folder, url, scheduler=None):
    card = {
        "name": "unhurried",
        "structure": "none",
        "tasks": ["classification"],
        "input_types": ["tabular"],
        "hyperparameters": {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True, "default": 0.02}},
        "trainable": "benchmarks.climber:train",
        "max_steps": 8,
    }
    job = {
        "data_card": NO_DATA,
        "model_card": card,
        "request": {"metrics": [{"name": "score", "mode": "max"}]},
        "trials": TRIALS,
        "max_concurrent": 2,
        "scheduler": scheduler or {"type": "asha", "grace": 3, "time_attr": "step"},
        "llm": {"model": "test-model", "base_url": url},
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(job))
    return path


def events(journal, kind):
    return [entry.event for entry in read_journal(journal) if isinstance(entry.event, kind)]


def python(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


def kill_when(command, journal, ready):
    """Start a driver and kill it, as nobody can forbid, once `ready` says so of its journal."""
    arguments = [sys.executable, *map(str, command)]
    driver = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if driver.poll() is not None:
            raise AssertionError(f"the driver ended by itself: {driver.stdout.read()[-2000:]}")
        if journal.exists() and ready(read_journal(journal)):
            break
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    assert ready(read_journal(journal)), "it never came so far"


def well_under_way(entries):
    kinds = Counter(entry.event.kind for entry in entries)
    return kinds["trial_ended"] >= 2 and kinds["reply"] >= 1 and entries[-1].event.kind in ("result", "checkpoint")


def trials_of(journal):
    book = Book().replay(entry.event for entry in read_journal(journal))
    return {trial.id: trial for trial in book.history().trials}


def check_nothing_was_lost(before, journal, total):
    after = trials_of(journal)
    finished = {key: trial for key, trial in before.items() if trial.state.ended}
    assert finished
    assert {key: after.get(key) for key in finished} == finished
    assert len(after) == total
    assert all(trial.state in (TrialState.COMPLETED, TrialState.STOPPED) for trial in after.values())
    assert len({trial.config["lr"] for trial in after.values()}) == total
    return after


def check_replay(run_dir):
    report = replay(run_dir)
    assert (report.different, report.differences) == (0, ())
    assert report.tallies["trust"].same == len(events(report.journal, TrialStarted))


def test_a_killed_run_goes_on_where_it_stood(tmp_path):
    folder = tmp_path / "run"
    journal = folder / "journal.jsonl"
    command = ["-m", "automl_gpt_ray.cli", "run"]
    with LLMServer(TuningAnswer()) as server:
        job = job_file(tmp_path, server.url)
        kill_when([*command, job, "--run-dir", folder], journal, well_under_way)
        before, asked = trials_of(journal), events(journal, PromptSent)
        folder = folder.rename(tmp_path / "moved")  # as from a machine that is given back
        journal = folder / "journal.jsonl"
        resumed = python(*command, "--resume", folder)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    after = check_nothing_was_lost(before, journal, TRIALS)
    assert len(events(journal, RunResumed)) == 1
    # What was training went on from a checkpoint, under its name; steps were repeated by one at most.
    for trial in before.values():
        if not trial.state.ended and trial.last_step >= 3 and trial.id in after:
            assert max(o.metrics["began"] for o in after[trial.id].observations) >= trial.last_step - 2
    answered = {e.call for e in events(journal, ReplyReceived)}
    paid = [e.messages for e in asked if e.call in answered]
    assert not [e for e in events(journal, PromptSent)[len(asked) :] if e.messages in paid]
    outcome = load_outcome(folder)
    assert outcome.trials["total"] == TRIALS
    assert outcome.ended_by == f"all {TRIALS} trials were run"
    assert Path(outcome.checkpoint).parent == folder / "ray" / f"trial_{outcome.best_trial}"
    left = {path.parent.name for path in folder.glob("ray/trial_*/checkpoint_*")}
    assert left >= {f"trial_{key}" for key in after.keys() - before.keys()}  # new ones do not go where it was
    again = python(*command, "--resume", folder, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["best_trial"] == outcome.best_trial
    assert f"this run had ended: all {TRIALS} trials were run" in again.stderr
    more = python(*command, "--resume", folder, "--trials", TRIALS + 2, "--json")
    assert more.returncode == 0, more.stderr
    assert json.loads(more.stdout)["trials"]["total"] == TRIALS + 2
    check_replay(folder)


def test_frozen_trials_thaw_in_the_next_driver(tmp_path):
    folder = tmp_path / "run"
    journal = folder / "journal.jsonl"
    command = ["-m", "automl_gpt_ray.cli", "run"]

    def ready(entries):
        kinds = Counter(entry.event.kind for entry in entries)
        paused = [e.event for e in entries if isinstance(e.event, TrialEnded) and e.event.state is TrialState.PAUSED]
        return len(paused) >= 2 and kinds["forecast"] >= 1

    with LLMServer(TuningAnswer()) as server:
        scheduler = {"type": "freeze_thaw", "time_attr": "step", "audit": 0.1, "switch_cost": 0}
        job = job_file(tmp_path, server.url, scheduler)
        kill_when([*command, job, "--run-dir", folder], journal, ready)
        before, decided = trials_of(journal), events(journal, Decision)
        resumed = python(*command, "--resume", folder)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    after = trials_of(journal)
    assert len(after) == TRIALS
    assert len({trial.config["lr"] for trial in after.values()}) == TRIALS
    assert all(trial.state in (TrialState.COMPLETED, TrialState.STOPPED) for trial in after.values())
    assert any(trial.state is TrialState.COMPLETED for trial in after.values())
    assert events(journal, Decision)[: len(decided)] == decided
    frozen = {key for key, trial in before.items() if trial.state is TrialState.PAUSED}
    assert frozen
    for key in frozen & after.keys():
        seen = [o.metrics["score"] for o in after[key].observations]
        assert seen[: before[key].last_step] == [o.metrics["score"] for o in before[key].observations]
        assert [o.step for o in after[key].observations] == list(range(1, after[key].last_step + 1))
    outcome = load_outcome(folder)
    assert outcome.audit is not None
    assert outcome.audit.paused + outcome.audit.audited > 0
    assert {score.source for score in outcome.forecasts} >= {"gp"}
    check_replay(folder)


def test_tuner_restore_brings_the_searcher_back(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    journal = tmp_path / "journal" / "journal.jsonl"

    def ready(entries):
        return sum(isinstance(entry.event, TrialEnded) for entry in entries) >= 2

    command = [script, tmp_path]
    kill_when([*command, "fit"], journal, ready)
    before = trials_of(journal)
    restored = python(*command, "restore")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    check_nothing_was_lost(before, journal, 6)
    started = [e.trial for e in events(journal, TrialStarted)]
    assert len(started) == len(set(started))
    check_replay(journal)


def test_two_drivers_do_not_write_one_journal(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    code = f"from automl_gpt_ray.journal import Journal; Journal({str(journal.path)!r})"
    second = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    journal.close()
    assert "JournalError" in second.stderr
    assert "another process writes the journal" in second.stderr
    third = python("-c", code)
    assert third.returncode == 0, third.stderr
