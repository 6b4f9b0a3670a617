"""The scorekeeper: the ledger of a run, kept from its events.

    keeper = Scorekeeper(objective, max_step)
    book = Book(journal, also=keeper.note)      # what the journal holds is noted first
    keeper.may_stop("gp")                       # after catching up with what was noted

Noting is instant; scoring takes milliseconds and is done by whoever asks. A run and its journal give the same
ledger.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Self, final

from automl_gpt_ray.curves.gate import Gate
from automl_gpt_ray.curves.ledger import Ledger, Score
from automl_gpt_ray.events import Event, ForecastMade, ResultReported, TrialStarted
from automl_gpt_ray.records import Objective

_SCORED = (ForecastMade, ResultReported, TrialStarted)


@final
class Scorekeeper:
    """Scores the forecasts of one run; safe to note from one thread and ask from another.

    Args:
        objective: The metric scored.
        max_step: Steps of a full training.
        gated: Whether gates are asked for.
    """

    def __init__(self, objective: Objective, max_step: int, gated: bool = True) -> None:
        self._metric = objective.metric
        self._ledger = Ledger(objective, max_step, gated)
        self._noted: deque[Event] = deque()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, events: Iterable[Event], objective: Objective, max_step: int) -> Self:
        """Return the scorekeeper of a run that has ended; its gates, which nobody passes any more, stay shut."""
        keeper = cls(objective, max_step, gated=False)
        for event in events:
            keeper.note(event)
        return keeper

    def note(self, event: Event) -> None:
        """Remember an event that bears on a forecast."""
        if isinstance(event, _SCORED):
            self._noted.append(event)

    def gate(self, source: str) -> Gate:
        """Return how much `source` may decide, from all that was noted."""
        with self._lock:
            self._catch_up()
            return self._ledger.gate(source)

    def may_stop(self, source: str) -> bool:
        """Return whether `source` may stop or pause trials; see `curves.gate`."""
        return self.gate(source).open

    def scores(self) -> list[Score]:
        """Return a score for each source, by how much it had observed."""
        with self._lock:
            self._catch_up()
            return self._ledger.scores()

    def gates(self) -> dict[str, Gate]:
        """Return the gate of every source with a scored forecast."""
        with self._lock:
            self._catch_up()
            return {source: self._ledger.gate(source) for source in self._ledger.sources}

    def _catch_up(self) -> None:
        while self._noted:
            event = self._noted.popleft()
            if isinstance(event, ForecastMade):
                self._ledger.forecast(event.trial, event.log)
            elif isinstance(event, TrialStarted) and event.proposal.predicted_log:
                self._ledger.forecast(event.trial, event.proposal.predicted_log)
            elif isinstance(event, ResultReported):
                value = event.observation.metrics.get(self._metric)
                if value is not None:
                    self._ledger.observe(event.trial, event.observation.step, value)
