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

REST = 3.0
"""Advisors share the machine with Ray's event loop: at most a quarter of the time for fresher proposals."""


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
        rested = not lane.rule.fresh_ended or time.monotonic() > lane.ended_at + REST * lane.latency
        if missing <= 0 and not (rested and fresh + lane.in_flight < self._needed(lane)):
            return 0
        # A call costs nearly the same whether it brings one proposal or a few.
        return max(lane.rule.batch, min(missing, lane.rule.most), 1)

    def of(self, lane: Lane) -> int:
        """Return how many to have ready, fresh or not: trials that started together end together."""
        return max(self._needed(lane), min(lane.rule.depth, self.demand.at_once(lane.source)))

    def _needed(self, lane: Lane) -> int:
        """Fresh proposals to have ready: as many as will be taken during one and a half calls, and one more."""
        return min(lane.rule.depth, 1 + self.demand.during(lane.source, 1.5 * lane.call_s))
