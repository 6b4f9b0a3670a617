"""Lanes: the rules by which a source's queue of proposals is kept filled and fresh, and where each stands."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from automl_gpt_ray.advisors.advisor import Advisor, Closable


@dataclass(frozen=True)
class LaneRule:
    """How a source's queue is kept.

    Attributes:
        workers: Calls in flight at most.
        batch: Proposals asked for in one call.
        most: The same, when so many are missing.
        depth: Proposals kept ready at most.
        fresh_epochs: A proposal is dropped when more new bests and new failure classes than this came
            after it and two calls could have been made since; before that it is served, but a fresher
            one is asked for.
        fresh_ended: Whether every trial that ends makes a proposal worth replacing. Such a source works
            on this machine: it rests between calls, unless too few of its proposals are ready.
    """

    workers: int = 1
    batch: int = 2
    most: int = 8
    depth: int = 8
    fresh_epochs: int = 1000
    fresh_ended: bool = True


LANGUAGE = LaneRule(workers=8, batch=4, most=4, depth=32, fresh_epochs=3, fresh_ended=False)
LOCAL_RULES: Mapping[str, LaneRule] = {"language": LANGUAGE}


@dataclass
class Lane:
    """A source: its advisor, its rule, and how its calls have gone. Guarded by the book's lock."""

    source: str
    advisor: Advisor
    rule: LaneRule
    in_flight: int = 0
    latency: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    exhausted_at: int = -1
    unusable: int = 0
    begun: list[float] = field(default_factory=list)
    told: object = None
    ended_at: float = 0.0
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def call_s(self) -> float:
        """Seconds of a call: as measured, or of the one under way where that is longer already."""
        return max(self.latency, time.monotonic() - min(self.begun, default=math.inf))

    def close(self) -> None:
        """Let go of what the advisor holds open (a process of its own, say)."""
        if isinstance(self.advisor, Closable):
            self.advisor.close()

    def back_off(self, least: float, most: float) -> None:
        """Ask again after between `least` and `most` seconds, twice as late each time."""
        self.failures += 1
        self.retry_at = time.monotonic() + min(most, least * 2.0 ** min(self.failures, 10))
