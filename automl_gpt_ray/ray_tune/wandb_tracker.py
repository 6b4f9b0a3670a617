"""Weights & Biases: Ray's callback, told also who proposed a trial, why, and what was predicted of it."""

from __future__ import annotations

from typing import Any, final

from ray.air.integrations.wandb import WandbLoggerCallback

from automl_gpt_ray.ray_tune.results import step_of
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.tracker_notes import tags_of


@final
class WandbTracker(WandbLoggerCallback):
    """Ray's callback for Weights & Biases, which also attaches notes and logs the predicted metric.

    The reason is the run's note, who proposed it a tag; the whole predicted log is in its configuration, and
    `predicted/NAME` stands beside the real value of each step. It sends through actors, as Ray's callback does.

    Args:
        searcher: Of the run.
        options: As for `ray.air.integrations.wandb.WandbLoggerCallback`.
    """

    def __init__(self, searcher: LLMSearch, **options: Any) -> None:
        super().__init__(**options)
        self._searcher = searcher

    def log_trial_start(self, trial: Any) -> None:
        """Begin a run of theirs."""
        record, shared = self._searcher.book.trial(trial.trial_id), self.kwargs
        if record:
            told = tags_of(record)
            log = {"predicted_log": told["predicted_log"]} if "predicted_log" in told else {}
            notes = {"notes": told["reason"], "tags": [told["proposed_by"]]}
            self.kwargs = {**notes, "config": {**trial.config, **log}, **shared}
        try:
            super().log_trial_start(trial)
        finally:
            self.kwargs = shared

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Log a result, and what was predicted of that step."""
        record = self._searcher.book.trial(trial.trial_id)
        log = record.proposal.predicted_log if record else None
        if log:
            result = {**result, f"predicted/{log.metric}": log.at(step_of(result)).value}
        super().log_trial_result(iteration, trial, result)
