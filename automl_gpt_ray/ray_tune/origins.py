"""Where a training goes on from: checkpoints that are still kept, wherever Ray stores them."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from automl_gpt_ray.book import Book
from automl_gpt_ray.lineage import Origin


def newest_kept(book: Book, trial: Trial, step: int) -> Origin:
    """Return the newest kept checkpoint of a trial at or before `step`, or its very beginning."""
    for at, path in sorted(book.checkpoints(trial.trial_id).items(), reverse=True):
        if at <= step and exists(trial, path):
            return Origin(trial.trial_id, at, path)
    return Origin(trial.trial_id, 0)


def checkpoint_of(trial: Trial, origin: Origin) -> Any:
    """Return the `tune.Checkpoint` that `trial` begins with; None from nothing."""
    if not origin.checkpoint or trial.storage is None:
        return None
    return tune.Checkpoint(origin.checkpoint, filesystem=trial.storage.storage_filesystem)


def inheritance(tune_controller: Any, parent: Origin) -> Any:
    """Return the checkpoint that a clone begins with; None where its parent left none."""
    found = next((t for t in tune_controller.get_trials() if t.trial_id == parent.trial), None)
    if found is None or not parent.checkpoint:
        return None
    return checkpoint_of(found, parent) if exists(found, parent.checkpoint) else found.checkpoint


def exists(trial: Trial, path: str) -> bool:
    """Return whether a checkpoint is still there, in the storage of `trial`."""
    try:
        return trial.storage is not None and bool(trial.storage.storage_filesystem.get_file_info(path).type.value)
    except OSError:
        return False
