"""A job that leaves its models open, from assignment to outcomes: each task a run of its own, one after the other.

The folder of the job holds `open_job.json`, `journal.jsonl` (what was asked and chosen), `tasks.json` (empty until all
is chosen and checked), and a run folder a task; where several models are tried on a task, a folder a task with a run
folder a model in it.
Everything is checked before the first task trains.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from automl_gpt_ray.assignment.assigning import Record, assign, check_assigned
from automl_gpt_ray.assignment.choice import Assignment
from automl_gpt_ray.assignment.open_job import OpenJob, assigned_jobs, task_of
from automl_gpt_ray.assignment.registry import Registry
from automl_gpt_ray.assignment.saved_open_job import assigned_before, save_open_job, saved_open_job
from automl_gpt_ray.budget import INTERRUPTED
from automl_gpt_ray.cards import ModelCard
from automl_gpt_ray.config import LLMOptions, LoadedJob, read_job
from automl_gpt_ray.errors import InputError, JobError
from automl_gpt_ray.experience.keeping import remember
from automl_gpt_ray.job_file import FILE_NAME as JOB_FILE
from automl_gpt_ray.job_file import TASKS, job_values, saved_job, tasks_in, write_values
from automl_gpt_ray.journal import FILE_NAME, Journal
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.outcome import FILE_NAME as OUTCOME
from automl_gpt_ray.outcome import Outcome, load_outcome
from automl_gpt_ray.ray_tune.mirror import Mirror
from automl_gpt_ray.ray_tune.prepared import prepare
from automl_gpt_ray.ray_tune.progress import Tell
from automl_gpt_ray.ray_tune.run import new_place, resume, run
from automl_gpt_ray.ray_tune.trial import load_trainable
from automl_gpt_ray.storage import joined

MakeClient = Callable[[LLMOptions], LLMClient]
Show = Callable[[Sequence[Assignment], Registry], object]


def assign_models(
    job: OpenJob, registry: Registry, llm: LLMClient | None = None, record: Record = lambda event: None
) -> list[Assignment]:
    """Return the assignment of each task; trains nothing. Arguments as for `assign`."""
    return assign(job.tasks, registry, _usable, llm, record, partial(redact, secrets=secrets_in()))


def jobs_of(job: OpenJob, assignments: Sequence[Assignment], registry: Registry) -> dict[str, LoadedJob]:
    """Return the jobs that the tasks become, by folder.

    Raises:
        InputError: A task has no model, or cannot run as written.
    """
    check_assigned(assignments, job.source)
    pairs = zip(job.tasks, assignments, strict=True)
    return {name: one for task, found in pairs for name, one in assigned_jobs(job, task, found, registry).items()}


def run_tasks(
    job: OpenJob,
    make_client: MakeClient | None = None,
    run_dir: str | Path | None = None,
    tell: Tell | None = None,
    show: Show = lambda assignments, registry: None,
) -> dict[str, Outcome]:
    """Match every task with a model or several, run each, and return folder to outcome (`open_job.assigned_jobs`).

    After a task that was interrupted no other begins; `resume_tasks` carries the job on.

    Args:
        job: The job.
        make_client: Makes the language model of a job's options; None leaves the choice to the rules.
        run_dir: Folder of the job, made where absent; by default a new one below `storage_path`.
        tell: Called with each line of progress.
        show: Called with the assignments before anything trains.

    Raises:
        InputError: No model can train on a task, or a task cannot run as written; nothing was trained.
    """
    registry = Registry.read(job.folders)
    place = new_place(job.job, job.source, run_dir)
    save_open_job(job, place.folder)
    write_values({}, place.folder / TASKS)  # a job of several tasks from now on, also after a kill
    loaded = _matched(job, registry, place.folder, make_client, show)
    if place.mirrored:
        Mirror(place.folder, place.storage, tell).copy()
    begun = {
        name: partial(_run, one, joined(place.storage.name, name), make_client, tell) for name, one in loaded.items()
    }
    return _in_turn(begun, tell)


def _matched(
    job: OpenJob, registry: Registry, folder: Path, make_client: MakeClient | None, show: Show = lambda *_: None
) -> dict[str, LoadedJob]:
    """Write `tasks.json` and return the jobs in it; models that were assigned before a kill are not asked for again."""
    journal = Journal(folder / FILE_NAME, partial(redact, secrets=secrets_in()))
    try:
        assignments = assigned_before(job, registry, (entry.event for entry in journal.entries))
        if assignments is None:
            llm = make_client(job.job.llm) if make_client and job.job.llm else None
            assignments = assign_models(job, registry, llm, journal.append)
    finally:
        journal.close()
    show(assignments, registry)
    loaded = jobs_of(job, assignments, registry)
    _check(loaded, job.source)
    write_values({name: job_values(task) for name, task in loaded.items()}, folder / TASKS)
    return loaded


def best_models(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """Return task to the folder of its best run, for tasks on which several models ran.

    Those that keep to all limits of the request first; then by validation data, the earlier on a tie.
    """
    tried: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        if outcome.best_config is not None:
            tried.setdefault(task_of(name), []).append(name)
    several = {task for task, count in Counter(map(task_of, outcomes)).items() if count > 1}
    return {task: max(names, key=lambda n: _merit(outcomes[n])) for task, names in tried.items() if task in several}


def _merit(outcome: Outcome) -> tuple[bool, float]:
    value = (outcome.validation or {}).get(outcome.metric, math.nan)
    kept = all(limit.kept is not False for limit in outcome.limits)
    return kept, -math.inf if math.isnan(value) else value if outcome.mode == "max" else -value


def resume_tasks(
    folder: str | Path, make_client: MakeClient | None = None, tell: Tell | None = None
) -> dict[str, Outcome]:
    """Carry on a job of `run_tasks`: ended tasks stay as they are, the others are resumed or begun.

    One that was interrupted, that an outage ended or that has trials left has not ended.

    Raises:
        InputError: A task cannot run as written, or `tasks.json` cannot be read.
        JournalError: A task's journal cannot be read, or it is still going on.
    """
    place = Path(folder).expanduser().absolute()
    if not tasks_in(place):  # killed before all was assigned and checked
        job = saved_open_job(place)
        _matched(job, Registry.read(job.folders), place, make_client)
    tasks = {name: partial(_carried_on, place, name, values) for name, values in tasks_in(place).items()}
    return _in_turn({name: partial(task, make_client, tell) for name, task in tasks.items()}, tell)


def _in_turn(tasks: Mapping[str, Callable[[], Outcome]], tell: Tell | None) -> dict[str, Outcome]:
    """Return folder to outcome; after a task that was interrupted none begins: the person wants the job to stop."""
    found: dict[str, Outcome] = {}
    for name, task in tasks.items():
        found[name] = task()
        if found[name].ended_by == INTERRUPTED:
            if tell and len(found) < len(tasks):
                tell(f"interrupted: {len(tasks) - len(found)} tasks were left; carry the job on with --resume")
            break
    return found


def _carried_on(
    place: Path, name: str, values: Mapping[str, Any], make_client: MakeClient | None, tell: Tell | None
) -> Outcome:
    folder = place / name
    outcome = load_outcome(folder) if (folder / OUTCOME).exists() else None
    if outcome is not None and _ended(outcome):
        with suppress(InputError):  # what it found counts, also where its job can no longer be read
            # A kill may have come between its outcome and its place in the store, where it replaces itself.
            remember(saved_job(folder).job, folder, tell)
        return outcome
    if (folder / JOB_FILE).exists():
        task = saved_job(folder)
        return resume(task, folder, _client(task, make_client), tell)
    return _run(read_job(values, f"{place / TASKS}: {name}", place), str(folder), make_client, tell)


def _ended(outcome: Outcome) -> bool:
    left = outcome.trials.get("running", 0) + outcome.trials.get("paused", 0)
    return not (outcome.failed or outcome.ended_by == INTERRUPTED or left)


def _run(task: LoadedJob, run_dir: str, make_client: MakeClient | None, tell: Tell | None) -> Outcome:
    if tell:
        tell(f"task {task.job.name}: {task.model.name} on {task.data.name}")
    return run(task, _client(task, make_client), run_dir, tell)


def _client(task: LoadedJob, make_client: MakeClient | None) -> LLMClient | None:
    return make_client(task.job.llm) if make_client and task.job.llm else None


def _check(loaded: dict[str, LoadedJob], source: str) -> None:
    problems = []
    for name, task in loaded.items():
        try:
            prepare(task)
        except InputError as error:
            problems += [type(p)(f"task {name}: {p.field}", p.rule, p.got, p.remedy) for p in error.problems]
    if problems:
        raise JobError(source, problems)


def _usable(card: ModelCard) -> str:
    try:
        load_trainable(card, card.name)
    except JobError as error:
        return f"cannot be trained here: {error.problems[0].rule} ({error.problems[0].got})"
    return ""
