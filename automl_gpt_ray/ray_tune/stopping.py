"""Stopping trials that Ray takes up again although they have ended."""

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
