"""The agenda of a simulation: what will happen when, in virtual time."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import final

from benchmarks.stand_in import SimTrial


@dataclass(order=True, frozen=True)
class Event:
    """Something about a trial; void once the trial's token has moved on."""

    at: float
    order: int
    kind: str = field(compare=False)
    trial: SimTrial = field(compare=False)
    token: int = field(compare=False)

    @property
    def void(self) -> bool:
        """Whether it was called off."""
        return self.token != self.trial.token


@final
class Agenda:
    """Events in order of time, those of one moment in the order they were entered."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._events)

    def enter(self, at: float, kind: str, trial: SimTrial) -> None:
        """Enter an event."""
        heapq.heappush(self._events, Event(at, next(self._order), kind, trial, trial.token))

    def next(self) -> Event:
        """Remove and return the earliest event."""
        return heapq.heappop(self._events)
