"""What it costs to start a trial or to bring a paused one back, in steps; measured on the run as it goes.

    cost = SwitchCost()
    book = Book(journal, also=cost.note)
    cost.begin()          # what the journal held is over; from here on events happen now
    cost.steps            # 0 until a trial has started and another has reported twice

From the moment a trial is sent to a worker to its first report there pass the start of a process, the loading of
data and checkpoint, and the steps up to there. What is more than those is the cost.
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
        self._at: dict[str, int] = {}
        self._start_s: float | None = None
        self._first: float | None = None
        self._step_s: float | None = None

    @property
    def steps(self) -> float:
        """What a switch costs, in steps, at least 0."""
        if self._start_s is None or self._first is None or not self._step_s:
            return 0.0
        return max(0.0, self._start_s / self._step_s - self._first)

    def begin(self) -> None:
        """Count from here on."""
        self._live = True

    def note(self, event: Event) -> None:
        """Take the time of an event."""
        if isinstance(event, TrialStarted) and event.parent:
            self._at[event.trial] = event.parent.step
        trained = self._trained(event) if isinstance(event, ResultReported) else 0
        if not self._live:
            return
        now = self._clock()
        if isinstance(event, TrialStarted | TrialResumed):
            self._sent[event.trial] = now
            self._reported.pop(event.trial, None)
        elif isinstance(event, ResultReported):
            if (sent := self._sent.pop(event.trial, None)) is not None:
                self._start_s, self._first = _mean(self._start_s, now - sent), _mean(self._first, trained)
            elif (before := self._reported.get(event.trial)) is not None:
                self._step_s = _mean(self._step_s, (now - before) / trained)
            self._reported[event.trial] = now
        elif isinstance(event, TrialEnded):
            self._sent.pop(event.trial, None)
            self._reported.pop(event.trial, None)

    def _trained(self, event: ResultReported) -> int:
        """Return how many steps a trial has trained since its report before, at least 1; note where it stands."""
        step = event.observation.step
        before, self._at[event.trial] = self._at.get(event.trial, 0), step
        return max(1, step - before)


def _mean(known: float | None, seen: float) -> float:
    return seen if known is None else known + WEIGHT * (seen - known)
