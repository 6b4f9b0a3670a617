"""The methods of the table on real trainings through real Ray: what a simulator cannot be wrong about.

    python -m benchmarks.live --tasks xgboost-wine --methods random+asha tpe+asha --seeds 2

The tasks are those of `record.py`, trained anew; regret is against the recorded table of the same task.
Raw results have the form of simulated ones, under the suite `live`; time is the wall clock's, Ray's own
overhead included.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune
from ray.tune.experiment import Trial

from automl_gpt_ray.config import Resources
from automl_gpt_ray.ray_tune.trial import bind, load_trainable
from automl_gpt_ray.training.task import TrainingTask
from benchmarks import raw
from benchmarks.methods import METHODS, Pair, Setting
from benchmarks.problems import Table
from benchmarks.record import SEED
from benchmarks.replay import Evaluation, Replay
from benchmarks.tables import load

RESULTS = Path(__file__).resolve().parent / "results" / "live"
SUITE = "live"


class Watch(tune.Callback):
    """Writes down every report, in order of arrival."""

    def __init__(self, problem: Table) -> None:
        self.evaluations: list[Evaluation] = []
        self._problem, self._began = problem, time.monotonic()
        self._numbers: dict[str, int] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Note one report."""
        number = self._numbers.setdefault(trial.trial_id, len(self._numbers))
        value = float(result[self._problem.brief.objective.metric])
        row = self._problem.open(trial.config)
        at = time.monotonic() - self._began
        self.evaluations.append(Evaluation(at, number, int(result["step"]), value, row, value))


class Budget(tune.Stopper):
    """Ends the run after so many reports over all trials."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Count a report; stop its trial once the budget is spent."""
        self._left -= 1
        return self._left <= 0

    def stop_all(self) -> bool:
        """Return whether the budget is spent."""
        return self._left <= 0


def run(problem: Table, method: str, seed: int, workers: int, trainings: int, folder: Path) -> raw.RunKey:
    """Tune a recorded task with real trainings and write its raw results below `folder`.

    Args:
        problem: The recorded task; only its brief and its best and median are used.
        method: Name of a method that runs in Ray.
        seed: Of the method; the data's split is that of the recording.
        workers: Trials at once, a CPU each.
        trainings: Budget in full trainings.
        folder: Of the raw results.
    """
    brief = problem.brief
    if brief.model is None or brief.data is None:
        raise ValueError(f"`{problem.name}` has no Model Card: only recorded tasks can be trained")
    epochs = trainings * brief.max_steps
    pair = METHODS[method].make(Setting(problem, seed, workers, epochs))
    if not isinstance(pair, Pair):
        raise ValueError(f"`{method}` does not run in Ray")
    task = TrainingTask(brief.data, brief.objective, brief.max_steps, seed=SEED)
    np.random.seed(seed)  # noqa: NPY002 - ASHA draws its brackets there
    watch, began = Watch(problem), time.perf_counter()
    tuner = tune.Tuner(
        bind(load_trainable(brief.model, brief.model.name), task, Resources()),
        tune_config=tune.TuneConfig(
            metric=brief.objective.metric,
            mode=brief.objective.mode,
            num_samples=epochs,
            search_alg=pair.searcher,
            scheduler=pair.scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"{problem.name}-{method}-{seed}",
            storage_path=str(folder.absolute() / "ray"),
            stop=Budget(epochs),
            callbacks=[watch],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    )
    tuner.fit()
    return _write(problem, method, seed, workers, epochs, watch, time.perf_counter() - began, folder)


def _write(
    problem: Table, method: str, seed: int, workers: int, epochs: int, watch: Watch, real_s: float, folder: Path
) -> raw.RunKey:
    seen = watch.evaluations[:epochs]
    key = raw.RunKey(SUITE, problem.name, method, seed)
    about = raw.About(
        mode=problem.brief.objective.mode,
        best=problem.best,
        median=problem.median,
        test_best=math.nan,
        test_median=math.nan,
        workers=workers,
        epochs=epochs,
        ended="epochs" if len(seen) == epochs else "finished",
        virtual_s=seen[-1].seconds if seen else 0.0,
        real_s=real_s,
        trials=len({e.trial for e in seen}),
    )
    raw.write(folder, key, about, problem, Replay(seen, [], [], about.virtual_s, about.ended))
    return key


def main() -> None:
    """Run what is missing, then analyse."""
    options = _options()
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    began = time.perf_counter()
    tasks = [table for table in load("recorded") if table.name in options.tasks]
    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    for table in tasks:
        for seed in range(options.seeds):
            for method in options.methods:
                if not raw.RunKey(SUITE, table.name, method, seed).file(options.out).exists():
                    run(table, method, seed, options.workers, options.trainings, options.out)
    ray.shutdown()
    from benchmarks.analysis import report

    figures = report(options.out)
    print(json.dumps({"seconds": round(time.perf_counter() - began, 1), **figures}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, three trainings, one task")
    parser.add_argument("--tasks", nargs="*", default=["xgboost-wine", "xgboost-diabetes"])
    parser.add_argument("--methods", nargs="*", default=["random+asha", "tpe+asha", "ours-mixture+asha"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.trainings, options.tasks = 1, 3, options.tasks[:1]
    return options


if __name__ == "__main__":
    main()
