"""The journal: one append-only file from which a run can be rebuilt, audited and replayed.

Each line is `{"crc": "<8 hex>", "seq": n, "time": t, "event": {...}}`; the checksum covers the text
after it. Lines are written with one `write` before `append` returns, so no `kill -9` loses one. Against a
machine that dies they are also flushed to disk: what was paid for and what a run begins and ends with before
`append` returns, the rest, which Ray's event loop writes, in the background a moment later. What the events
mean is `book.Book`'s to say.
"""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import (
    ADAPTER,
    Event,
    PromptSent,
    ReplyReceived,
    ResultReported,
    RunEnded,
    RunResumed,
    RunStarted,
    Tested,
)
from automl_gpt_ray.flusher import Flusher

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

FILE_NAME = "journal.jsonl"
SKIPPED = "damaged or unknown lines were skipped"
"""Part of `Journal.damage` when events between readable ones are lost."""
_AT_ONCE = (RunStarted, RunResumed, PromptSent, ReplyReceived, Tested, RunEnded)
"""Flushed before `append` returns."""


@dataclass(frozen=True)
class Entry:
    """An event with its place in the journal and the time it was written."""

    seq: int
    time: float
    event: Event


class Journal:
    """Appends events to a file; safe to call from several threads.

    Args:
        path: The file; made with its folder where absent, continued where it holds events.
        redact: Applied to each text before it is written, so that no key ever reaches the file.
        clock: Seconds since the epoch.

    Attributes:
        entries: What the file held when it was opened.
        damage: What was wrong with it, for a person; empty when nothing was. A damaged tail (the
            line being written when the driver was killed) is moved to a file beside the journal.

    Raises:
        JournalError: The file cannot be read or written, or another process is writing it.
    """

    def __init__(
        self,
        path: str | Path,
        redact: Callable[[str], str] = lambda text: text,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self._redact, self._clock = redact, clock
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._guard = _alone(self.path)
            try:
                self.entries, self.damage = _recover(self.path)
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            except (OSError, JournalError):
                os.close(self._guard)
                raise
        except OSError as error:
            raise JournalError(f"cannot open the journal `{self.path}`: {error.strerror}") from None
        self._next = self.entries[-1].seq + 1 if self.entries else 1
        self._torn = False
        self._flusher = Flusher(self._file)

    def append(self, event: Event) -> Entry:
        """Write `event` and return its entry.

        Raises:
            JournalError: The disk refused it. The run must stop: going on would lose its record.
        """
        with self._lock:
            entry = Entry(self._next, self._clock(), event)
            line = _encode(entry, self._redact).encode()
            try:
                # A write that failed half way must not take the next line, another thread's, with it.
                _write_all(self._file, b"\n" + line if self._torn else line)
                self._torn = False
                (self._flusher.now if isinstance(event, _AT_ONCE) else self._flusher.soon)()
            except OSError as error:
                self._torn = True
                raise JournalError(f"cannot write the journal `{self.path}`: {error.strerror}") from None
            self._next += 1
            return entry

    def close(self) -> None:
        """Flush and close the file; further appends fail.

        Raises:
            JournalError: The disk refused the last lines; the file is closed all the same.
        """
        with self._lock:
            if self._file < 0:
                return
            file, self._file = self._file, -1
            try:
                self._flusher.close()
            except OSError as error:
                raise JournalError(f"cannot write the journal `{self.path}`: {error.strerror}") from None
            finally:
                os.close(file)
                os.close(self._guard)


def read_journal(path: str | Path) -> list[Entry]:
    """Return the readable entries of the journal at `path`, changing nothing.

    Raises:
        JournalError: There is no such file, or it cannot be read.
    """
    return [entry for entry in scan_journal(path) if entry]


def scan_journal(path: str | Path) -> Iterator[Entry | None]:
    """Yield the entry of each line of the journal at `path`, None for a line that cannot be read.

    Raises:
        JournalError: There is no such file, or it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            for line in file:
                yield _decode(line) if line.endswith(b"\n") else None
    except OSError as error:
        raise JournalError(f"cannot read the journal `{path}`: {error.strerror}") from None


def json_values(value: Any, redact: Callable[[str], str]) -> Any:
    """Return JSON values as a journal writes them: without keys, NaN and infinities as text."""
    # Text by text, never over the encoded line: a pattern that eats a quote would break the JSON.
    if isinstance(value, str):
        # A lone surrogate, which a model's JSON may spell, cannot be written as UTF-8.
        return redact(value).encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: json_values(item, redact) for key, item in value.items()}
    return [json_values(item, redact) for item in value] if isinstance(value, list) else value


def _alone(path: Path) -> int:
    """Return an open file that no other process can lock; its own, for any close of a file frees its locks."""
    guard = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    if fcntl is None:
        return guard
    try:
        fcntl.lockf(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            os.close(guard)
            raise JournalError(f"another process writes the journal `{path}`: is this run still going on?") from None
        # A file system without locks is no reason not to run.
    return guard


def _recover(path: Path) -> tuple[list[Entry], str]:
    content = path.read_bytes() if path.exists() else b""
    lines = list(_lines(content))
    good = max((end for end, entry in lines if entry), default=0)
    skipped = sum(1 for end, entry in lines if entry is None and end <= good)
    damage = [f"{skipped} {SKIPPED}"] if skipped else []
    if not good and b"\n" in content:
        # More than a line that was being written: somebody's run, or no journal at all. Not to be begun anew.
        raise JournalError(f"cannot read the journal `{path}`: none of its lines is whole. It was left as it is.")
    if good < len(content):
        aside = path.with_name(f"{path.name}.tail-{len(content)}")
        aside.write_bytes(content[good:])
        os.truncate(path, good)
        damage.append(f"{len(content) - good} bytes of unfinished tail were moved to `{aside.name}`")
    return [entry for _, entry in lines if entry], "; ".join(damage)


def _lines(content: bytes) -> Iterator[tuple[int, Entry | None]]:
    """Yield (offset of the line's end, its entry or None where unreadable)."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start) + 1
        if end == 0:
            yield len(content), None
            return
        yield end, _decode(content[start:end])
        start = end


def _decode(line: bytes) -> Entry | None:
    try:
        text = line.decode()
        crc, _, body = text.rstrip("\r\n").removeprefix('{"crc":"').partition('",')
        if _crc(body) != crc:
            return None
        head, _, event = body.partition(',"event":')
        place = json.loads("{" + head + "}")
        return Entry(place["seq"], place["time"], ADAPTER.validate_json(event[:-1]))
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def _encode(entry: Entry, redact: Callable[[str], str]) -> str:
    if isinstance(entry.event, ResultReported):
        event = ADAPTER.dump_json(entry.event).decode()
    else:
        value = json_values(ADAPTER.dump_python(entry.event, mode="json"), redact)
        event = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    body = f'"seq":{entry.seq},"time":{entry.time:.3f},"event":{event}}}'
    return f'{{"crc":"{_crc(body)}",{body}\n'


def _crc(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
