"""Running a blocking call that must be answered by a deadline, whatever the other side does.

Knows nothing of servers or language models.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class DeadlinePassed(Exception):
    """The call had not returned in time; its thread was left behind."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return `call()`, or give up after `seconds`.

    The time-outs of an HTTP client bound one read each, so a server that sends a byte a second
    keeps such a client waiting for ever, in the headers as in the body. Only somebody who is not
    reading can keep the time: the call runs in a daemon thread and the caller waits on the clock.
    Python cannot end a thread, so an abandoned one goes on until its own time-out ends it; being
    a daemon, it never keeps the process alive.

    Args:
        seconds: How long to wait; at 0 or less the call is not begun.
        call: Anything that ends by itself, sooner or later.

    Raises:
        DeadlinePassed: No result within `seconds`.
        Exception: Whatever `call` raised.
    """
    if seconds <= 0:
        raise DeadlinePassed
    attempt = _Attempt(call)
    threading.Thread(target=attempt.run, name="llm-call", daemon=True).start()
    if not attempt.ended.wait(seconds):
        raise DeadlinePassed
    return attempt.result()


class _Attempt(Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._values: list[T] = []
        self._error: BaseException | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self._values.append(self._call())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the waiting thread
            self._error = error
        finally:
            self.ended.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._values[0]
