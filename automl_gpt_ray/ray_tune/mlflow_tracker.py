"""MLflow: Ray's callback, told also who proposed a trial, why, what was predicted of it and what was decided."""

from __future__ import annotations

from functools import partial
from typing import Any, final

from ray.air.integrations.mlflow import MLflowLoggerCallback

from automl_gpt_ray.ray_tune.results import step_of
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.sender import Sender
from automl_gpt_ray.ray_tune.tracker_notes import notes_of, tags_of
from automl_gpt_ray.records import TrialRecord


@final
class MLflowTracker(MLflowLoggerCallback):
    """Ray's MLflow callback, which also sets tags and logs the predicted metric.

    Tags: `proposed_by`, `reason`, `predicted_log`, `decisions` and `revisions`; metrics `predicted/NAME`,
    `predicted_low/NAME` and `predicted_high/NAME`, over the steps of the forecast. A server that
    cannot be reached once the run goes on costs it nothing but a warning.

    Args:
        searcher: Of the run.
        options: As for `ray.air.integrations.mlflow.MLflowLoggerCallback`.
    """

    def __init__(self, searcher: LLMSearch, **options: Any) -> None:
        super().__init__(**options)
        self._searcher = searcher
        self._sender: Sender | None = None

    def setup(self, *args: Any, **info: Any) -> None:
        """Find or make the experiment."""
        super().setup(*args, **info)  # type: ignore[no-untyped-call]
        self._sender = Sender("mlflow")

    def log_trial_start(self, trial: Any) -> None:
        """Begin a run of MLflow's, once a trial."""
        record = self._searcher.book.trial(trial.trial_id)
        if record and self._sender:
            self._sender.later(partial(self._begin, trial, record))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Log a result at the trainer's own step."""
        if self._sender:
            self._sender.later(partial(self._log, trial, step_of(result), dict(result)))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """End the run of MLflow's, with what was decided."""
        if self._sender:
            self._sender.later(partial(self._end, trial, failed, notes_of(self._searcher.book, trial.trial_id)))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Wait a while for what is left to be sent."""
        if self._sender:
            self._sender.close()

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles callbacks with the experiment.
        return {**self.__dict__, "_sender": None}

    def _begin(self, trial: Any, record: TrialRecord) -> None:
        # Once, and as proposed: MLflow refuses parameters that change, as those of a revised trial do.
        if trial in self._trial_runs:
            return
        tags = {**(self.tags or {}), **tags_of(record), "trial_name": str(trial)}
        run = self.mlflow_util.start_run(tags=tags, run_name=str(trial)).info.run_id
        self._trial_runs[trial] = run
        self.mlflow_util.log_params(run_id=run, params_to_log=dict(record.proposal.config))
        log = record.proposal.predicted_log
        for point in log.points if log else ():
            ends = {"predicted": point.value, "predicted_low": point.low, "predicted_high": point.high}
            self._log(trial, point.step, {f"{name}/{log.metric}": value for name, value in ends.items() if log})

    def _log(self, trial: Any, step: int, values: dict[str, Any]) -> None:
        if trial in self._trial_runs:
            self.mlflow_util.log_metrics(run_id=self._trial_runs[trial], metrics_to_log=values, step=step)

    def _end(self, trial: Any, failed: bool, notes: dict[str, str]) -> None:
        import mlflow

        if trial not in self._trial_runs:
            return
        client = mlflow.tracking.MlflowClient(tracking_uri=self.tracking_uri)
        for name, text in notes.items():
            client.set_tag(self._trial_runs[trial], name, text)
        super().log_trial_end(trial, failed)
