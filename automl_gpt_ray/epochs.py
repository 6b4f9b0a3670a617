"""The epochs of a run: the moments after which older proposals should be reconsidered.

A new best trial, a new class of failure, and what a person says open one. Not thread-safe: part of the book.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import final

from automl_gpt_ray.records import Objective


@final
class Epochs:
    """Versions of the history at which an epoch began, and what decides that."""

    def __init__(self) -> None:
        self._at: list[int] = []
        self._failures: Counter[str] = Counter()
        self._best: float | None = None
        self._leaders: set[str] = set()

    def __len__(self) -> int:
        return len(self._at)

    def since(self, version: int) -> int:
        """Return how many began after `version`."""
        return len(self._at) - bisect_right(self._at, version)

    def begin(self, version: int) -> None:
        """Begin one."""
        self._at.append(version)

    def reported(self, trial: str, value: float | None, objective: Objective, version: int) -> None:
        """Begin one where `value` is a new best by a trial that was never the best before."""
        if not objective.better(value, self._best):
            return
        self._best = value
        # A leader that only climbs on teaches nothing new: each trial opens one epoch at most.
        if trial not in self._leaders:
            self._leaders.add(trial)
            self.begin(version)

    def failed(self, failure: str, version: int) -> None:
        """Begin one where no trial stands failed for this reason yet."""
        self._failures[failure] += 1
        if self._failures[failure] == 1:
            self.begin(version)

    def recovered(self, failure: str | None) -> None:
        """Note that a trial that failed, if it did, stands failed for this reason no longer."""
        if failure:
            self._failures[failure] -= 1
