"""Where a run lies: its folder on the driver's machine, and the storage that outlives that machine.

With a path for `storage_path` the two are one folder. With a URI (`s3://bucket/runs`) Ray writes checkpoints and
snapshots there, never through the driver's machine, and the run's own files are mirrored there as they grow.
"""

from __future__ import annotations

import getpass
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.journal import FILE_NAME
from automl_gpt_ray.ray_tune.snapshot import COPY
from automl_gpt_ray.storage import TROUBLES, Place, is_uri, joined

EXPERIMENT = "ray"
"""Ray's folder in that of a run."""


@dataclass(frozen=True)
class RunPlace:
    """The place of one run.

    Attributes:
        folder: On the driver's machine: journal, job, outcome.
        storage: What outlives it, and where Ray writes; the folder itself where `storage_path` is a path.
    """

    folder: Path
    storage: Place

    @property
    def mirrored(self) -> bool:
        """Return whether the folder is only a copy of what the storage keeps."""
        return is_uri(self.storage.name)

    @property
    def ray(self) -> Place:
        """Ray's folder of the experiment."""
        return self.storage / EXPERIMENT

    def found(self, path: str) -> str | None:
        """Return where a checkpoint lies now, by its path in the storage's file system; None where it is gone.

        A run that was moved or copied has it below its own folder, whatever the journal says.
        """
        _, mark, below = path.rpartition(f"/{EXPERIMENT}/")
        here = [f"{self.ray.path}/{below}"] if mark else []
        return next((found for found in (*here, path) if self._is_there(found)), None)

    def _is_there(self, path: str) -> bool:
        try:
            return bool(self.storage.files.get_file_info(path).type.value)
        except TROUBLES:
            return False

    def checkpoint(self, path: str) -> Any:
        """Return the `tune.Checkpoint` at `path`; any node that reaches the storage can read it."""
        from ray import tune

        return tune.Checkpoint(path, filesystem=self.storage.files)

    def named(self, path: str) -> str:
        """Return the name of a path in the storage as a person would write it."""
        if not self.mirrored:
            return path
        below = path.removeprefix(self.storage.path).lstrip("/")
        return (self.storage / below).name


def place_for(storage_path: str, name: str, run_dir: str | Path | None = None) -> RunPlace:
    """Return the place of a new run; nothing is made yet.

    Args:
        storage_path: Of the job.
        name: Of the run, where `run_dir` does not name its folder.
        run_dir: The folder, or the URI of one; by default one below `storage_path`.
    """
    if run_dir is not None:
        return place_of(run_dir)
    return place_of(joined(storage_path, name))


def place_of(run_dir: str | Path) -> RunPlace:
    """Return the place of a run by its folder or the URI of its storage."""
    storage = Place.at(run_dir, "run_dir")
    if not is_uri(str(run_dir)):
        return RunPlace(Path(storage.name), storage)
    return RunPlace(_scratch(storage), storage)


def brought(run_dir: str | Path) -> Path:
    """Return the folder of a run on this machine; files that its storage has newer are brought first.

    Raises:
        JobError: The storage cannot be read.
    """
    place = place_of(run_dir)
    if not place.mirrored:
        return place.folder
    try:
        kept = max((place.storage.read(FILE_NAME) or b"", _in_snapshot(place)), key=len)
        names = [info.base_name for info in place.storage.list() if info.is_file and info.base_name != FILE_NAME]
        place.folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place.folder / name).write_bytes(place.storage.read(name) or b"")
    except TROUBLES as error:
        rule = f"must be the storage of a run that can be read ({error})"
        raise JobError("run_dir", [Problem("run_dir", rule, place.storage.name)]) from None
    here = place.folder / FILE_NAME
    # A driver that died on this machine wrote more than it could mirror.
    if kept and (not here.exists() or here.stat().st_size < len(kept)):
        here.write_bytes(kept)
    return place.folder


def _scratch(storage: Place) -> Path:
    """Return the folder on this machine for the files of a run that lies in storage; the same one each time."""
    mark = hashlib.sha256(storage.name.encode()).hexdigest()[:8]
    name = storage.path.rsplit("/", 1)[-1]
    return Path(tempfile.gettempdir()) / f"automl-gpt-ray-{getpass.getuser()}" / f"{name}-{mark}"


def _in_snapshot(place: RunPlace) -> bytes:
    # Ray uploads its snapshots, with a copy of the journal in each, at its own pace.
    return place.ray.read(COPY) or b""
