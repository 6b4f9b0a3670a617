"""`run`, `assign` and `plan` for jobs that leave their models open."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_gpt_ray.errors import JobError, Problem

if TYPE_CHECKING:
    from rich.console import Console

    from automl_gpt_ray.assignment.choice import Assignment
    from automl_gpt_ray.assignment.registry import Registry
    from automl_gpt_ray.config import LoadedJob

Tell = Callable[[str], None]


def wants(job: Path | None, resume: Path | None, overrides: dict[str, Any]) -> bool:
    """Return whether a `run` is one of a job that leaves its models open."""
    from automl_gpt_ray.assignment.open_job import is_open
    from automl_gpt_ray.config import override
    from automl_gpt_ray.job_file import TASKS
    from automl_gpt_ray.yaml_file import read_yaml

    if resume is not None:
        return (resume.expanduser() / TASKS).exists()
    return job is not None and is_open(override(read_yaml(job, JobError), overrides))


def run(
    console: Console,
    job: Path | None,
    overrides: dict[str, Any],
    run_dir: str | Path | None,
    resume: Path | None,
    json: bool,
    tell: Tell | None,
) -> int:
    """Run the tasks one after the other and return the exit code: 1 where a task came to nothing."""
    from automl_gpt_ray.assignment_view import show_assignments, show_tasks
    from automl_gpt_ray.ray_tune.configured_llm import configured
    from automl_gpt_ray.ray_tune.run_tasks import best_models, resume_tasks, run_tasks
    from automl_gpt_ray.terminal import show_outcome

    if resume is not None:
        if overrides or job or run_dir:
            rule = "takes nothing else where it carries on a job of several tasks"
            raise JobError("--resume", [Problem("--resume", rule, "", "resume one task's own folder to change it")])
        outcomes = resume_tasks(resume, configured, tell)
    else:
        show = partial(show_assignments, console)
        outcomes = run_tasks(_loaded(job, overrides), configured, run_dir, tell, show)
    if json:
        told = {name: loads(outcome.to_json()) for name, outcome in outcomes.items()}
        sys.stdout.write(dumps(told, indent=2, ensure_ascii=False) + "\n")
    else:
        show_tasks(console, outcomes, best_models(outcomes).values())
        if len(outcomes) == 1:
            show_outcome(console, *outcomes.values())
    return 3 if any(o.failed for o in outcomes.values()) else int(any(o.best_config is None for o in outcomes.values()))


def assign(console: Console, job: Path, overrides: dict[str, Any], json: bool) -> int:
    """Show which model each task gets and return the exit code: 1 where a task gets none."""
    from automl_gpt_ray.assignment_view import show_assignments, to_json

    assignments, registry = _assigned(_loaded(job, overrides))
    if json:
        sys.stdout.write(dumps(to_json(assignments), indent=2, ensure_ascii=False) + "\n")
    else:
        show_assignments(console, assignments, registry)
    return int(not all(found.model for found in assignments))


def planned(console: Console, job: Path, overrides: dict[str, Any]) -> dict[str, LoadedJob]:
    """Show which model each task gets and return the jobs that they become, by folder."""
    from automl_gpt_ray.assignment_view import show_assignments
    from automl_gpt_ray.ray_tune.run_tasks import jobs_of

    opened = _loaded(job, overrides)
    assignments, registry = _assigned(opened)
    show_assignments(console, assignments, registry)
    return jobs_of(opened, assignments, registry)


def _assigned(opened: Any) -> tuple[list[Assignment], Registry]:
    from automl_gpt_ray.assignment.registry import Registry
    from automl_gpt_ray.llm.configured import configured
    from automl_gpt_ray.ray_tune.run_tasks import assign_models

    registry = Registry.read(opened.folders)
    return assign_models(opened, registry, configured(opened.job.llm) if opened.job.llm else None), registry


def _loaded(job: Path | None, overrides: dict[str, Any]) -> Any:
    from automl_gpt_ray.assignment.open_job import load_open_job

    loaded = load_open_job(job, overrides) if job else None
    if loaded is None:
        rule = "must leave its model open: several `tasks`, or no `model_card`"
        raise JobError(str(job), [Problem("model_card", rule, "a model", "leave it out to have one assigned")])
    return loaded
