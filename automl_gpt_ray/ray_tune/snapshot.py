"""What Ray's own snapshot of an experiment knows: which trials there were, and how each stood.

Ray writes it every few seconds (TUNE_GLOBAL_CHECKPOINT_S); our journal is always newer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATTERN = "experiment_state-*.json"
_ENDED = ("TERMINATED", "ERROR")


def known_trials(folder: Path) -> Mapping[str, bool] | None:
    """Return trial id to whether Ray takes it for ended; None where there is no snapshot that can be read.

    Args:
        folder: Of the experiment. The newest snapshot is read, as `Tuner.restore` does.
    """
    newest = max(folder.glob(PATTERN), default=None, key=lambda path: path.name)
    if newest is None:
        return None
    try:
        trials = [json.loads(trial) for trial, _ in json.loads(newest.read_text(encoding="utf-8"))["trial_data"]]
        return {str(trial["trial_id"]): _status(trial) in _ENDED for trial in trials}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _status(trial: Mapping[str, Any]) -> str:
    return str(trial.get("status", ""))
