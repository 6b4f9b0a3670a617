"""The job as it was run, kept in the run folder: cards inside, paths absolute, so that it can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl_gpt_ray.config import LoadedJob, override, read_job
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.journal import FILE_NAME as JOURNAL

FILE_NAME = "job.json"
TASKS = "tasks.json"
"""What the folder of a job of several tasks holds instead."""


def save_job(loaded: LoadedJob, folder: Path) -> None:
    """Write the job and its cards into a run folder."""
    write_values(job_values(loaded), folder / FILE_NAME)


def write_values(values: Mapping[str, Any], path: Path) -> None:
    """Write JSON values to a file, whole or not at all: a kill in between must not cost what it says."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, path)  # noqa: PTH105 - atomic, and Path.replace reads as a text operation


def job_values(loaded: LoadedJob) -> dict[str, Any]:
    """Return the job and its cards as JSON values, from which `read_job` makes an equal one anywhere."""
    values = loaded.job.model_dump(mode="json", exclude_unset=True, exclude={"data", "data_card", "model_card"})
    cards = loaded.brief.to_dict()
    return values | {"data_card": cards["data"], "model_card": cards["model"]}


def saved_job(folder: str | Path, overrides: Mapping[str, Any] | None = None) -> LoadedJob:
    """Return the job of a run folder, with `overrides` as for `load_job`.

    Raises:
        InputError: The folder holds no run, or an override is wrong.
    """
    path = Path(folder).expanduser() / FILE_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        rule = f"must be the folder of a run; its `{FILE_NAME}` cannot be read ({error})"
        remedy = "give the folder that `run` named in its last lines"
        raise JobError("--resume", [Problem("run_dir", rule, str(folder), remedy)]) from None
    return read_job(override(values, overrides), str(path), path.parent)


def tasks_in(folder: Path) -> dict[str, Any]:
    """Return task to its job's values, from the folder of a job of several tasks; empty for any other folder.

    Raises:
        JobError: The folder's `tasks.json` cannot be read.
    """
    path = folder / TASKS
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise _no_tasks(path, f"cannot be read ({error})") from None
    if not isinstance(values, dict) or not all(isinstance(task, dict) for task in values.values()):
        raise _no_tasks(path, "does not hold a job for each task")
    return values


def run_in(folder: Path, source: str) -> Path:
    """Return the folder of the run that `folder` stands for: itself, or the only one of a job of several tasks.

    Raises:
        JobError: It is a job of several tasks with several runs, or none; `source` is who asks.
    """
    if not (folder / TASKS).is_file():
        return folder
    runs = [name for name in tasks_in(folder) if (folder / name / JOURNAL).is_file()]
    if len(runs) == 1:
        return folder / runs[0]
    named = ", ".join(runs[:8]) + (" …" if len(runs) > 8 else "")
    remedy = f"it holds those of several: give one of {named}" if runs else "none of its tasks has begun"
    raise JobError(source, [Problem("RUN_DIR", "must be the folder of one run", str(folder), remedy)])


def _no_tasks(path: Path, wrong: str) -> JobError:
    rule = f"must be the folder of a job of several tasks; its `{TASKS}` {wrong}"
    remedy = f"put a copy of `{TASKS}` back, or carry on each task by the folder below that holds its `{FILE_NAME}`"
    return JobError("tasks", [Problem("run_dir", rule, str(path.parent), remedy)])
