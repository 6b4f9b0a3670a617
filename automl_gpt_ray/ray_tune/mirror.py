"""The mirror of a run: a thread that copies the files of its folder to its storage as they change.

Whole files: buckets know no appending. A driver whose machine is lost loses the seconds since the last copy;
a driver that is killed loses nothing that the next one on that machine does not find.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import final

from automl_gpt_ray.errors import first_line
from automl_gpt_ray.storage import TROUBLES, Place

PERIOD_S = 5.0
COST_SHARE = 0.05
"""At most this share of the time is spent copying: a long journal is copied less often."""
_NOT_KEPT = (".lock", ".tmp", ".new")


@final
class Mirror:
    """Copies the files of `folder` (not its folders) to `storage`.

    Args:
        folder: Of the run.
        storage: Where they are kept.
        tell: Told once of each failure in a row.
        period_s: Least seconds between two copies.
    """

    def __init__(
        self, folder: Path, storage: Place, tell: Callable[[str], None] | None = None, period_s: float = PERIOD_S
    ) -> None:
        self._folder, self._storage, self._tell, self._period_s = folder, storage, tell, period_s
        self._seen: dict[str, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._keep_on, name="mirror", daemon=True)

    def __enter__(self) -> Mirror:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=60.0)
        self.copy()

    def copy(self) -> int:
        """Copy what has changed since the last copy, and return how many files that were."""
        try:
            changed = [(path, mark) for path in sorted(self._folder.iterdir()) if (mark := self._changed(path))]
            for path, mark in changed:
                self._storage.write(path.name, path.read_bytes())
                self._seen[path.name] = mark
        except TROUBLES as error:
            if self._tell and not self._failing:
                self._tell(f"WARNING: the storage `{self._storage.name}` cannot be written: {first_line(error)}")
            self._failing = True
            return 0
        if self._failing and self._tell:
            self._tell(f"the storage `{self._storage.name}` can be written again")
        self._failing = False
        return len(changed)

    def _keep_on(self) -> None:
        wait = 0.0  # the job is there from the first moment on
        while not self._ended.wait(wait):
            began = time.monotonic()
            self.copy()
            wait = max(self._period_s, (time.monotonic() - began) / COST_SHARE)

    def _changed(self, path: Path) -> tuple[int, int] | None:
        if path.name.endswith(_NOT_KEPT) or not path.is_file():
            return None
        found = path.stat()
        mark = (found.st_mtime_ns, found.st_size)
        return mark if self._seen.get(path.name) != mark else None
