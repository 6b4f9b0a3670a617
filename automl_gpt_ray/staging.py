"""Staging: data that a Data Card names by a URI, copied to a node once for all trials there.

    card = staged_card(card)      # `load.path: s3://bucket/adult` -> a folder of this machine

Whoever comes first copies, the others wait for it. What changes in the bucket gets a folder of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.errors import DataError, JobError, Problem, first_line
from automl_gpt_ray.storage import TROUBLES, Place, is_uri

try:
    import fcntl
except ImportError:  # Windows has no such locks: two trials at once copy the same twice
    fcntl = None  # type: ignore[assignment]

VARIABLE = "AUTOML_GPT_RAY_CACHE"
"""Environment variable with the folder of what is fetched; by default one in the user's cache."""


def staged_card(card: DataCard) -> DataCard:
    """Return the card with its data on this machine; as it is where `load.path` is no URI.

    Raises:
        DataError: The data cannot be reached.
    """
    if card.load is None or not is_uri(card.load.path or ""):
        return card
    try:
        path = _staged(Place.at(str(card.load.path), "data.path"))
    except (JobError, *TROUBLES) as error:
        why = error.problems[0].rule if isinstance(error, JobError) else first_line(error)
        rule = f"must be data that this machine can reach ({why[:200]})"
        remedy = "correct the URI, or give this machine the right to read it"
        raise DataError(card.name, [Problem("data.path", rule, str(card.load.path), remedy)]) from None
    return card.model_copy(update={"load": card.load.model_copy(update={"path": str(path)})})


def _staged(place: Place) -> Path:
    info = place.files.get_file_info(place.path)
    if info.type == fs.FileType.NotFound:
        raise FileNotFoundError("there is no such file or folder")
    found = [info] if info.is_file else list(place.files.get_file_info(fs.FileSelector(place.path, recursive=True)))
    mark = hashlib.sha256(repr([place.name, *((i.path, i.size, i.mtime_ns) for i in found)]).encode()).hexdigest()[:16]
    root = Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "automl_gpt_ray").expanduser() / "staged"
    folder = root / mark
    with _alone(root, mark):
        if not folder.exists():
            draft = root / f"{mark}.new"
            shutil.rmtree(draft, ignore_errors=True)
            if info.is_file:
                draft.mkdir(parents=True)
                source = fs.FileSystem.from_uri(str(draft))[0]
                fs.copy_files(
                    place.path,
                    str(draft / info.base_name),
                    source_filesystem=place.files,
                    destination_filesystem=source,
                )
            else:
                place.fetch(draft)
            draft.rename(folder)
    return folder / info.base_name if info.is_file else folder


@contextmanager
def _alone(root: Path, mark: str) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{mark}.lock").open("w") as guard:
        if fcntl is not None:
            fcntl.flock(guard, fcntl.LOCK_EX)
        yield
