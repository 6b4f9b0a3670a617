"""Following a job: what its driver prints, as it prints it, and its exit code at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread

from automl_gpt_ray.jobs.server import JobServer, JobServerError, JobState

FAILED = 1
"""Exit code of a job whose driver never ran or told none."""

STOPPED = 4
"""Exit code of a job that was stopped."""

POLL_S = 0.5
PATIENCE_S = 300.0
"""A head that cannot be reached is asked again for so long."""

_RAYS_OWN = ("Running entrypoint for job ", "INFO worker.py", "Runtime env is setting up")


def follow(server: JobServer, job_id: str, write: Callable[[str], object]) -> JobState:
    """Write what a job prints until it ends, and return how it ended.

    A connection that breaks is made again, and goes on after the last line that was seen.

    Args:
        server: Where the job runs.
        job_id: Of the job.
        write: Called with whole lines.

    Raises:
        JobError: There is no such job.
        JobServerError: The head cannot be reached for minutes.
    """
    lines, lost = _Lines(write), None
    while True:
        try:
            state = server.state(job_id)
            lines.again()
            for piece in _apart(server.tail(job_id)) if not state.over else (server.logs(job_id),):
                lines.take(piece)
            if state.over:
                lines.end()
                return state
            lost = None
        except JobServerError:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > PATIENCE_S:
                raise
        time.sleep(POLL_S)


def exit_code(state: JobState) -> int:
    """Return the exit code of a followed job: the run's own, where it came to one."""
    if state.status == "STOPPED":
        return STOPPED
    if state.exit_code is None or state.exit_code < 0:
        return FAILED
    return state.exit_code


def _apart(pieces: Iterator[str]) -> Iterator[str]:
    """Yield `pieces`, for which a thread waits: Ctrl-C then finds this one where nothing can swallow it."""
    found: SimpleQueue[str | Exception | None] = SimpleQueue()

    def read() -> None:
        try:
            for piece in pieces:
                found.put(piece)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            found.put(error)
        found.put(None)

    Thread(target=read, name="job log", daemon=True).start()
    while True:
        try:
            piece = found.get(timeout=POLL_S)
        except Empty:
            continue
        if piece is None:
            return
        if isinstance(piece, Exception):
            raise piece
        yield piece


class _Lines:
    """Passes on whole lines, each once, however often the log is read from its beginning."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._rest, self._told, self._at = write, "", 0, 0

    def again(self) -> None:
        self._rest, self._at = "", 0

    def take(self, piece: str) -> None:
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            self._pass_on(line)

    def end(self) -> None:
        if self._rest:
            self._pass_on(self._rest)

    def _pass_on(self, line: str) -> None:
        self._at += 1
        if self._at > self._told:
            self._told = self._at
            if not any(mark in line for mark in _RAYS_OWN):
                self._write(line)
