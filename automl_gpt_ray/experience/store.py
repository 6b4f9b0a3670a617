"""The store: a folder of parquet files, one a run, on this machine or in a bucket.

Any number of drivers may write at once: each run has a file of its own, written under another name and moved
into place, so that a reader sees all of it or nothing. A file that cannot be read is reported and left alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from automl_gpt_ray.errors import JobError, Problem, first_line
from automl_gpt_ray.experience.run_record import ID, Experience, ExperienceError, from_table, to_table
from automl_gpt_ray.storage import TROUBLES, located, refuse_keys

SUFFIX = ".parquet"
DRAFT = "_draft-"
"""Begins the names of files that are being written; a killed writer leaves one, which nobody reads."""

MAX_BYTES = 256 * 1024**2
"""Larger files are not read: a run of ten thousand trials takes a tenth of it."""

READERS = 8


@final
class ExperienceStore:
    """Finished runs in a folder.

    Args:
        place: A folder (relative to the working directory), or a URI that `pyarrow.fs` knows. It is made when
            something is written.

    Raises:
        JobError: The place cannot be one.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = str(place)
        self._files, self._folder = _opened(self.place)

    def append(self, experience: Experience, clean: Callable[[str], str] = str) -> str:
        """Remember a run under its id, in place of what was remembered of it before; return the file's path.

        Args:
            experience: The run.
            clean: Applied to every text: takes keys out.

        Raises:
            ExperienceError: The store cannot be written.
        """
        path, draft = self._path(experience.run), f"{self._folder}/{DRAFT}{uuid.uuid4().hex}{SUFFIX}"
        table = to_table(experience, clean)
        with self._told("written"):
            self._files.create_dir(self._folder, recursive=True)
            try:
                pq.write_table(table, draft, filesystem=self._files, compression="zstd")
                self._files.move(draft, path)
            except BaseException:
                with suppress(OSError):
                    self._files.delete_file(draft)
                raise
        return path

    def ids(self) -> list[str]:
        """Return the ids of all runs, sorted; empty where nothing was ever written.

        Raises:
            ExperienceError: The store cannot be read.
        """
        with self._told("read"):
            found = self._files.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        names = (info.base_name for info in found if info.type == fs.FileType.File)
        ids = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX) and not name.startswith(DRAFT))
        return sorted(run for run in ids if ID.fullmatch(run))

    def read(self, run: str) -> Experience:
        """Return a run.

        Raises:
            ExperienceError: There is no such run, or its file cannot be read.
        """
        if not ID.fullmatch(run):
            raise ExperienceError(f"{run[:80]!r} is no id of a run")
        with _named(f"`{run}{SUFFIX}` in `{self.place}`"):
            return self._read(run)

    def all(self) -> tuple[list[Experience], list[str]]:
        """Return all runs that can be read, by id, and what is wrong with the other files.

        Raises:
            ExperienceError: The store itself cannot be read.
        """
        found: list[Experience] = []
        problems: list[str] = []
        with ThreadPoolExecutor(READERS) as pool:
            for run, result in zip(ids := self.ids(), pool.map(self._tried, ids), strict=True):
                if isinstance(result, Experience):
                    found.append(result)
                else:
                    problems.append(f"{run}{SUFFIX}: {result}")
        return found, problems

    def _tried(self, run: str) -> Experience | ExperienceError:
        try:
            return self._read(run)
        except ExperienceError as error:
            return error

    def _read(self, run: str) -> Experience:
        found = [experience for experience in self._runs(self._path(run)) if experience.run == run]
        if len(found) != 1:
            raise ExperienceError(f"it holds {len(found)} runs of that id")
        return found[0]

    def _runs(self, path: str) -> list[Experience]:
        info = self._files.get_file_info(path)
        if info.type != fs.FileType.File:
            raise ExperienceError("there is no such file")
        return read_file(self._files, path, info.size)

    def _path(self, run: str) -> str:
        return f"{self._folder}/{run}{SUFFIX}"

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise ExperienceError(
                f"the experience store `{self.place}` cannot be {verb}: {first_line(error)[:200]}"
            ) from None


def read_file(files: fs.FileSystem, path: str, size: int | None) -> list[Experience]:
    """Return the runs in one parquet file.

    Raises:
        ExperienceError: It cannot be read.
    """
    if size is not None and size > MAX_BYTES:
        raise ExperienceError(f"it has {size} bytes, more than the {MAX_BYTES} that are read")
    try:
        # One file, never a data set: what it is must not depend on the names around it.
        with files.open_input_file(path) as source:
            table = pq.ParquetFile(source).read()
    except (OSError, pa.ArrowException) as error:
        raise ExperienceError(f"it is no parquet file that can be read ({first_line(error)[:200]})") from None
    return from_table(table)


def read_parquet(path: str | Path) -> list[Experience]:
    """Return the runs in a parquet file on this machine or at a URI; ExperienceError where it cannot be read."""
    files, name = _opened(str(path))
    info = files.get_file_info(name)
    if info.type != fs.FileType.File:
        raise ExperienceError(f"`{path}` is no file")
    with _named(f"`{path}`"):
        return read_file(files, name, info.size)


@contextmanager
def _named(file: str) -> Iterator[None]:
    # What is wrong with a file is told without its name, which a list of several has already.
    try:
        yield
    except ExperienceError as error:
        raise ExperienceError(f"{file}: {error}") from None


def write_parquet(path: str | Path, experiences: list[Experience]) -> None:
    """Write runs into one parquet file, replacing it; ExperienceError where it cannot be written."""
    files, name = _opened(str(path))
    try:
        pq.write_table(pa.concat_tables(map(to_table, experiences)), name, filesystem=files, compression="zstd")
    except (OSError, pa.ArrowException) as error:
        raise ExperienceError(f"`{path}` cannot be written: {first_line(error)[:200]}") from None


def _opened(place: str) -> tuple[fs.FileSystem, str]:
    refuse_keys(place, "experience.path")
    try:
        _, files, path = located(place)
    except TROUBLES as error:
        rule = f"must be a folder or a URI that `pyarrow.fs` knows ({first_line(error)[:200]})"
        remedy = "write a path, `s3://bucket/folder`, `gs://bucket/folder`, or `off`"
        raise JobError("experience", [Problem("experience.path", rule, place, remedy)]) from None
    return files, path
