"""Buckets, over the S3 protocol: places, data, experience, and runs that nothing but the bucket survives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import gated
import pytest
import s3_server
from small_runs import gated_card

from automl_gpt_ray import staging
from automl_gpt_ray.book import Book
from automl_gpt_ray.cards import parse_data_card
from automl_gpt_ray.config import load_job
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import TrialStarted
from automl_gpt_ray.experience.store import ExperienceStore
from automl_gpt_ray.experience_options import ExperienceOptions, place_of
from automl_gpt_ray.jobs.fetching import fetch
from automl_gpt_ray.journal import FILE_NAME, read_journal
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.ray_tune import run_place
from automl_gpt_ray.ray_tune.run import new_place
from automl_gpt_ray.ray_tune.snapshot import _CHECKPOINT, COPY, _snapshot, _status, _text
from automl_gpt_ray.report.index import write_reports
from automl_gpt_ray.staging import staged_card
from automl_gpt_ray.storage import Place
from benchmarks.no_data import NO_DATA

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS / "experience"))
from remembered_runs import remembered  # noqa: E402

TRIALS = 4
ONE_REQUEST = {"allow_delayed_open": "true"}
"""A small file is written by one request in place of three."""
LARGE = 25 * 1024**2
"""Bytes; above 10 MB pyarrow uploads in several parts."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if s3_server.python() is None:
        pytest.skip("no S3 server is set up: `make s3` does, and `make test` with it")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.ENVIRONMENT.items():
            patch.setenv(name, value)
        with s3_server.S3Server(tmp_path_factory.mktemp("s3")) as server:
            yield server
            asked = server.requests()
            # Everybody signed, and nobody but the fixture wished for a bucket.
            assert {request.key for request in asked if request.status < 400} == {s3_server.KEY}
            assert [r.path for r in asked if r.method == "PUT" and r.path.count("/") == 1] == [f"/{s3_server.BUCKET}"]


def test_a_place_in_a_bucket_holds_what_it_is_given(server, tmp_path):
    place = Place.at(server.uri("places/a"))
    assert not place.exists()
    assert list(place.list()) == []
    assert place.read("x") is None
    place.write("x", b"1")
    place.write("x", b"22")
    assert place.read("x") == b"22"
    (tmp_path / "here" / "deep").mkdir(parents=True)
    (tmp_path / "here" / "deep" / "y").write_bytes(b"3")
    (tmp_path / "here" / "large").write_bytes(os.urandom(LARGE))
    (place / "ray").send(tmp_path / "here")
    (place / "one").send(tmp_path / "here" / "large")
    assert sorted(info.base_name for info in place.list()) == ["one", "ray", "x"]
    assert Place.at((place / "ray").name).exists()
    parts = Counter(r.path for r in server.requests() if r.method == "PUT" and "partNumber" in r.query)
    assert parts["/bucket/places/a/one"] > 1
    assert parts["/bucket/places/a/ray/large"] > 1
    place.fetch(tmp_path / "back")
    assert (tmp_path / "back" / "x").read_bytes() == b"22"
    assert (tmp_path / "back" / "ray" / "deep" / "y").read_bytes() == b"3"
    large = (tmp_path / "here" / "large").read_bytes()
    assert (tmp_path / "back" / "one").read_bytes() == large
    assert (tmp_path / "back" / "ray" / "large").read_bytes() == large


def test_data_in_a_bucket_is_staged(server, tmp_path, monkeypatch):
    monkeypatch.setenv(staging.VARIABLE, str(tmp_path / "cache"))
    place = Place.at(server.uri("data"))
    place.write("a.csv", b"1")

    def staged(path):
        return Path(staged_card(parse_data_card({**NO_DATA, "load": {"format": "csv", "path": path}})).load.path)

    assert (staged(place.name) / "a.csv").read_bytes() == b"1"
    before = staged(server.uri("data/a.csv"))
    assert before.read_bytes() == b"1"
    place.write("a.csv", b"2 and more")
    assert staged(server.uri("data/a.csv")).read_bytes() == b"2 and more"
    assert before.read_bytes() == b"1"


def test_two_writers_of_one_store_lose_nothing(server):
    uri, run = server.uri("experience"), remembered()

    def write(name):
        store = ExperienceStore(uri)
        for number in range(6):
            store.append(replace(run, run=f"{name}-{number}"))
            store.append(replace(run, run="shared", seed=number))

    store = ExperienceStore(uri)
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, name) for name in "ab"]
        while not all(writer.done() for writer in writers):
            found, problems = store.all()
            assert problems == []
            assert all(len(run.trials) == 3 for run in found)
        assert [writer.result() for writer in writers] == [None, None]
    assert store.ids() == sorted([*(f"{name}-{i}" for name in "ab" for i in range(6)), "shared"])
    assert {info.base_name[:1] for info in Place.at(uri).list()} == {"a", "b", "s"}  # and no draft


def below(folder):
    """Where runs lie in the bucket: of one test each, and of one try at it."""
    return f"{folder.name}/runs"


def job_file(folder, server, **values):
    card = gated_card("gated:train", gated.STEPS, folder / "gate", gated.FREE)
    job = {
        "name": "bucketed",
        "data_card": NO_DATA,
        "model_card": card,
        "request": {"metrics": [{"name": "score", "mode": "max"}]},
        "trials": TRIALS,
        "max_concurrent": 2,
        "reuse_actors": True,
        "scheduler": {"type": "none"},
        "storage_path": server.uri(below(folder), **ONE_REQUEST),
        **values,
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(job))
    return path


def machine(folder, experience="off"):
    """What a driver finds on a machine of its own: the keys, and nothing of an earlier run."""
    folder.mkdir()
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    told = {"TMPDIR": str(folder), "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    # By itself Ray waits nineteen times as long as a snapshot took: minutes, on a busy machine.
    told["TUNE_GLOBAL_CHECKPOINT_S"] = "1"
    return {**os.environ, **told, "AUTOML_GPT_RAY_EXPERIENCE": experience}


def command(*words):
    return [sys.executable, "-m", "automl_gpt_ray.cli", *map(str, words)]


def trials(journal):
    book = Book().replay(entry.event for entry in read_journal(journal))
    return {trial.id: trial for trial in book.history().trials}


def well_kept(server, folder):
    """The run, once the bucket tells of a finished trial and of checkpoints of both that are under way."""
    kept = Place.at(server.uri(below(folder), **ONE_REQUEST))
    names = [info.base_name for info in kept.list() if info.base_name.startswith("bucketed")]
    if not names:
        return None
    run = kept / names[0]
    journal = max((place.read(name) or b"" for place, name in ((run, FILE_NAME), (run / "ray", COPY))), key=len)
    (folder / "seen.jsonl").write_bytes(journal)
    told = trials(folder / "seen.jsonl") if journal else {}
    under_way = {trial.id for trial in told.values() if not trial.state.ended}
    checkpoints = {
        trial["trial_id"]: _CHECKPOINT.findall(_text(data))
        for trial, data in _snapshot(run / "ray") or ()
        if not _over(trial)
    }
    # A snapshot may be older than the journal: what it does not know yet could not go on.
    waiting = all("checkpoint_000001" in names for names in checkpoints.values())
    agreed = len(under_way) == 2 and under_way == checkpoints.keys() and waiting
    return run if len(told) > 2 and agreed else None


def _over(trial):
    return _status(trial) in ("TERMINATED", "ERROR")


@pytest.fixture
def killed(server, joined, tmp_path):
    """A run that was killed once the bucket knew enough of it, and what the bucket knew."""
    output = tmp_path / "first.txt"
    with output.open("w") as out:
        driver = subprocess.Popen(
            command("run", job_file(tmp_path, server)), env=machine(tmp_path / "first"), stdout=out, stderr=out
        )
    deadline = time.monotonic() + 300
    while (run := well_kept(server, tmp_path)) is None and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.3)
    ended = driver.poll()
    driver.kill()
    driver.wait()
    assert ended is None, output.read_text()[-3000:]
    assert run is not None, output.read_text()[-3000:]
    shutil.rmtree(tmp_path / "first")  # the machine is lost
    (tmp_path / "gate").touch()
    return run


@pytest.mark.ray
@pytest.mark.timeout(600)  # two drivers and four workers start: long on a busy machine
def test_a_run_outlives_its_machine_in_a_bucket(server, killed, tmp_path):
    before = {key: trial for key, trial in trials(tmp_path / "seen.jsonl").items() if trial.state.ended}
    resumed = subprocess.run(
        command("run", "--resume", killed.name),
        # The store below `storage_path`, by its default; none of Ray's log files, which nothing needs.
        env=machine(tmp_path / "second", "") | {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"},
        capture_output=True,
        text=True,
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    folder = fetch(killed.name, tmp_path / "fetched")
    after = trials(folder / "journal.jsonl")
    assert {key: after.get(key) for key in before} == before
    assert len(after) == TRIALS
    assert {trial.state.value for trial in after.values()} == {"completed"}
    assert len({trial.config["lr"] for trial in after.values()}) == TRIALS
    begun = [e.event.trial for e in read_journal(folder / "journal.jsonl") if isinstance(e.event, TrialStarted)]
    assert len(begun) == len(set(begun)) == TRIALS
    # What was under way went on from its checkpoint in the bucket.
    assert sum(trial.observations[-1].metrics["began"] == 2 for trial in after.values()) == 2
    assert all([o.step for o in trial.observations] == [1, 2, 3, 4, 5] for trial in after.values())
    check_results(server, killed, folder, tmp_path)
    nowhere([resumed.stdout, resumed.stderr, (tmp_path / "first.txt").read_text()], [folder, tmp_path / "second"])


def check_results(server, run, folder, tmp_path):
    """The outcome, its checkpoint, the report and what is remembered are there for any machine."""
    outcome = load_outcome(folder)
    assert (outcome.trials["total"], outcome.ended_by) == (TRIALS, f"all {TRIALS} trials were run")
    best = Place.at(outcome.checkpoint)
    assert best.path.startswith(f"{run.path}/ray/trial_{outcome.best_trial}/checkpoint_")
    assert best.read("step.txt") == b"5"
    (page,) = write_reports(folder)
    assert outcome.best_trial in page.read_text()
    assert load_outcome(brought_to(run, tmp_path / "fourth")) == outcome
    assert len(ExperienceStore(server.uri(f"{below(tmp_path)}/experience")).ids()) == 1


def brought_to(run, folder):
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_place.tempfile, "gettempdir", lambda: str(folder))
        return run_place.brought(run.name)


def nowhere(texts, folders):
    """No key in any text or file."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert {"journal.jsonl", "job.json", "outcome.json"} <= {path.name for path in files}
    secret = s3_server.SECRET.encode()
    assert [path for path in files if secret in path.read_bytes()] == []
    assert not any(s3_server.SECRET in text for text in texts)


@pytest.mark.parametrize("key", ["AKIA:planted-key", "AKIA:planted/key", "AKIA:planted%2Fkey"])
def test_a_uri_with_a_key_in_it_is_refused(key):
    for made in (Place.at, ExperienceStore):
        with pytest.raises(JobError, match="must not hold keys") as caught:
            made(f"s3://{key}@bucket/runs?region=eu")
        assert "planted" not in str(caught.value)
        assert "s3://[redacted]@bucket/runs" in str(caught.value)


def test_a_bucket_that_cannot_be_written_is_one_clear_error(server, tmp_path):
    uri = server.uri("runs").replace("s3://bucket/", "s3://nobody-made-it/")
    loaded = load_job(job_file(tmp_path, server, storage_path=uri))
    with pytest.raises(JobError, match="must be storage that can be read and written") as caught:
        new_place(loaded.job, "job.yaml")
    assert "Bucket 'nobody-made-it' not found" in str(caught.value)


def test_what_lies_below_a_storage_path_keeps_its_query():
    assert place_of(ExperienceOptions(), "s3://bucket/runs?region=eu", None) == "s3://bucket/runs/experience?region=eu"
    assert place_of(ExperienceOptions(), "runs/", None) == "runs/experience"
