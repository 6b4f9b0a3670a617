"""Fetching: the folder of a run back from where its job kept it."""

from __future__ import annotations

from pathlib import Path

from automl_gpt_ray.errors import JobError, Problem, first_line
from automl_gpt_ray.storage import TROUBLES, Place, is_uri

_CHECKPOINTS = "ray"
_NOT_KEPT = (".lock", ".new")


def fetch(run: str, folder: Path, checkpoints: bool = True) -> Path:
    """Copy a run's folder here and return its path.

    Args:
        run: Path or URI of the run.
        folder: Where to; must be new or empty.
        checkpoints: Whether Ray's files are copied too.

    Raises:
        JobError: This machine cannot read the run's storage, or `folder` holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise JobError("fetch", [Problem("DEST", "must be a new or empty folder", str(folder), "choose another")])
    place = Place.at(run)
    try:
        if not place.exists():
            raise FileNotFoundError("there is nothing there")
        folder.mkdir(parents=True, exist_ok=True)
        for found in place.list():
            if found.base_name.endswith(_NOT_KEPT):
                continue
            if found.is_file:
                (folder / found.base_name).write_bytes(place.read(found.base_name) or b"")
            elif checkpoints or found.base_name != _CHECKPOINTS:
                (place / found.base_name).fetch(folder / found.base_name)
    except TROUBLES as error:
        rule = f"must be storage that this machine can read ({first_line(error)[:200]})"
        remedy = "give this machine the right to read it" if is_uri(run) else "fetch on a machine that sees that folder"
        raise JobError("fetch", [Problem("the run's folder", rule, run, remedy)]) from None
    return folder
