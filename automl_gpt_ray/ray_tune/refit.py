"""The refit: the best configuration trained once more, on training and validation data together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray.tune import RunConfig, TuneConfig, Tuner

from automl_gpt_ray.book import Book
from automl_gpt_ray.job_events import Refitted
from automl_gpt_ray.journal import FILE_NAME, read_journal
from automl_gpt_ray.outcome import best_step
from automl_gpt_ray.ray_tune.failure import classify
from automl_gpt_ray.ray_tune.fit import folder_name, time_attr
from automl_gpt_ray.ray_tune.prepared import Prepared
from automl_gpt_ray.ray_tune.progress import Tell
from automl_gpt_ray.ray_tune.results import step_of
from automl_gpt_ray.ray_tune.run_place import RunPlace
from automl_gpt_ray.ray_tune.trial import bind
from automl_gpt_ray.records import TrialRecord


def refit(prepared: Prepared, book: Book, best: TrialRecord, place: RunPlace, tell: Tell | None) -> str | None:
    """Train the best trial's configuration on training and validation data, up to its best step.

    A trial of its own under Tune, so that its checkpoint travels like any other; one that is there already, of a run
    that was resumed, is taken.

    Returns:
        The path of the checkpoint; None where it failed or was interrupted: the searched one is kept then.
    """
    step = best_step(best, prepared.task.objective)
    if (there := _there(best, step, place)) is not None:
        return there
    if tell:
        tell("training the best configuration on training and validation data together …")
    attribute = time_attr(prepared.loaded)
    tuner = Tuner(
        bind(prepared.trainable, replace(prepared.task, refit=True), prepared.loaded.job.resources),
        param_space=dict(best.lineage.config(best.proposal.config, step)),
        tune_config=TuneConfig(trial_dirname_creator=folder_name),
        run_config=RunConfig(
            name=_unused(place, "refit"), storage_path=place.storage.name, verbose=0, stop={attribute: step}
        ),
    )
    result = tuner.fit()[0]
    fault = classify(result.error)[1] if result.error else fault_of(result.metrics or {}, result.checkpoint, attribute)
    if fault or result.checkpoint is None:
        if tell:
            tell(f"WARNING: that failed ({fault}); the checkpoint of the search is kept")
        return None
    path = str(result.checkpoint.path)
    book.record(Refitted(best.id, step, path))
    return path


def fault_of(metrics: Mapping[str, Any], checkpoint: Any, attribute: str) -> str:
    """Return what is wrong with a refit that raised nothing; empty where it came to its end.

    Args:
        metrics: Of its last report. Ray ends a training that is interrupted (Ctrl-C) without an error.
        checkpoint: Its last.
        attribute: Result key that counts steps.
    """
    if checkpoint is None:
        return "no checkpoint"
    return "" if metrics.get("done") else f"interrupted after step {step_of(metrics, attribute)}"


def _there(best: TrialRecord, step: int, place: RunPlace) -> str | None:
    events = (entry.event for entry in read_journal(place.folder / FILE_NAME))
    made = [e for e in events if isinstance(e, Refitted) and (e.trial, e.step) == (best.id, step)]
    return place.found(made[-1].path) if made else None


def _unused(place: RunPlace, name: str) -> str:
    # A driver killed while it refitted leaves a folder behind.
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if not (place.storage / n).exists())
