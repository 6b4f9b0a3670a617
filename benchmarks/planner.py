"""The freeze-thaw planner on LCBench, in virtual time and without Ray: regret by epochs spent.

    python -m benchmarks.planner --curves FOLDER [--quick] [--seeds N] [--noise SIGMA] [--models gp network combination]

Four workers train one epoch a unit of time each, 1040 epochs together (20 full trainings). The default and
three random configurations start; whenever a worker is free, the planner says what runs next and for how many
epochs. Pausing and resuming are free. A configuration is answered by its nearest neighbour in the table.

Regret is (best in table - best seen) / (best in table - median final), by the true value of the (perhaps
noisy) incumbent. The last line is JSON: by model, mean regret at each mark and its standard error over tasks,
and how much less it is than that of the first model on the same tasks and seeds.
"""

from __future__ import annotations

import argparse
import heapq
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from automl_gpt_ray.curves.candidates import LOCAL, RANDOM, SCALES, best_predicted
from automl_gpt_ray.curves.curve_model import CurveModel, CurveModelMaker
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned.alone import Alone
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.learned.hybrid import Hybrid
from automl_gpt_ray.curves.planner import plan
from automl_gpt_ray.curves.predictor import Array, Context, Curve
from benchmarks.forecast_data import LCBENCH, Task, load, unit_vector

WORKERS, BUDGET, SLICE, REFIT = 4, 1040, 5, 8
MARKS = (104, 260, 520, 1040)
MODELS: dict[str, Callable[[], CurveModelMaker]] = {
    "gp": FreezeThaw,
    "network": lambda: Alone(LearnedForecaster.shipped()),
    "combination": lambda: Hybrid(LearnedForecaster.shipped()),
}
DEFAULT = {
    "batch_size": 64,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "num_layers": 3,
    "max_units": 256,
    "max_dropout": 0.2,
}


@dataclass
class Trial:
    """A configuration in training: its row of the table, and what it has reported."""

    row: int
    seen: list[float] = field(default_factory=list)
    running: bool = True


class Run:
    """One run on one task.

    Args:
        task: Of LCBench.
        seed: Of everything random.
        noise: Standard deviation added to each reported value.
        maker: Of the models that are planned by.
    """

    def __init__(self, task: Task, seed: int, noise: float = 0.0, maker: CurveModelMaker | None = None) -> None:
        self.task, self.noise, self.maker = task, noise, maker or FreezeThaw()
        self.rng = np.random.default_rng([seed, 77])
        self.rows = cKDTree(task.vectors)
        self.trials: list[Trial] = []
        self.spent = 0
        self.best = (-np.inf, -np.inf)  # as reported, and in truth
        self.regrets: list[float] = []
        self.seconds: list[float] = []
        self._model: CurveModel | None = None
        self._since = 0

    def play(self) -> list[float]:
        """Spend the budget, and return the regret at each mark."""
        starts = [unit_vector(DEFAULT, LCBENCH), *self.rng.random((WORKERS - 1, self.task.vectors.shape[1]))]
        queue = [(SLICE, n, self._start(int(self.rows.query(x)[1]))) for n, x in enumerate(starts)]
        heapq.heapify(queue)
        turn = len(queue)
        while self.spent < BUDGET:
            now, _, trial = heapq.heappop(queue)
            self._train(trial)
            if self.spent < BUDGET:
                following = self._next()
                heapq.heappush(queue, (now + SLICE, turn, following))
                turn += 1
        return self.regrets

    def _start(self, row: int) -> int:
        self.trials.append(Trial(row))
        return len(self.trials) - 1

    def _train(self, number: int) -> None:
        trial, curves = self.trials[number], self.task.curves
        for _ in range(min(SLICE, self.task.max_step - len(trial.seen), BUDGET - self.spent)):
            truth = float(curves[trial.row, len(trial.seen)])
            told = truth + self.noise * float(self.rng.standard_normal()) if self.noise else truth
            trial.seen.append(told)
            self.best = max(self.best, (told, truth))
            self.spent += 1
            if self.spent in MARKS:
                finals = curves[:, -1]
                self.regrets.append(float((finals.max() - self.best[1]) / (finals.max() - np.median(finals))))
        trial.running = False

    def _next(self) -> int:
        model = self._fitted()
        began = time.perf_counter()
        rows = self._candidates(model)
        running = [str(n) for n, trial in enumerate(self.trials) if trial.running]
        found = plan(model, self.task.vectors[rows], running, steps=SLICE, budget=BUDGET - self.spent)
        self.seconds.append(time.perf_counter() - began)
        if found is None or found.trial is None:
            return self._start(rows[found.candidate or 0 if found else 0])
        number = int(found.trial)
        self.trials[number].running = True
        return number

    def _fitted(self) -> CurveModel:
        context = self._context()
        if self._model is None or self._since >= REFIT or len(context.curves) < 2 * WORKERS:
            self._model = self.maker.fit(context, self._model.process.theta if self._model else None)
            self._since = 0
        else:
            self._model = self._model.updated(context)
            self._since += 1
        return self._model

    def _context(self) -> Context:
        curves = (
            Curve(str(n), self.task.vectors[t.row], np.arange(1, len(t.seen) + 1, dtype=float), np.array(t.seen))
            for n, t in enumerate(self.trials)
        )
        return Context(tuple(curves), self.task.objective, self.task.max_step)

    def _candidates(self, model: CurveModel) -> list[int]:
        """As `curves.candidates.pool`, in the unit cube, where the table's rows are looked up."""
        d = self.task.vectors.shape[1]
        parents = [self.task.vectors[self.trials[int(key)].row] for key in best_predicted(model, 5)]
        moved = np.stack([parents[int(i)] for i in self.rng.integers(len(parents), size=LOCAL)])
        which = self.rng.random((LOCAL, d)) < 2.0 / d
        which[np.arange(LOCAL), self.rng.integers(0, d, LOCAL)] = True
        moved = moved + which * self.rng.standard_normal((LOCAL, d)) * self.rng.choice(SCALES, (LOCAL, 1))
        cube: Array = np.concatenate([self.rng.random((RANDOM, d)), moved.clip(0.0, 1.0)])
        taken = {trial.row for trial in self.trials}
        return [row for row in dict.fromkeys(map(int, self.rows.query(cube)[1])) if row not in taken]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line a run, and the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description="Regret of the freeze-thaw planner on LCBench.")
    parser.add_argument("--curves", type=Path, required=True, help="folder of the parquet files")
    parser.add_argument("--quick", action="store_true", help="one seed of three tasks")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args(arguments)
    tasks = load(options.curves, "lcbench")[: 3 if options.quick else None]
    seeds = range(1 if options.quick else options.seeds)
    found = {name: played(MODELS[name](), tasks, seeds, options.noise) for name in options.models}
    first = found[options.models[0]][0]
    figures: dict[str, object] = {"noise": options.noise, "tasks": len(tasks), "seeds": len(seeds)}
    for name, (regrets, seconds) in found.items():
        figures[name] = {
            "regret": told(regrets.mean(axis=0)),
            "standard_error": told(error(regrets)),
            "less_than_the_first": told((first - regrets).mean(axis=0)),
            "its_standard_error": told(error(first - regrets)),
            "decision_seconds_p50_p99": np.quantile(seconds, [0.5, 0.99]).round(4).tolist(),
        }
    print(json.dumps(figures))


def played(maker: CurveModelMaker, tasks: Sequence[Task], seeds: Sequence[int], noise: float) -> tuple[Array, Array]:
    """Return the regrets, shape (tasks, marks), means over seeds, and the seconds of every decision."""
    by_task, seconds = [], list[float]()
    for task in tasks:
        runs = [Run(task, seed, noise, maker) for seed in seeds]
        by_task.append(np.mean([run.play() for run in runs], axis=0))
        seconds += [s for run in runs for s in run.seconds]
        marks = " ".join(f"{r:.3f}" for r in by_task[-1])
        print(maker.name, task.name, marks, f"trials {[len(r.trials) for r in runs]}", flush=True)
    return np.array(by_task), np.array(seconds)


def error(values: Array) -> Array:
    """Return the standard error of means over tasks."""
    return np.asarray(values.std(axis=0, ddof=1) / len(values) ** 0.5)


def told(values: Array) -> dict[str, float]:
    """Return values by mark."""
    return dict(zip(map(str, MARKS), values.round(4).tolist(), strict=True))


if __name__ == "__main__":
    main()
