"""The demand for proposals: how fast they are taken, and how many may be wanted at once.

Measured on the run as it goes; knows neither advisors nor queues. Not thread-safe: hold the book's lock.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import final

from automl_gpt_ray.book import Book
from automl_gpt_ray.records import History, TrialRecord, TrialState

Shares = Callable[[History], Mapping[str, float]]
RECENT_TAKES = 64
LATEST = 500  # older trials hardly run any more, and nobody should go through thousands at each decision
NOTED_S = 0.1
# A source that could not serve its share for a while is due more than that afterwards.
CATCH_UP = 1.5


@final
class Demand:
    """Tells how many proposals of a source a run will use.

    Args:
        book: Of the run.
        shares: Share of the trials that each source is to serve now; one that it leaves out must be
            able to serve all.
        clock: Monotonic seconds.
    """

    def __init__(self, book: Book, shares: Shares, clock: Callable[[], float] = time.monotonic) -> None:
        self._book, self._shares, self._clock = book, shares, clock
        self._takes: deque[float] = deque(maxlen=RECENT_TAKES)
        self._versions: deque[tuple[float, int]] = deque(maxlen=1000)
        self._known: tuple[int, Mapping[str, float]] = (-1, {})

    def took(self) -> None:
        """Note that a proposal became a trial."""
        self._takes.append(self._clock())

    def look(self) -> None:
        """Note how far the history is now."""
        now = self._clock()
        if not self._versions or now - self._versions[-1][0] > NOTED_S:
            self._versions.append((now, self._book.version))

    def version_before(self, seconds: float) -> int:
        """Return a version that the history had `seconds` ago; 0 from before the first look."""
        moment = self._clock() - seconds
        return next((version for at, version in reversed(self._versions) if at <= moment), 0)

    def during(self, source: str, seconds: float) -> int:
        """Return how many proposals of `source` will be taken in the next `seconds`, rounded up."""
        if len(self._takes) < 2:
            return 0
        rate = (len(self._takes) - 1) / max(1e-3, self._clock() - self._takes[0])
        taken = rate * seconds
        if not self._book.ended_version:
            # Nobody knows yet how long a trial takes, only that each will need a successor.
            taken = min(taken, len(self._running()))
        return math.ceil(taken * self._due(source))

    def at_once(self, source: str) -> int:
        """Return how many proposals of `source` are taken if all running trials end together, as they do."""
        return math.ceil(len(self._running()) * self._due(source))

    def told(self) -> object:
        """Return what tells one moment's history from another's, as far as an advisor is shown it."""
        history = self._book.history()
        steps = tuple(trial.last_step for trial in self._running())
        said = len(history.feedback)
        return self._book.ended_version, len(history.trials), steps, said, tuple(p.id for p in history.pending)

    def _running(self) -> list[TrialRecord]:
        return [t for t in self._book.history().trials[-LATEST:] if t.state is TrialState.RUNNING]

    def _due(self, source: str) -> float:
        if self._known[0] != self._book.ended_version:
            self._known = (self._book.ended_version, self._shares(self._book.history()))
        return min(1.0, CATCH_UP * self._known[1].get(source, 1.0))
