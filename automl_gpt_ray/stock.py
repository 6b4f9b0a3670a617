"""The stock: how many proposals a lane should have ready, and when it is time to ask for more.

What is asked for ahead follows from how long the lane's calls take and how fast its proposals are taken. Not
thread-safe: hold the book's lock.
"""

from __future__ import annotations

import time
from typing import final

from automl_gpt_ray.book import Book
from automl_gpt_ray.demand import Demand
from automl_gpt_ray.lanes import Lane
from automl_gpt_ray.queue_rules import is_fresh

REST = 9.0
"""Advisors share the machine with Ray's event loop: at most a tenth of the time for fresher proposals."""
LEAST_REST_S = 0.2
"""Trials that end faster than this are told of together."""


@final
class Stock:
    """Tells a lane how many proposals to ask for.

    Args:
        book: Of the run; its queue is the stock.
        demand: For proposals.
    """

    def __init__(self, book: Book, demand: Demand) -> None:
        self._book, self.demand = book, demand

    def wanted(self, lane: Lane) -> int:
        """Return how many proposals the lane should ask for now; 0 for none."""
        if time.monotonic() < lane.retry_at or lane.exhausted_at == len(self._book.history().trials):
            return 0
        # Two calls that are told the same are answered the same; one is enough to ask whether a server is back.
        if lane.in_flight and (lane.failures or lane.told == self.demand.told()):
            return 0
        queued = self._book.queued(lane.source)
        fresh = sum(1 for p in queued if is_fresh(self._book, p, lane.rule))
        missing = self.of(lane) - len(queued) - lane.in_flight
        rested = time.monotonic() > lane.ended_at + _rest_s(lane)
        if missing <= 0 and not (rested and fresh + lane.in_flight < self._needed(lane)):
            return 0
        # A call costs nearly the same whether it brings one proposal or a few.
        return max(lane.rule.batch, min(missing, lane.rule.most), 1)

    def of(self, lane: Lane) -> int:
        """Return how many to have ready, fresh or not: trials that started together end together."""
        return max(self._needed(lane), min(lane.rule.depth, self.demand.at_once(lane.source)))

    def _needed(self, lane: Lane) -> int:
        """Fresh proposals to have ready: one more than will be taken before the next ones can be there."""
        ahead_s = 1.5 * lane.call_s + (LEAST_REST_S if lane.rule.fresh_ended else 0.0)
        return min(lane.rule.depth, 1 + self.demand.during(lane.source, ahead_s))


def _rest_s(lane: Lane) -> float:
    return max(LEAST_REST_S, REST * lane.latency) if lane.rule.fresh_ended else 0.0
