"""Keeping experience for a job: where its store is, what it recalls at its start and leaves behind at its end.

A store that cannot be used costs no run: it is said, and the run goes on without.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from automl_gpt_ray.config import Job, LoadedJob
from automl_gpt_ray.errors import AutoMLGPTError, first_line
from automl_gpt_ray.experience.gathering import experience_of
from automl_gpt_ray.experience.recalling import recall
from automl_gpt_ray.experience.run_record import ExperienceError
from automl_gpt_ray.experience.store import ExperienceStore
from automl_gpt_ray.experience_options import VARIABLE, place_of
from automl_gpt_ray.llm.redaction import redact, secrets_in

Tell = Callable[[str], None]


def store_of(job: Job) -> ExperienceStore | None:
    """Return the job's store; None where experience is off.

    Raises:
        JobError: The place cannot be one.
    """
    place = place_of(job.experience, job.storage_path, os.environ.get(VARIABLE))
    return None if place is None else ExperienceStore(place)


def recalled(loaded: LoadedJob, tell: Tell | None = None) -> LoadedJob:
    """Return the job with what its store knows of similar data; as it is where there is nothing.

    Raises:
        JobError: The place of the store cannot be one.
    """
    store, options = store_of(loaded.job), loaded.job.experience
    if store is None or not options.recall:
        return loaded
    try:
        found = recall(store, loaded.brief, options)
    except (ExperienceError, ImportError, OSError, ValueError, TypeError, ArithmeticError) as error:
        # The encoder's library or folder may be missing too.
        _say(tell, f"WARNING: nothing is recalled: {first_line(error)}")
        return loaded
    for problem in found.problems:
        _say(tell, f"WARNING: not recalled: {problem}")
    if found.runs:
        names = ", ".join(f"{run.data} ({run.similarity:.0%})" for run in found.runs)
        _say(tell, f"recalled from {found.considered} earlier runs: {names}")
    return replace(loaded, recollection=found) if found.runs else loaded


def remember(job: Job, folder: Path, tell: Tell | None = None) -> str | None:
    """Append the ended run in `folder` to the job's store; return its id, None where it was not."""
    try:
        store = store_of(job)
        if store is None:
            return None
        experience = experience_of(folder)
        store.append(experience, partial(redact, secrets=secrets_in()))
    except (AutoMLGPTError, OSError) as error:
        _say(tell, f"WARNING: this run is not remembered: {first_line(error)}")
        return None
    return experience.run


def _say(tell: Tell | None, line: str) -> None:
    if tell:
        tell(redact(line, secrets_in()))
