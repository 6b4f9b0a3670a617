"""Fetching: the folder of a run back from where its job kept it, to keep or only to read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
        checkpoints: Whether Ray's files are copied too, in a job of several tasks those of each.

    Raises:
        JobError: This machine cannot read the run's storage, or `folder` holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise JobError("fetch", [Problem("DEST", "must be a new or empty folder", str(folder), "choose another")])
    place = Place.at(run)
    try:
        if not place.exists():
            raise FileNotFoundError("there is nothing there")
        _bring(place, folder, checkpoints)
    except TROUBLES as error:
        rule = f"must be storage that this machine can read ({first_line(error)[:200]})"
        remedy = "give this machine the right to read it" if is_uri(run) else "fetch on a machine that sees that folder"
        raise JobError("fetch", [Problem("the run's folder", rule, run, remedy)]) from None
    return folder


@contextmanager
def at_hand(run: str | Path) -> Iterator[Path]:
    """Yield the folder of a run on this machine: where `run` is a URI, a copy without checkpoints, gone afterwards.

    Raises:
        JobError: This machine cannot read the run's storage.
    """
    if not is_uri(str(run)):
        yield Path(run)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield fetch(str(run), Path(scratch) / name_of(str(run)), checkpoints=False)


def name_of(run: str) -> str:
    """Return the name of a run's folder by its path or URI."""
    return run.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]


def _bring(place: Place, folder: Path, checkpoints: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for found in place.list():
        name = found.base_name
        if found.is_file:
            if not name.endswith(_NOT_KEPT):
                (folder / name).write_bytes(place.read(name) or b"")
        elif name != _CHECKPOINTS:
            _bring(place / name, folder / name, checkpoints)
        elif checkpoints:
            (place / name).fetch(folder / name)
