"""Stopping running trials, which a searcher cannot: at the end of a budget, or where they have ended already."""

from __future__ import annotations

from typing import Any

from ray.tune import Stopper

from automl_gpt_ray.ray_tune.searcher import LLMSearch


class StopClosed(Stopper):
    """Stops a trial at its first result where the journal knows its end and Ray's snapshot did not.

    Args:
        searcher: The run's searcher; see `LLMSearch.reconcile`.
    """

    def __init__(self, searcher: LLMSearch) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether the trial has ended already."""
        return trial_id in self._searcher.closed

    def stop_all(self) -> bool:
        """Return False: it never ends the run."""
        return False


class StopAtBudget(Stopper):
    """Stops all trials once the searcher's budget of steps, seconds or GPU-hours is spent, or its run has failed.

    `RunConfig(stop=StopAtBudget(search))`; without it `LLMSearch` begins no further trial but lets the
    running ones end.

    Args:
        searcher: The run's searcher.
    """

    def __init__(self, searcher: LLMSearch) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: no trial is stopped for itself."""
        return False

    def stop_all(self) -> bool:
        """Return whether running trials must stop now; Ray asks at least every 0.1 s while any is running."""
        return self._searcher.stops_trials()
