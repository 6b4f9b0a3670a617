"""The job as it was run, kept in the run folder: cards inside, paths absolute, so that it can be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl_gpt_ray.config import LoadedJob, override, read_job
from automl_gpt_ray.errors import JobError, Problem

FILE_NAME = "job.json"
TASKS = "tasks.json"
"""What the folder of a job of several tasks holds instead."""


def save_job(loaded: LoadedJob, folder: Path) -> None:
    """Write the job and its cards into a run folder."""
    text = json.dumps(job_values(loaded), indent=2, ensure_ascii=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")


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
