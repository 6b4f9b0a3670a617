"""Places: a folder on this machine or in a bucket, by its path or URI; whatever `pyarrow.fs` knows.

Knows file systems and names; nothing of runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pyarrow as pa
from pyarrow import fs

from automl_gpt_ray.errors import JobError, Problem, first_line

TROUBLES = (OSError, ValueError, pa.ArrowException)
"""What a file system raises when it cannot be reached or refuses."""


@final
@dataclass(frozen=True)
class Place:
    """A folder that need not exist yet.

    Attributes:
        name: Its path or URI, as a person would write it.
        files: The file system that holds it.
        path: Where in that file system.
    """

    name: str
    files: Any
    path: str

    @staticmethod
    def at(name: str | Path, field: str = "storage_path") -> Place:
        """Return the place that a path or URI names.

        Args:
            name: A path, relative to the working directory, or a URI.
            field: Of the job, for the message.

        Raises:
            JobError: No file system goes by that name.
        """
        text = str(name)
        refuse_keys(text, field)
        try:
            where, files, path = located(text)
        except TROUBLES as error:
            rule = f"must be a folder or a URI that `pyarrow.fs` knows ({first_line(error)[:200]})"
            remedy = "write a path, `s3://bucket/folder` or `gs://bucket/folder`"
            raise JobError(field, [Problem(field, rule, text, remedy)]) from None
        return Place(where, files, path)

    def __truediv__(self, below: str) -> Place:
        return Place(joined(self.name, below), self.files, f"{self.path}/{below}")

    def exists(self) -> bool:
        """Return whether there is a file or folder at this place."""
        return bool(self.files.get_file_info(self.path).type.value)

    def list(self) -> Iterator[Any]:
        """Yield pyarrow's `FileInfo` of what lies in the folder; nothing where it does not exist."""
        yield from self.files.get_file_info(fs.FileSelector(self.path, allow_not_found=True))

    def read(self, name: str) -> bytes | None:
        """Return the content of a file in the folder, None where there is none."""
        path = f"{self.path}/{name}"
        if self.files.get_file_info(path).type != fs.FileType.File:
            return None
        with self.files.open_input_stream(path) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Write a file into the folder, which is made where absent, replacing the one there."""
        self.files.create_dir(self.path, recursive=True)
        draft = f"{self.path}/.{name}.new"
        if not isinstance(self.files, fs.LocalFileSystem):
            draft = f"{self.path}/{name}"  # a bucket shows an object whole or not at all
        with self.files.open_output_stream(draft) as stream:
            stream.write(content)
        if draft != f"{self.path}/{name}":
            self.files.move(draft, f"{self.path}/{name}")

    def fetch(self, folder: Path) -> None:
        """Copy everything in the folder into one on this machine."""
        folder.mkdir(parents=True, exist_ok=True)
        fs.copy_files(self.path, str(folder), source_filesystem=self.files, destination_filesystem=_HERE)

    def send(self, source: Path) -> None:
        """Copy a file of this machine to this place, or everything in a folder."""
        if source.is_dir():
            self.files.create_dir(self.path, recursive=True)
            fs.copy_files(str(source), self.path, source_filesystem=_HERE, destination_filesystem=self.files)
            return
        with source.open("rb") as content, self.files.open_output_stream(self.path) as stream:
            while piece := content.read(8 * 1024**2):
                stream.write(piece)


_HERE = fs.LocalFileSystem()
_KEYS = re.compile(r"^(\w+://)[^@?]*:[^@?]*@")  # also where a slash in the key makes it no URI


def is_uri(name: str) -> bool:
    """Return whether a place is named by a URI rather than by a path."""
    return "://" in name


def located(name: str) -> tuple[str, Any, str]:
    """Return the absolute name of a place, its file system, and where in that it is; raises one of TROUBLES."""
    where = name if is_uri(name) else str(Path(name).expanduser().absolute())
    files, path = fs.FileSystem.from_uri(where)
    if not path.strip("/"):
        raise ValueError("no folder or bucket is named")
    return where, files, path.rstrip("/")


def refuse_keys(place: str, field: str) -> None:
    """Raise JobError where a URI holds a password or key: it would be written into the job, the journal and logs."""
    shown = _KEYS.sub(r"\1[redacted]@", place)
    if shown != place:
        remedy = "leave them out; each node takes them from its environment (AWS_ACCESS_KEY_ID, …) or from its role"
        raise JobError(field, [Problem(field, "must not hold keys", shown, remedy)])


def joined(place: str, below: str) -> str:
    """Return the name of what lies `below` a place; a URI keeps its query (`s3://bucket?region=…`)."""
    head, mark, query = place.partition("?") if is_uri(place) else (place, "", "")
    return f"{head.rstrip('/')}/{below}{mark}{query}"
