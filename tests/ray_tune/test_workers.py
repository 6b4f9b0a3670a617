"""Trials whose model several workers train together, in real Ray: as one worker would, and they end with the trial."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import noted_training
import pytest
import ray
from ray import tune
from ray.exceptions import ActorDiedError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from training import test_text_classification as texts
from training.small import Reports, task_of

from automl_gpt_ray.config import Resources, read_job
from automl_gpt_ray.errors import JobError, TrainingError
from automl_gpt_ray.live import Notice, board_name
from automl_gpt_ray.ray_tune import cluster
from automl_gpt_ray.ray_tune.board import Board
from automl_gpt_ray.ray_tune.failure import classify
from automl_gpt_ray.ray_tune.run import run
from automl_gpt_ray.ray_tune.trial import bind
from automl_gpt_ray.training import text_classification, workers

pytestmark = pytest.mark.ray
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# 102 texts are three whole batches: a last one that is smaller would be filled up where workers share it.
CONFIG = {**texts.TINY, "batch_size": 34, "schedule": "constant", "dropout": 0.0}


def task_in(folder, steps):
    return task_of(texts.text_card(folder, texts.sentences()), "log_loss", "min", max_steps=steps)


class Results(tune.Callback):
    """Keeps the curves of all trials, and tells `each` of every result."""

    def __init__(self, each=lambda trial, result: None):
        self.curves, self.each = defaultdict(list), each

    def on_trial_result(self, iteration, trials, trial, result, **info):
        told = {name: result[name] for name in ("log_loss", "accuracy", "train_loss", "step") if name in result}
        self.curves[trial.trial_id].append(told)
        self.each(trial, result)


def fit(folder, task, space, results, scheduler=None):
    return tune.Tuner(
        bind(noted_training.train, replace(task, workers=2), Resources(cpu=1)),
        param_space=space,
        tune_config=tune.TuneConfig(metric="log_loss", mode="min", scheduler=scheduler, reuse_actors=False),
        run_config=tune.RunConfig(storage_path=str(folder), name="workers", verbose=0, callbacks=[results]),
    ).fit()


def check_all_is_given_back():
    """Wait until no worker lives and no placement group holds anything."""

    def left():
        groups = [g["state"] for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
        actors = [a["ActorClassName"] for a in ray._private.state.actors().values() if a["State"] != "DEAD"]
        ours = {"RayTrainWorker", "_Controller", "SynchronizationActor", "PlacementGroupCleaner", "PreemptionWatcher"}
        free = ray.available_resources().get("CPU", 0.0)
        return groups, [a for a in actors if a in ours], free

    give_up = time.monotonic() + 60
    while left() != ([], [], 2.0):
        assert time.monotonic() < give_up, left()
        time.sleep(0.1)


def alone(folder, task, change=None):
    """The curve of one process; from the step after the second on, with `change`."""
    config, reports = dict(CONFIG), Reports(folder / "alone")

    def report(metrics, checkpoint):
        reports(metrics, checkpoint)
        config.update((change or {}) if metrics["step"] == 2 else {})

    text_classification.learn(config, task, report)
    return reports.curve


def check_curve(seen, expected):
    for mine, other in zip(seen, expected, strict=True):
        assert mine == pytest.approx({name: other[name] for name in mine}, abs=1e-4)


def test_two_workers_train_as_one_does_and_are_revised_at_the_same_step(local_ray, tmp_path):
    task, board = task_in(tmp_path, 3), Board("workers")  # an actor, which lives as long as this does

    def revise(trial, result):
        if result["step"] == 2:
            notice = Notice(1, {"learning_rate": 1e-4})
            ray.get(ray.get_actor(board_name("workers")).post.remote(trial.trial_id, notice))

    results = Results(revise)
    grid = fit(tmp_path, task, CONFIG, results)
    assert not grid.errors
    ((trial, curve),) = results.curves.items()
    assert board.taken(trial) == 1
    assert [step["step"] for step in curve] == [1, 2, 3]
    check_curve(curve, alone(tmp_path, task, {"learning_rate": 1e-4}))

    files = (tmp_path / f"worker-{i}.jsonl" for i in (0, 1))
    first, second = ([json.loads(line) for line in file.read_text().splitlines()] for file in files)
    assert first == second  # the same weights to the last bit, and the same rate at each step
    assert [note["rate"] for note in first] == [0.01, 0.01, 1e-4]
    assert {note["of"] for note in first} == {2}
    assert first[1]["weights"] != first[2]["weights"]
    scored = text_classification.evaluate({}, task, grid[0].checkpoint.path, "validation")
    assert scored["log_loss"] == pytest.approx(curve[-1]["log_loss"], abs=1e-5)
    check_all_is_given_back()


class PausesAndStops(FIFOScheduler):
    """Pauses a trial after its first step, lets it go on, and stops it after the third."""

    paused = False

    def on_trial_result(self, tune_controller, trial, result):
        if not self.paused:
            self.paused = True
            return TrialScheduler.PAUSE
        return TrialScheduler.STOP if result["step"] == 3 else TrialScheduler.CONTINUE


def test_a_pause_and_a_stop_leave_nothing_behind(local_ray, tmp_path):
    """The trial needs the whole machine: it would not go on if its first workers held anything."""
    results, task = Results(), task_in(tmp_path, 4)
    grid = fit(tmp_path, task, CONFIG, results, PausesAndStops())
    assert not grid.errors
    (curve,) = results.curves.values()
    assert [step["step"] for step in curve] == [1, 2, 3]
    check_curve(curve, alone(tmp_path, task)[:3])  # it went on from its checkpoint as if nothing had been
    check_all_is_given_back()


RAISED = UserExceptionWithTraceback
ALONE = RAISED(RuntimeError("Connection closed by peer"), "")
LOST = WorkerHealthCheckFailedError("it died", ActorDiedError())


@pytest.mark.parametrize(
    ("failures", "kind"),
    [
        ({0: RAISED(TrainingError("nan", "it became nan"), ""), 1: ALONE}, "nan"),
        ({0: ALONE, 1: RAISED(TrainingError("oom", "memory ran out"), "")}, "oom"),
        ({0: ALONE, 1: LOST}, "lost"),
        ({1: RAISED(ValueError("of its own"), "")}, "error"),
    ],
)
def test_of_several_failures_the_first_cause_is_told(failures, kind):
    assert classify(workers.cause(WorkerGroupError("", failures)))[0] == kind


def test_a_trainer_of_one_process_is_refused_at_once(iris_job, tmp_path):
    told = r"`workers_per_trial`: must be 1: `automl_gpt_ray.training.tabular:train` trains in one process, got 2"
    with pytest.raises(JobError, match=told) as caught:
        run(read_job({**iris_job, "workers_per_trial": 2}), None, tmp_path / "run")
    assert len(caught.value.problems) == 1
    assert not (tmp_path / "run").exists()


def digits_job(**changes):
    cards = {"data_card": "data/digits.yaml", "model_card": "models/resnet_small.yaml"}
    return {**{key: str(CONFIGS / "cards" / file) for key, file in cards.items()}, **changes}


def test_workers_that_no_machine_holds_are_refused(local_ray, tmp_path):
    told = r"`workers_per_trial`: must not need more than this machine has \(2 CPU\), .*, got 4. Lower it to 2"
    with pytest.raises(JobError, match=told):
        run(read_job(digits_job(workers_per_trial=4, resources={"cpu": 0.75})), None, tmp_path / "run")


def test_workers_that_no_cluster_can_grow_to_hold_are_refused(local_ray, monkeypatch):
    most = {"CPU": 16, "GPU": 2}
    monkeypatch.setattr(ray._private.state.state, "get_max_resources_from_cluster_config", lambda: most)
    job = {"address": "auto", "workers_per_trial": 4, "resources": {"gpu": 1}}
    with pytest.raises(JobError, match=r"more than the cluster can grow to \(2 GPU\), .*, got 4. Lower it to 2"):
        cluster.connect(read_job(digits_job(**job)))
    most["GPU"] = 4
    cluster.connect(read_job(digits_job(**job)))
    most.clear()  # no autoscaler says how much
    cluster.connect(read_job(digits_job(**job)))
