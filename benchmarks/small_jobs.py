"""Real jobs of this package in a folder of their own, and random search on the same tasks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune

from automl_gpt_ray.book import Book
from automl_gpt_ray.config import LoadedJob, read_job
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.outcome import Outcome
from automl_gpt_ray.ray_tune.cluster import connect
from automl_gpt_ray.ray_tune.prepared import prepare
from automl_gpt_ray.ray_tune.run import run
from automl_gpt_ray.ray_tune.trial import bind, score
from benchmarks.searchers import RandomSearch

OFF = "off"


@dataclass(frozen=True)
class Jobs:
    """Runs jobs in a folder.

    Attributes:
        folder: Of the runs and their experience.
        common: What all jobs have in common, as in a job file.
    """

    folder: Path
    common: Mapping[str, Any]

    def run(
        self, name: str, card: Mapping[str, Any], store: str = OFF, *, adds: bool = True, llm: LLMClient | None = None
    ) -> Outcome:
        """Tune on the data of `card` and return the outcome.

        Args:
            name: Of the job.
            card: A Data Card.
            store: Name of the experience that it recalls, and adds to; `off` for none.
            adds: Whether what it does is remembered there; else in a copy.
            llm: In charge, if any.
        """
        if not adds:
            shutil.copytree(self.folder / store, self.folder / f"{store}-for-{name}")
            store = f"{store}-for-{name}"
        return run(self._job(name, card, store), llm)

    def random(self, name: str, card: Mapping[str, Any]) -> tuple[list[float], float, float]:
        """Train the default and random settings, as many trials together as a job has.

        Returns:
            The best validation values of the random ones; the best of all; the test value of the same trial. Of the
            job's objective.
        """
        prepared = prepare(self._job(name, card, OFF))
        connect(prepared.loaded)
        job, brief = prepared.loaded.job, prepared.loaded.brief
        metric, mode = brief.objective.metric, brief.objective.mode
        keep = tune.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute=metric, checkpoint_score_order=mode)
        grid = tune.Tuner(
            bind(prepared.trainable, prepared.task, job.resources),
            tune_config=tune.TuneConfig(
                metric=metric,
                mode=mode,
                num_samples=job.trials,
                search_alg=RandomSearch(brief.space, job.seed),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str((self.folder / "runs").absolute()),
                stop={"step": brief.max_steps},
                checkpoint_config=keep,
                verbose=0,
            ),
        ).fit()
        top = max if mode == "max" else min
        curves = {i: grid[i].metrics_dataframe for i in range(len(grid)) if not grid[i].error}
        values = {i: float(top(curve[metric])) for i, curve in curves.items() if curve is not None}
        best = top(values, key=lambda i: values[i])
        checkpoint, config = grid[best].checkpoint, grid[best].config
        if checkpoint is None or config is None or prepared.evaluate is None:
            raise RuntimeError(f"the best random trial of `{name}` left nothing to score")
        test = score(prepared.evaluate, config, prepared.task, checkpoint, job.resources)
        default = dict(brief.space.default)
        drawn = [value for i, value in values.items() if grid[i].config != default]
        return drawn, values[best], float(test[metric])

    def _job(self, name: str, card: Mapping[str, Any], store: str) -> LoadedJob:
        place: Any = OFF if store == OFF else {"path": str((self.folder / store).absolute())}
        about = {"name": name, "data_card": dict(card), "experience": place}
        return read_job({**self.common, **about, "storage_path": str((self.folder / "runs").absolute())})


def first_by(outcome: Outcome, source: str) -> float | None:
    """Return the best value of the first trial by `source` that has one; None where there is none."""
    book = Book()
    for entry in read_journal(outcome.journal):
        book.apply(entry)
    values = (t.value(book.objective) for t in book.history().trials if t.proposal.source == source)
    return next((value for value in values if value is not None), None)


def mean_and_error(values: list[float]) -> dict[str, float]:
    """Return the mean and its standard error, ready for JSON; the error is 0 for one value."""
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 4), "error": round(error, 4)}
