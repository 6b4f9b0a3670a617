"""Trials that sleep: a load for Ray Tune in which only the searcher can waste a slot.

A trial reports how good its configuration is at each of its steps, and when it was busy. What a run of
such trials made of its slots is in its `Load`.
"""

from __future__ import annotations

import logging
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune
from ray.tune import Callback, RunConfig, Stopper, TuneConfig, Tuner

ROOT = Path(__file__).resolve().parents[1]
METRIC = "accuracy"
DEFAULT = {"lr": 0.05, "width": 64, "dropout": 0.3, "optimizer": "sgd"}


def space() -> dict[str, Any]:
    """Return the search space of the load, in Ray's domains."""
    return {
        "lr": tune.loguniform(1e-4, 1.0),
        "width": tune.randint(8, 513),
        "dropout": tune.uniform(0.0, 0.9),
        "optimizer": tune.choice(["sgd", "adam", "rmsprop"]),
    }


def quality(config: dict[str, Any]) -> float:
    """Return what a configuration reaches after many steps, in (0, 1): a smooth bowl."""
    away = (
        (math.log10(config["lr"] / 0.003) / 2) ** 2
        + (math.log2(config["width"] / 200) / 4) ** 2
        + (config["dropout"] - 0.15) ** 2
        + 0.1 * (config["optimizer"] != "adam")
    )
    return math.exp(-away)


def sleeper(config: dict[str, Any], steps: int, step_s: float) -> None:
    """Sleep through `steps` steps of `step_s` seconds and report each."""
    top = quality(config)
    for step in range(1, steps + 1):
        began = time.time()
        time.sleep(step_s)
        now = time.time()
        tune.report({METRIC: top * (1 - math.exp(-0.5 * step)), "busy_from": began, "busy_to": now})


@dataclass
class Load:
    """What happened to the slots in a window that begins once each of them has had a trial.

    Attributes:
        slots: Trials at once.
        seconds: Length of the window; no limit by default.
        spans: (from, to) of every step, in seconds since the epoch.
        delays: Seconds from a trial's report until the run had dealt with it.
        trials: Ids of those that reported.
        first: When the first trials began their first steps, one for each slot.
    """

    slots: int
    seconds: float = math.inf
    spans: list[tuple[float, float]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    trials: set[str] = field(default_factory=set)
    first: list[float] = field(default_factory=list)

    @property
    def began(self) -> float:
        """When the last slot got its first trial; infinite before that was reported."""
        return self.first[-1] if len(self.first) == self.slots else math.inf

    @property
    def busy_share(self) -> float:
        """Share of the slots' time in the window that was spent in steps."""
        end = self.began + self.seconds
        inside = sum(max(0.0, min(to, end) - max(start, self.began)) for start, to in self.spans)
        return inside / (self.slots * self.seconds)

    def delay(self, share: float) -> float:
        """Return the quantile `share` of the delays, in seconds."""
        return float(np.quantile(self.delays, share)) if self.delays else math.nan


class Watch(Callback, Stopper):
    """Fills a `Load` while a run goes on, and ends the run with its window."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._end = math.inf

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note a step; Ray calls this after the searcher and the scheduler were told."""
        self._load.spans.append((result["busy_from"], result["busy_to"]))
        self._load.delays.append(time.time() - result["busy_to"])
        self._load.trials.add(trial.trial_id)
        if result["training_iteration"] == 1 and len(self._load.first) < self._load.slots:
            self._load.first.append(result["busy_from"])
        if self._end == math.inf:
            self._end = self._load.began + self._load.seconds

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no trial by itself."""
        return False

    def stop_all(self) -> bool:
        """End the run once the window has passed."""
        return time.time() > self._end

    def __reduce__(self) -> tuple[type[Watch], tuple[Load]]:
        # Ray writes the Tuner down for a restore; nobody will ask for what was measured.
        return Watch, (Load(self._load.slots, self._load.seconds),)


def start_ray(cpus: int) -> None:
    """Start a small Ray of our own, quietly."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    ray.init(
        num_cpus=cpus,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        object_store_memory=200 * 1024**2,
        runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}},
    )


def run_sleepers(
    searcher: Any, load: Load, folder: Path, *, cpu: float, steps: int, step_s: float, trials: int = -1
) -> None:
    """Run trials until the window of `load` ends or `trials` were run, and fill it.

    Args:
        searcher: A Tune searcher; None for Ray's own random search.
        load: Filled.
        folder: Where Ray may write.
        cpu: CPUs of a trial.
        steps: Of a trial.
        step_s: Seconds of a step.
        trials: Most trials; -1 for as many as fit into the window.
    """
    watch = Watch(load)
    Tuner(
        tune.with_resources(tune.with_parameters(sleeper, steps=steps, step_s=step_s), {"cpu": cpu}),
        param_space=space(),
        tune_config=TuneConfig(
            metric=METRIC,
            mode="max",
            search_alg=searcher,
            num_samples=trials,
            max_concurrent_trials=load.slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}",
        ),
        run_config=RunConfig(storage_path=str(folder), name="ray", verbose=0, callbacks=[watch], stop=watch),
    ).fit()
