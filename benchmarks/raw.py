"""Raw results: every evaluation of every run, one parquet file a run, from which alone the tables are made.

A run is a suite, a task, a method and a seed. Its file holds the evaluations, and in its metadata what a
reader needs to judge them: the objective, the table's best and median, the budget, seconds of thought,
tokens. A run whose file is there is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.problems import Problem
from benchmarks.replay import Replay


@dataclass(frozen=True)
class RunKey:
    """Which run; `controls` wrap methods and are part of the method's name."""

    suite: str
    task: str
    method: str
    seed: int

    def file(self, folder: Path) -> Path:
        """Return where its results lie."""
        return folder / self.suite / self.task / self.method / f"{self.seed}.parquet"


@dataclass(frozen=True)
class About:
    """What is known of a run besides its evaluations.

    Attributes:
        mode: `max` or `min`.
        best: The table's best value at any step.
        median: The table's median final value.
        test_best: The table's best held-out value.
        test_median: The median one; NaN, like the best, where there is none.
        workers: Trials at once.
        epochs: Budget.
        ended: Why it ended.
        virtual_s: Virtual seconds of the whole run.
        real_s: Real seconds that the simulation took.
        calls: Calls of the language model.
        prompt_tokens: Of those calls.
        completion_tokens: Likewise.
        trials: Trials started.
    """

    mode: str
    best: float
    median: float
    test_best: float
    test_median: float
    workers: int
    epochs: int
    ended: str
    virtual_s: float
    real_s: float
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    trials: int = 0


def write(folder: Path, key: RunKey, about: About, problem: Problem, replay: Replay) -> None:
    """Write a run's file, whole or not at all."""
    seen = replay.evaluations
    tests = {curve: problem.test(curve) for curve in {e.curve for e in seen}}
    columns = {
        "seconds": np.array([e.seconds for e in seen]),
        "trial": np.array([e.trial for e in seen], np.int32),
        "step": np.array([e.step for e in seen], np.int32),
        "value": np.array([e.value for e in seen]),
        "shown": np.array([e.shown for e in seen]),
        "curve": np.array([e.curve for e in seen], np.int32),
        "test": np.array([tests[e.curve] for e in seen]),
    }
    metadata = {"run": json.dumps(asdict(key)), "about": json.dumps(asdict(about))}
    file = key.file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), part, compression="zstd")
    part.replace(file)


@dataclass(frozen=True)
class Raw:
    """One run as it was written; columns as arrays of one length, in order of virtual time."""

    key: RunKey
    about: About
    columns: dict[str, np.ndarray[Any, Any]]


def read(folder: Path) -> Iterator[Raw]:
    """Yield every run below `folder`."""
    for file in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(file)
        metadata = {name: json.loads(table.schema.metadata[name.encode()]) for name in ("run", "about")}
        columns = {name: table[name].to_numpy() for name in table.column_names}
        yield Raw(RunKey(**metadata["run"]), About(**metadata["about"]), columns)
