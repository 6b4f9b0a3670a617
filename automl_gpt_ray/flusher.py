"""The flusher: brings what was written to a file to the disk, off the writer's thread.

    flusher = Flusher(descriptor)
    os.write(descriptor, line)
    flusher.soon()      # returns at once; the disk has the line within about a second
    flusher.now()       # or: returns when the disk has all lines

A flush takes milliseconds, and Ray's event loop has none to give.
"""

from __future__ import annotations

import os
import threading
from typing import final

GAP_S = 1.0
"""Least time between two flushes in the background. Each makes the file system write down what others, Ray above
all, have created meanwhile, and them wait for it."""


@final
class Flusher:
    """Flushes an open file; safe to call from several threads.

    Args:
        file: Its descriptor, open until after `close`.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._wake = threading.Condition()
        self._due = self._closed = False
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None

    def soon(self) -> None:
        """Let the file be flushed in the background.

        Raises:
            OSError: An earlier flush in the background failed: what was written since may be lost.
        """
        with self._wake:
            if self._error:
                raise self._error
            self._due = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="journal-flusher", daemon=True)
                self._thread.start()
            self._wake.notify()

    def now(self) -> None:
        """Flush the file before returning.

        Raises:
            OSError: It cannot be flushed, or could not earlier.
        """
        with self._wake:
            if self._error:
                raise self._error
            self._due = False
        os.fsync(self._file)

    def close(self) -> None:
        """End the background thread, and flush once more; as `now`."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread:
            self._thread.join()
        self.now()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._due or self._closed)
                if self._closed:
                    return
                self._due = False
            try:
                os.fsync(self._file)
            except OSError as error:
                self._error = error
                return
            with self._wake:
                self._wake.wait_for(lambda: self._closed, timeout=GAP_S)
