"""ASHA that survives its driver: Ray saves no scheduler, so the rungs are filled again from the journal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler

from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.wrapped import unwrapped
from automl_gpt_ray.records import History


class ResumableASHA(AsyncHyperBandScheduler):
    """Ray's ASHA with one bracket, for runs whose searcher is `LLMSearch`.

    With any other searcher it is Ray's ASHA and nothing more. The time attribute must be the step that
    the searcher counts (`step_key`): rungs are filled by it.
    """

    _filled = False

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Enter a trial; before the first one, what earlier trials reached."""
        if not self._filled:
            self._filled = True
            searcher = unwrapped(tune_controller.search_alg, LLMSearch)
            if searcher is not None:
                self._fill(searcher.book.history())
        super().on_trial_add(tune_controller, trial)

    def _fill(self, history: History) -> None:
        bracket = self._brackets[0]
        for trial in history.trials:
            asked_for_its_id: Any = SimpleNamespace(trial_id=trial.id)
            for step, value in trial.curve(history.objective.metric):
                bracket.on_result(asked_for_its_id, step, history.objective.sign * value)
