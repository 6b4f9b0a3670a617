"""A job that leaves its models open, kept in its folder before anybody is asked: a kill costs no paid assignment."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from automl_gpt_ray.assignment.choice import Assignment, Candidate, OpenTask
from automl_gpt_ray.assignment.open_job import OpenJob, read_open_job
from automl_gpt_ray.assignment.registry import Registry
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.events import Event
from automl_gpt_ray.job_events import ModelAssigned
from automl_gpt_ray.job_file import write_values
from automl_gpt_ray.storage import is_uri

FILE_NAME = "open_job.json"


def save_open_job(job: OpenJob, folder: Path) -> None:
    """Write the job into its folder: Data Cards inside, paths absolute."""
    # The tasks hold all else already, each with what the job says for all of them.
    common = job.job.model_dump(mode="json", exclude_unset=True, include={"name", "llm"})
    tasks = [_task_values(task, job.folder) for task in job.tasks]
    write_values({**common, "model_cards": list(map(str, job.folders)), "tasks": tasks}, folder / FILE_NAME)


def saved_open_job(folder: Path) -> OpenJob:
    """Return the job that `save_open_job` wrote.

    Raises:
        InputError: The folder holds none, or a card that it names is gone.
    """
    path = folder / FILE_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        rule = f"must be the folder of a job of several tasks; its `{FILE_NAME}` cannot be read ({error})"
        raise JobError("tasks", [Problem("run_dir", rule, str(folder), "run the job anew")]) from None
    return read_open_job(values, str(path), folder)


def assigned_before(job: OpenJob, registry: Registry, events: Iterable[Event]) -> list[Assignment] | None:
    """Return what a journal says was assigned to each task; None where a task, or a model of one, is missing."""
    told = {event.task: _assignment(event) for event in events if isinstance(event, ModelAssigned)}
    if not all(task.name in told and _there(task, told[task.name], registry) for task in job.tasks):
        return None
    return [told[task.name] for task in job.tasks]


def _there(task: OpenTask, found: Assignment, registry: Registry) -> bool:
    models = found.tried(task.models)
    return bool(task.named) or (bool(models) and all(model in registry.files for model in models))


def _assignment(event: ModelAssigned) -> Assignment:
    others, rejected = (
        tuple(Candidate(model, reason) for model, reason in found.items())
        for found in (event.alternatives, event.rejected)
    )
    return Assignment(event.task, event.model, event.reason, event.by, others, rejected)


def _task_values(task: OpenTask, folder: Path) -> dict[str, Any]:
    card = task.data.model_dump(mode="json", exclude_unset=True)
    values = {**task.values, "data_card": card, "models": task.models}
    if isinstance(model := values.get("model_card"), str):
        values["model_card"] = str((folder / Path(model).expanduser()).absolute())
    data = values.get("data")
    if isinstance(data, dict) and isinstance(path := data.get("path"), str) and not is_uri(path):
        # As `config` reads it: relative to where the person stands.
        values["data"] = {**data, "path": str(Path(path).expanduser().absolute())}
    return values
