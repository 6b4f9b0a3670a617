"""The simulator against real Ray: the same pair on the same problem does the same, in the same order."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, HyperBandScheduler, MedianStoppingRule

from automl_gpt_ray.advisors.team import assemble
from benchmarks.formula import SPACE, Formula
from benchmarks.optuna_pair import ray_optuna, tpe
from benchmarks.replay import Limits
from benchmarks.searchers import AdvisorSearch, RandomSearch
from benchmarks.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent / "ray_tune"))
from trainables import climbing
from turnstile import Attendant, Turnstile

pytestmark = pytest.mark.ray
TRIALS = 8


class Noting:
    """Any scheduler, writing down what it decides; trials are numbered in the order they were added."""

    def __init__(self, inner, file):
        self.inner, self.file, self.numbers = inner, file, {}

    def __getattr__(self, name):
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)  # while it is unpickled
        return getattr(self.inner, name)

    def on_trial_add(self, controller, trial):
        self.numbers[trial.trial_id] = len(self.numbers)
        self._note("add", trial, trial.config["lr"])
        self.inner.on_trial_add(controller, trial)

    def on_trial_result(self, controller, trial, result):
        decision = self.inner.on_trial_result(controller, trial, result)
        self._note(decision, trial, result["training_iteration"], result["score"])
        return decision

    def on_trial_complete(self, controller, trial, result):
        self._note("complete", trial, result["training_iteration"], result["score"])
        self.inner.on_trial_complete(controller, trial, result)

    def on_trial_remove(self, controller, trial):
        self._note("remove", trial)
        self.inner.on_trial_remove(controller, trial)

    def _note(self, word, trial, *values):
        with self.file.open("a") as stream:
            rounded = [round(float(value), 9) for value in values]
            stream.write(json.dumps([self.numbers[trial.trial_id], word, *rounded]) + "\n")


def notes(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def in_ray(searcher, scheduler, folder, workers=1):
    trainable, callbacks = climbing, []
    if workers > 1:
        turnstile = Turnstile.remote(workers, TRIALS)
        trainable, callbacks = tune.with_parameters(climbing, turnstile=turnstile), [Attendant(turnstile)]
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 2 / workers}),  # all that there is
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=TRIALS,
            search_alg=searcher,
            scheduler=Noting(scheduler, folder / "ray"),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), name="exp", verbose=0, callbacks=callbacks),
    )
    tuner.fit()
    return notes(folder / "ray")


def in_simulator(searcher, scheduler, folder, workers=1):
    noting = Noting(scheduler, folder / "simulator")
    Simulator(Formula(), searcher, noting, workers=workers, limits=Limits(trials=TRIALS), as_ray=True).run()
    return notes(folder / "simulator")


def random_and_asha():
    return RandomSearch(SPACE, 3), AsyncHyperBandScheduler(max_t=9, grace_period=1, reduction_factor=2)


def tpe_and_asha():
    return ray_optuna(Formula(), tpe(0)), AsyncHyperBandScheduler(max_t=9, grace_period=2, reduction_factor=3)


def random_and_hyperband():
    return RandomSearch(SPACE, 1), HyperBandScheduler(max_t=9, reduction_factor=3)


def random_and_median():
    return RandomSearch(SPACE, 2), MedianStoppingRule(
        time_attr="training_iteration", grace_period=2, min_samples_required=2
    )


def ours_alone():
    brief = Formula().brief
    return AdvisorSearch(brief, assemble(brief, None, "tpe", 5), 5), FIFOScheduler()


PAIRS = [random_and_asha, tpe_and_asha, random_and_hyperband, random_and_median, ours_alone]


@pytest.mark.parametrize("pair", PAIRS)
def test_same_trials_same_decisions_same_order(local_ray, tmp_path, pair):
    simulated = in_simulator(*pair(), tmp_path)
    real = in_ray(*pair(), tmp_path)
    assert len(real) > TRIALS * 3
    assert real == simulated


# HyperBand leaves workers idle while it waits for a bracket: the turnstile would wait for them. The others were all
# the same when they were tried; these two pause and stop.
@pytest.mark.parametrize("pair", [tpe_and_asha, random_and_median])
def test_so_it_is_on_four_workers(local_ray, tmp_path, pair):
    simulated = in_simulator(*pair(), tmp_path, workers=4)
    real = in_ray(*pair(), tmp_path, workers=4)
    assert len(real) > TRIALS * 3
    assert real == simulated
