"""How far ahead of the trials each source of proposals works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
