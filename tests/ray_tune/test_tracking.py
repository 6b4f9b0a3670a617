"""Experiment trackers: what MLflow and Weights & Biases are told, and that neither can hurt a run."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from ray import cloudpickle
from small_runs import bare_brief

from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.cards import parse_request
from automl_gpt_ray.config import Job
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.events import Decision, TrialStarted
from automl_gpt_ray.ray_tune.sender import Sender
from automl_gpt_ray.ray_tune.tracker_notes import notes_of, tags_of
from automl_gpt_ray.ray_tune.tracking import check_trackers, trackers
from automl_gpt_ray.records import LogPoint, PredictedLog, Proposal

LOG = PredictedLog("accuracy", (LogPoint(1, 0.4, 0.3, 0.5), LogPoint(3, 0.8, 0.7, 0.9)), "language")


class Trial:
    """What Ray's callbacks ask of a trial."""

    experiment_dir_name = "run"

    def __init__(self, name, config):
        self.trial_id, self.config = name, config


@pytest.fixture
def searcher():
    brief = bare_brief()
    book = AskTell(brief, assemble(brief)).book
    config = {"eta": 0.1, "depth": 6, "shape": "leafwise"}
    book.record(TrialStarted("t1", Proposal("language-a-0", config, "deeper, sk-abcdefgh12345678", "language", LOG)))
    book.record(Decision("t1", "pause", "not among the best", "rungs", 1))
    return SimpleNamespace(book=book)


def test_what_is_attached(searcher):
    tags = tags_of(searcher.book.trial("t1"))
    assert tags["proposed_by"] == "language"
    assert tags["reason"] == "deeper, [redacted]"
    assert tags["predicted_log"].startswith("accuracy by language: 1: 0.4 (0.3 to 0.5)")
    assert notes_of(searcher.book, "t1") == {"decisions": "step 1: pause by rungs: not among the best"}


def test_a_sender_keeps_order_and_survives_what_fails(caplog):
    sender, seen, done = Sender("somebody"), [], threading.Event()

    def fail():
        raise OSError("no route, token sk-abcdefgh12345678")

    for act in (lambda: seen.append(1), fail, fail, lambda: seen.append(2), done.set):
        sender.later(act)
    assert done.wait(30)
    sender.close()
    assert seen == [1, 2]
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "no route" in warnings[0]
    assert "sk-" not in warnings[0]


def test_a_job_without_trackers_has_none(searcher):
    job = Job(data_card="a.yaml", model_card="b.yaml")
    assert trackers(job, searcher) == []
    check_trackers(job, "job")


def test_a_job_names_its_trackers(searcher):
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    job = Job(data_card="a.yaml", model_card="b.yaml", request=parse_request({}), tracking={"mlflow": {}})
    found = trackers(job, searcher)
    assert [type(one).__name__ for one in found] == ["MLflowTracker"]
    assert found[0].experiment_name == "run"


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="MLflow is installed")
def test_what_is_not_installed_is_said_before_the_run():
    with pytest.raises(JobError, match=r"tracking\.mlflow.*must be installed"):
        check_trackers(Job(data_card="a.yaml", model_card="b.yaml", tracking={"mlflow": {}}), "job")


def test_mlflow_is_told(searcher, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a server or a database elsewhere
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    from automl_gpt_ray.ray_tune.mlflow_tracker import MLflowTracker

    place = f"file:{tmp_path / 'mlruns'}"
    tracker = MLflowTracker(searcher, tracking_uri=place, experiment_name="leaves")
    tracker.setup()
    trial = Trial("t1", {"eta": 0.1})
    for _ in range(2):  # a trial that was paused starts again, perhaps revised
        tracker.log_trial_start(trial)
        trial.config = {"eta": 0.2}
    tracker.log_trial_result(1, trial, {"accuracy": 0.5, "step": 2, "training_iteration": 1})
    tracker.log_trial_end(trial)
    tracker.on_experiment_end([])
    client = mlflow.tracking.MlflowClient(tracking_uri=place)
    (run,) = client.search_runs([client.get_experiment_by_name("leaves").experiment_id])
    assert run.data.params == {"eta": "0.1", "depth": "6", "shape": "leafwise"}
    assert run.data.tags["reason"] == "deeper, [redacted]"
    assert run.data.tags["decisions"] == "step 1: pause by rungs: not among the best"
    predicted = client.get_metric_history(run.info.run_id, "predicted/accuracy")
    assert [(m.step, m.value) for m in predicted] == [(1, 0.4), (3, 0.8)]
    low = client.get_metric_history(run.info.run_id, "predicted_low/accuracy")
    assert [(m.step, m.value) for m in low] == [(1, 0.3), (3, 0.7)]
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "accuracy")] == [(2, 0.5)]
    assert run.info.status == "FINISHED"


def test_an_mlflow_tracker_can_be_pickled(tmp_path):
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    from automl_gpt_ray.ray_tune.mlflow_tracker import MLflowTracker

    tracker = MLflowTracker(None, tracking_uri=f"file:{tmp_path}", experiment_name="leaves")
    tracker._sender = Sender("mlflow")
    assert cloudpickle.loads(cloudpickle.dumps(tracker))._sender is None


def test_wandb_is_told(searcher, monkeypatch):
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    from automl_gpt_ray.ray_tune.wandb_tracker import WandbTracker

    tracker, begun, put = WandbTracker(searcher, project="leaves", mode="offline"), [], []
    monkeypatch.setattr(tracker, "_start_logging_actor", lambda trial, exclude, **options: begun.append(options))
    trial = Trial("t1", {"eta": 0.1})
    tracker.log_trial_start(trial)
    assert begun[0]["notes"] == "deeper, [redacted]"
    assert begun[0]["tags"] == ["language"]
    assert begun[0]["config"]["eta"] == 0.1
    assert begun[0]["config"]["predicted_log"].startswith("accuracy by language")
    assert begun[0]["mode"] == "offline"
    assert tracker.kwargs == {"mode": "offline"}
    monkeypatch.setattr(tracker, "_trial_logging_actors", [trial])
    queues = SimpleNamespace(put=put.append)
    monkeypatch.setattr(tracker, "_trial_queues", type("Queues", (), {"__getitem__": lambda self, one: queues})())
    tracker.log_trial_result(1, trial, {"accuracy": 0.5, "step": 2, "training_iteration": 1})
    assert put[0][1]["predicted/accuracy"] == pytest.approx(0.6)
    monkeypatch.setattr(tracker, "_trial_logging_actors", {})


def test_credentials_do_not_stand_in_a_job():
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI"):
        Job(data_card="a", model_card="b", tracking={"mlflow": {"tracking_uri": "https://me:secret@host"}})
