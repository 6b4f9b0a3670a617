"""`run(job)`: from a job file to an outcome, through Ray Tune.

    outcome = run(load_job("configs/demo.yaml"))
    print(outcome.best_config, outcome.test)

Everything that can be checked is checked before Ray starts. What was measured is in the journal the
moment it is known, so a run that was killed goes on from there:

    outcome = resume(saved_job(run_dir), run_dir)
"""

from __future__ import annotations

import time
import uuid
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from automl_gpt_ray import __version__
from automl_gpt_ray.config import Job, LoadedJob
from automl_gpt_ray.errors import JobError, Problem, first_line
from automl_gpt_ray.experience.gathering import recollection_of
from automl_gpt_ray.experience.keeping import recalled
from automl_gpt_ray.job_file import save_job
from automl_gpt_ray.journal import FILE_NAME
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.health import wait_healthy
from automl_gpt_ray.outages import OutagePolicy
from automl_gpt_ray.outcome import Outcome
from automl_gpt_ray.prompts.paragraph import VERSION
from automl_gpt_ray.ray_tune.cluster import connect
from automl_gpt_ray.ray_tune.finish import finish
from automl_gpt_ray.ray_tune.fit import search, steering_rule
from automl_gpt_ray.ray_tune.mirror import Mirror
from automl_gpt_ray.ray_tune.prepared import Prepared, prepare
from automl_gpt_ray.ray_tune.progress import Tell, watched
from automl_gpt_ray.ray_tune.results import STEP
from automl_gpt_ray.ray_tune.run_place import RunPlace, place_for, place_of
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.recollection import Recollection
from automl_gpt_ray.storage import TROUBLES

PROBE = ".begun"
"""Written first into the storage of a run."""


def run(
    loaded: LoadedJob, llm: LLMClient | None = None, run_dir: str | Path | None = None, tell: Tell | None = None
) -> Outcome:
    """Run a job and return its outcome, which is also saved as `outcome.json` in the run folder.

    Args:
        loaded: The job.
        llm: The language model; None runs the classical advisor.
        run_dir: Folder of the run, or the URI of one, made where absent; by default a new one below
            `storage_path`.
        tell: Called with each line of progress.

    Raises:
        InputError: The job cannot run as written; nothing was trained.
    """
    began = time.time()
    prepared = prepare(loaded)
    prepared = replace(prepared, loaded=recalled(prepared.loaded, tell))
    place = new_place(prepared.loaded.job, loaded.source, run_dir)
    save_job(prepared.loaded, place.folder)
    return _to_the_end(prepared, llm, place, tell, began)


def resume(loaded: LoadedJob, run_dir: str | Path, llm: LLMClient | None = None, tell: Tell | None = None) -> Outcome:
    """Carry on a run whose driver ended or was killed, and return its outcome.

    Finished trials stay finished, running ones continue from their checkpoints, replies that were paid
    for are used, and everything learned (trust, budgets spent, rungs) counts on.

    Args:
        loaded: The job, as `saved_job` reads it from the run folder.
        run_dir: The folder of the run, or the URI of its storage, from which `brought` has brought it here.
        llm: The language model; need not be the one the run began with.
        tell: Called with each line of progress.

    Raises:
        InputError: The job cannot run as written.
        JournalError: The journal cannot be read, or the run is still going on.
    """
    began = time.time()
    place = place_of(run_dir)
    prepared = prepare(loaded)
    # What it was told at its start stays what it is told: the store may hold more by now.
    prepared = replace(prepared, loaded=replace(prepared.loaded, recollection=_told(place.folder)))
    return _to_the_end(prepared, llm, place, tell, began)


def new_place(job: Job, source: str, run_dir: str | Path | None = None) -> RunPlace:
    """Make the folder of a new run and return its place.

    Raises:
        JobError: It holds another run already.
    """
    # Runs of one job may begin in the same second, on several machines too.
    name = f"{job.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    place = place_for(job.storage_path, name, run_dir)
    try:
        taken = place.storage.exists() and any(place.storage.list())
        if place.mirrored and not taken:
            place.storage.write(PROBE, b"")  # Ray would find out after minutes, in a traceback
    except TROUBLES as error:
        raise _unusable(source, place, error) from None
    if taken:
        remedy = "choose another, or carry that run on with --resume"
        raise JobError(source, [Problem("run_dir", "must be a new or empty folder", place.storage.name, remedy)])
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(source, place, error) from None
    return place


def _unusable(source: str, place: RunPlace, error: Exception) -> JobError:
    rule = f"must be storage that can be read and written ({first_line(error)[:200]})"
    return JobError(source, [Problem("storage_path", rule, place.storage.name, "name another place")])


def _to_the_end(prepared: Prepared, llm: LLMClient | None, place: RunPlace, tell: Tell | None, began: float) -> Outcome:
    wait_healthy(prepared.loaded.job.llm if llm else None, tell)
    with Mirror(place.folder, place.storage, tell) if place.mirrored else nullcontext():
        return _searched(prepared, llm, place, tell, began)


def _searched(prepared: Prepared, llm: LLMClient | None, place: RunPlace, tell: Tell | None, began: float) -> Outcome:
    searcher = _searcher(prepared.loaded, llm, place.folder)
    try:
        began -= searcher.book.seconds
        # The next resume holds to what this one was told. No sooner: the journal tells whether somebody else runs it.
        save_job(prepared.loaded, place.folder)
        if not _ended(searcher):
            connect(prepared.loaded)
            with watched(tell, prepared.loaded, searcher):
                search(prepared, searcher, place, tell)
                searcher.stop_asking()
        elif tell:
            tell(f"this run had ended: {searcher.limits.ended_by}")
        return finish(prepared, searcher, place, began, tell)
    finally:
        searcher.close()


def _told(folder: Path) -> Recollection | None:
    return recollection_of(folder) if (folder / FILE_NAME).exists() else None


def _ended(searcher: LLMSearch) -> bool:
    return searcher.limits.over and all(trial.state.ended for trial in searcher.book.history().trials)


def _searcher(loaded: LoadedJob, llm: LLMClient | None, folder: Path) -> LLMSearch:
    job = loaded.job
    about = {"job": job.model_dump(mode="json"), "package": __version__, "prompt_version": VERSION}
    searcher = LLMSearch(
        llm,
        model_card=loaded.model,
        data_card=loaded.data,
        request=job.request,
        max_steps=job.max_steps,
        step_key=STEP,
        sampler=job.classical,
        max_prompt_tokens=job.llm.max_prompt_tokens if job.llm else None,
        budget=job.limits,
        gpus=job.gpus_per_trial,
        outages=OutagePolicy(job.llm.on_outage, job.llm.wait_s) if job.llm else None,
        journal=folder,
        seed=job.seed,
        about=about,
        recollection=loaded.recollection,
    )
    rule = steering_rule(loaded)
    if rule:
        searcher.share(rule)
    return searcher
