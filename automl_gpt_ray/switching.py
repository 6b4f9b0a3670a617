"""What it costs to start a trial or to bring a paused one back, in steps; measured on the run as it goes.

    cost = SwitchCost()
    book = Book(journal, also=cost.note)
    cost.begin()          # what the journal held is over; from here on events happen now
    cost.steps            # 0 until a trial has started and another has made a second step

From the moment a trial is sent to a worker to its first report there pass the start of a process, the loading of
data and checkpoint, and one step. What is more than a step is the cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

from automl_gpt_ray.events import Event, ResultReported, TrialEnded, TrialResumed, TrialStarted

WEIGHT = 0.2
"""Of the latest measurement in the running mean."""


@final
class SwitchCost:
    """Watches the events of one run.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._live = False
        self._sent: dict[str, float] = {}
        self._reported: dict[str, float] = {}
        self._start_s: float | None = None
        self._step_s: float | None = None

    @property
    def steps(self) -> float:
        """What a switch costs, in steps, at least 0."""
        if self._start_s is None or not self._step_s:
            return 0.0
        return max(0.0, self._start_s / self._step_s - 1.0)

    def begin(self) -> None:
        """Count from here on."""
        self._live = True

    def note(self, event: Event) -> None:
        """Take the time of an event."""
        if not self._live:
            return
        now = self._clock()
        if isinstance(event, TrialStarted | TrialResumed):
            self._sent[event.trial] = now
            self._reported.pop(event.trial, None)
        elif isinstance(event, ResultReported):
            if (sent := self._sent.pop(event.trial, None)) is not None:
                self._start_s = _mean(self._start_s, now - sent)
            elif (before := self._reported.get(event.trial)) is not None:
                self._step_s = _mean(self._step_s, now - before)
            self._reported[event.trial] = now
        elif isinstance(event, TrialEnded):
            self._sent.pop(event.trial, None)
            self._reported.pop(event.trial, None)


def _mean(known: float | None, seen: float) -> float:
    return seen if known is None else known + WEIGHT * (seen - known)
