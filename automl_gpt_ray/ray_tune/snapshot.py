"""What Ray's own snapshot of an experiment knows: which trials there were, and how each stood.

Ray writes it every few seconds (TUNE_GLOBAL_CHECKPOINT_S); our journal is always newer.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Ray fetches nothing but *.json and *.pkl from a remote storage path.
COPY = ".journal.json"
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


def keep_journal(journal: Path, state: Path) -> None:
    """Copy the journal beside the searcher's `state` in Ray's snapshot, and write that state."""
    shutil.copyfile(journal, f"{state}{COPY}")
    state.write_text(json.dumps({"journal": str(journal)}), encoding="utf-8")


def bring_journal(journal: Path, state: Path) -> None:
    """Take the journal from its copy beside `state` where it is gone, as on another machine."""
    copy = Path(f"{state}{COPY}")
    if not journal.exists() and copy.exists():
        journal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, journal)
