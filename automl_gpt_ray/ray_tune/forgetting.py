"""Paused trials without a checkpoint: its deletion, and what Ray must be told so that such a trial begins anew."""

from __future__ import annotations

import logging

from pyarrow.fs import FileSelector
from ray.tune.experiment import Trial

_LOG = logging.getLogger(__name__)


def forget(trial: Trial) -> None:
    """Delete a paused trial's checkpoints, wherever they are stored, and let Ray know of none."""
    storage = getattr(trial, "storage", None)  # none in virtual time
    if storage is None:
        return
    # Ray goes on from the latest checkpoint that a trial's manager knows, and fails where that is gone.
    manager = trial.run_metadata.checkpoint_manager
    if manager is not None:
        trial.run_metadata.checkpoint_manager = type(manager)(checkpoint_config=manager.checkpoint_config)
    try:
        files = storage.storage_filesystem
        for found in files.get_file_info(FileSelector(storage.trial_fs_path, allow_not_found=True)):
            if found.base_name.startswith("checkpoint_"):
                files.delete_dir(found.path)
    except OSError as error:
        _LOG.warning("the checkpoints of %s cannot be deleted: %s", trial.trial_id, error)


def is_bare(trial: Trial) -> bool:
    """Return whether a trial is paused with no checkpoint to go on from."""
    return trial.status == Trial.PAUSED and getattr(trial, "checkpoint", True) is None
