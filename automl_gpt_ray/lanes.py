"""A lane: one source's queue of proposals, how far ahead it is kept filled, and how its calls went."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from automl_gpt_ray.advisors.advisor import Advisor


@dataclass(frozen=True)
class LaneRule:
    """How a source's queue is kept.

    Attributes:
        workers: Calls in flight at most.
        batch: Proposals asked for in one call at most.
        depth: Proposals kept ready at most.
        fresh_epochs: A proposal is dropped when more new bests and new failure classes than this came
            after it; before that it is served, but a fresher one is asked for.
        fresh_ended: Whether every trial that ends makes a proposal worth replacing.
    """

    workers: int = 1
    batch: int = 2
    depth: int = 8
    fresh_epochs: int = 1000
    fresh_ended: bool = True


LANGUAGE = LaneRule(workers=4, batch=4, depth=24, fresh_epochs=3, fresh_ended=False)
LOCAL_RULES: Mapping[str, LaneRule] = {"language": LANGUAGE}


@dataclass
class Lane:
    """One source's state; the prefetcher's lock guards it."""

    source: str
    advisor: Advisor
    rule: LaneRule
    in_flight: int = 0
    latency: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    exhausted_at: int = -1
    unusable: int = 0
    takes: deque[float] = field(default_factory=lambda: deque(maxlen=32))
    threads: list[threading.Thread] = field(default_factory=list)

    def needed(self) -> int:
        """Return how many proposals to have ready: those taken during one and a half calls, and one more."""
        rate = 0.0
        if len(self.takes) >= 2:
            rate = (len(self.takes) - 1) / max(1e-3, time.monotonic() - self.takes[0])
        return min(self.rule.depth, 1 + math.ceil(1.5 * self.latency * rate))

    def back_off(self, least: float, most: float) -> None:
        """Ask again after between `least` and `most` seconds, twice as late each time."""
        self.failures += 1
        self.retry_at = time.monotonic() + min(most, least * 2.0 ** min(self.failures, 10))
