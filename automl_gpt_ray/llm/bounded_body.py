"""Bounds on the body of an HTTP response, as a hook for the HTTP client under `openai`.

The one place that names that client (`httpx2`); it is imported only when a request is made. A hook
rather than a transport of our own, because a client with its own transport ignores the proxies
set in the environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx2

MAX_BYTES = 4 * 1024 * 1024
"""Largest body accepted, as sent over the wire. A reply of 100 000 tokens is a tenth of it."""


class BodyTooLarge(httpx2.ReadError):
    """The server sent more than the cap."""


def bounded(
    max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
) -> Callable[[httpx2.Response], None]:
    """Return a response hook that bounds every body, those of error pages included.

    Args:
        max_bytes: Cap on the body, in bytes on the wire.
        clock: Monotonic seconds.
    """

    def bound(response: httpx2.Response) -> None:
        stream = response.stream
        if not isinstance(stream, httpx2.SyncByteStream):
            return
        # The request's own read time-out, once over for the whole body: it is what ends the thread
        # of a request that `within` has already given up on.
        seconds = response.request.extensions.get("timeout", {}).get("read")
        response.stream = _BoundedStream(stream, max_bytes, None if seconds is None else clock() + seconds, clock)

    return bound


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(
        self, stream: httpx2.SyncByteStream, max_bytes: int, deadline: float | None, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._left = max_bytes
        self._deadline = deadline
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise BodyTooLarge("the reply is larger than the cap")
            if self._deadline is not None and self._clock() > self._deadline:
                raise httpx2.ReadTimeout("the body was still coming at the deadline")
            yield chunk

    def close(self) -> None:
        self._stream.close()
