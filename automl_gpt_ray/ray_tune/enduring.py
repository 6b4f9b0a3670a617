"""Trials that are not blamed for the death of their node: they go on elsewhere, from their last checkpoint.

Ray excuses only a preemption that its autoscaler announced. A spot machine that vanishes, a node that is killed or
cut off counts as a failure there, and with `retries: 0` ends the trial.
"""

from __future__ import annotations

import re
from typing import Any

from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial

MAX_DEATHS = 10
"""Deaths of nodes in a row, without a report in between, after which a trial fails: it may be what kills them."""

_NODE = re.compile(r"\bnode\b[^.]{0,60}\b(died|dead|terminated|removed|drained|unreachable)\b", re.IGNORECASE)


def node_died(error: BaseException | None) -> bool:
    """Return whether Ray says that a node died or was cut off, and not only the worker on it."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        error = error.cause
    if isinstance(error, ActorUnavailableError):
        return True  # what Ray knows in the first seconds: the connection broke
    return isinstance(error, RayActorError) and bool(error.preempted or _NODE.search(str(error)))


class EnduringTrial(Trial):
    """A `Trial` whose failures are those of its configuration only."""

    _deaths: tuple[int, int] = (0, -1)

    def handle_error(self, exc: Any = None) -> None:
        """Count a failure, but no death of a node."""
        counted, reported = self.run_metadata.num_failures, int((self.last_result or {}).get("training_iteration", 0))
        super().handle_error(exc)
        if not node_died(exc):
            return
        deaths, at = self._deaths
        self._deaths = (deaths + 1 if at == reported else 1, reported)
        if self._deaths[0] <= MAX_DEATHS:
            self.run_metadata.num_failures = counted


class Enduring(Callback):
    """Makes every trial of a run an `EnduringTrial`, before anything can happen to it."""

    def __init__(self) -> None:
        self._seen = 0

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Take in the trials added since: Ray appends new ones, and moves those it begins again to the end."""
        for trial in trials[self._seen :]:
            if type(trial) is Trial:
                trial.__class__ = EnduringTrial
        self._seen = len(trials)
