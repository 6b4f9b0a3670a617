"""What Ray's own snapshot of an experiment knows: which trials there were, and how each stood.

Ray writes it every few seconds (TUNE_GLOBAL_CHECKPOINT_S); our journal is always newer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from pyarrow import fs

from automl_gpt_ray.storage import TROUBLES, Place

# Ray fetches nothing but *.json and *.pkl from a remote storage path.
COPY = "searcher-journal.json"
_OVERLAP = 4096
"""Bytes, some lines: each holds a time and a checksum, so no other journal has the same."""
_NAME = re.compile(r"experiment_state-.*\.json")
_ENDED = ("TERMINATED", "ERROR")
_CHECKPOINT = re.compile(r"checkpoint_\d{6}")


def known_trials(folder: Place) -> Mapping[str, bool] | None:
    """Return trial id to whether Ray takes it for ended; None where there is no snapshot that can be read.

    Args:
        folder: Of the experiment. The newest snapshot is read, as `Tuner.restore` does.
    """
    trials = _snapshot(folder)
    if trials is None:
        return None
    return {str(trial["trial_id"]): _status(trial) in _ENDED for trial, _ in trials}


def mend_checkpoints(folder: Place, newest: Callable[[str], str | None]) -> list[str]:
    """Put the newest checkpoint of a trial where the snapshot looks for an older one that Ray has deleted since.

    Ray deletes what `num_to_keep` does not keep at once, and snapshots later: a driver killed between the
    two leaves a snapshot whose trials cannot be resumed (they would fail).

    Args:
        folder: Of the experiment; each trial's folder in it is `trial_<id>`.
        newest: Trial id to the newest checkpoint that the journal knows and that is whole, by its path in the same
            storage, or None. A journal brought from a bucket may be older than what lies there.

    Returns:
        The ids of the trials that were helped.
    """
    mended = []
    for trial, metadata in _snapshot(folder) or ():
        wanted = set(_CHECKPOINT.findall(_text(metadata)))
        kept = folder / f"trial_{trial['trial_id']}"
        missing = {name: place for name in wanted if not (place := kept / name).exists()}
        if _status(trial) in _ENDED or not missing:
            continue
        found = newest(str(trial["trial_id"]))
        if found is None or PurePath(found).name < max(missing):
            found = _next(kept, max(missing)) or found
        if found is None:
            continue
        for place in missing.values():
            place.files.create_dir(place.path, recursive=True)
            fs.copy_files(found, place.path, source_filesystem=place.files, destination_filesystem=place.files)
        mended.append(str(trial["trial_id"]))
    return mended


def _next(kept: Place, deleted: str) -> str | None:
    """Return the first checkpoint after one that Ray has deleted: it deletes none before the next is there, whole."""
    names = (info.base_name for info in kept.list() if _CHECKPOINT.fullmatch(info.base_name))
    found = min((name for name in names if name > deleted), default=None)
    return None if found is None else (kept / found).path


def _text(metadata: Mapping[str, Any]) -> str:
    # A pickle, written out in hexadecimal; the names in it are looked for, and nothing of it is loaded.
    manager = metadata.get("checkpoint_manager") or {}
    return bytes.fromhex(manager.get("value", "")).decode("latin-1")


def _snapshot(folder: Place) -> list[tuple[dict[str, Any], dict[str, Any]]] | None:
    try:
        newest = max((i.base_name for i in folder.list() if _NAME.fullmatch(i.base_name)), default=None)
        if newest is None:
            return None
        data = json.loads(folder.read(newest) or b"")["trial_data"]
        return [(json.loads(trial), json.loads(metadata)) for trial, metadata in data]
    except (*TROUBLES, KeyError, TypeError):
        return None


def _status(trial: Mapping[str, Any]) -> str:
    return str(trial.get("status", ""))


def keep_journal(journal: Path, state: Path) -> None:
    """Put a copy of the journal beside the searcher's `state` in Ray's snapshot, and write that state.

    Ray saves every few seconds, in its event loop, and a long run's journal takes a while to copy: only what has come
    since the last save is. Never a link: when a run is resumed, Ray writes the snapshot's files, which are older, over
    those of the same name in its staging folder, and would write them over the journal.
    """
    kept = state.parent / COPY
    if not _grown(kept, journal):
        # Ray saves to a new name each time; the journal has one, so that there is only one.
        fresh = kept.with_name(f".{COPY}.new")
        fresh.unlink(missing_ok=True)
        shutil.copyfile(journal, fresh)
        fresh.replace(kept)
    state.write_text(json.dumps({"journal": str(journal)}), encoding="utf-8")


def _grown(kept: Path, journal: Path) -> bool:
    """Append to `kept` what `journal` has more; False where it is not an older copy of that journal."""
    if not kept.exists() or kept.samefile(journal):
        return False
    with kept.open("r+b") as copy, journal.open("rb") as source:
        length = copy.seek(0, os.SEEK_END)
        from_here = max(0, length - _OVERLAP)
        copy.seek(from_here)
        source.seek(from_here)
        if copy.read() != source.read(length - from_here):
            return False
        # The two now stand at the same place.
        shutil.copyfileobj(source, copy)
    return True


def bring_journal(journal: Path, state: Path) -> None:
    """Take the journal from where it was kept beside `state` if it is gone, as on another machine."""
    kept = state.parent / COPY
    if not journal.exists() and kept.exists():
        journal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, journal)
