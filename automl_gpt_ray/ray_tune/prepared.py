"""A job whose data and functions were found: everything that can be checked before Ray starts."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace

from automl_gpt_ray.config import LoadedJob
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.ray_tune.tracking import check_trackers
from automl_gpt_ray.ray_tune.trial import Evaluate, Trainable, load_evaluate, load_trainable
from automl_gpt_ray.staging import staged_card
from automl_gpt_ray.training.data_check import check_data
from automl_gpt_ray.training.task import TrainingTask, trains_by_workers


@dataclass(frozen=True)
class Prepared:
    """A job whose data and functions were found; nothing has been trained."""

    loaded: LoadedJob
    task: TrainingTask
    trainable: Trainable
    evaluate: Evaluate | None


def prepare(loaded: LoadedJob) -> Prepared:
    """Find everything the job names, and complete its Data Card with what the data really holds.

    Raises:
        InputError: Data is missing or wrong, or a function cannot be imported.
    """
    job = loaded.job
    check_trackers(job, loaded.source)
    trainable = load_trainable(loaded.model, loaded.source)
    evaluate = load_evaluate(loaded.model, loaded.source)
    if job.refit and "task" not in inspect.signature(trainable).parameters:
        rule = f"`{loaded.model.trainable}` must take a second parameter `task` to be refitted"
        raise JobError(loaded.source, [Problem("refit", rule, "true", "set `refit: false`")])
    if job.workers_per_trial > 1 and not trains_by_workers(trainable):
        rule = f"must be 1: `{loaded.model.trainable}` trains in one process"
        remedy = "leave it out, or choose a model that `transformers` trains (text, images, detection, retrieval)"
        problem = Problem("workers_per_trial", rule, str(job.workers_per_trial), remedy)
        raise JobError(loaded.source, [problem])
    sizes = check_data(staged_card(loaded.data), job.seed, loaded.brief.objective.metric)
    data = loaded.data.model_copy(update={"size": sizes or loaded.data.size})
    loaded = replace(loaded, data=data)
    brief = loaded.brief
    threads = max(1, int(job.resources.cpu))
    task = TrainingTask(data, brief.objective, brief.max_steps, job.seed, threads, workers=job.workers_per_trial)
    return Prepared(loaded, task, trainable, evaluate)
