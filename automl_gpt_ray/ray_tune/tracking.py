"""Experiment trackers that follow a run, as its job names them.

In your own script:

    search = LLMSearch(...)
    RunConfig(callbacks=[MLflowTracker(search, experiment_name="leaves")])     # or WandbTracker
"""

from __future__ import annotations

from importlib.util import find_spec

from ray.tune import Callback

from automl_gpt_ray.config import Job
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.ray_tune.searcher import LLMSearch


def trackers(job: Job, searcher: LLMSearch) -> list[Callback]:
    """Return the callbacks of the trackers that a job names."""
    options, found = job.tracking, list[Callback]()
    if options.mlflow is not None:
        from automl_gpt_ray.ray_tune.mlflow_tracker import MLflowTracker

        named = options.mlflow.experiment_name or job.name
        found.append(MLflowTracker(searcher, tracking_uri=options.mlflow.tracking_uri, experiment_name=named))
    if options.wandb is not None:
        from automl_gpt_ray.ray_tune.wandb_tracker import WandbTracker

        found.append(WandbTracker(searcher, project=options.wandb.project or job.name, group=options.wandb.group))
    return found


def check_trackers(job: Job, source: str) -> None:
    """Check that what the job's trackers need is installed.

    Raises:
        JobError: It is not.
    """
    wanted = {name: getattr(job.tracking, name) for name in ("mlflow", "wandb")}
    missing = [name for name, options in wanted.items() if options is not None and find_spec(name) is None]
    if missing:
        rule, remedy = "must be installed", f"pip install 'automl-gpt-ray[{','.join(missing)}]', or leave it out"
        raise JobError(source, [Problem(f"tracking.{name}", rule, "not installed", remedy) for name in missing])
