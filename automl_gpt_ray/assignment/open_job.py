"""A job that names no model: one task or several, each to be matched with a registered Model Card.

name: evening
model_cards: cards/models            # a folder or several; by default the cards of this package
tasks:
- {data_card: cards/data/adult.yaml, data: {path: ../shared/data/adult}}
- {data_card: cards/data/digits.yaml, trials: 4, request: {constraints: {model_size_mb: 5}}}
models: 2                            # so many models a task are tried, a run each; by default one
trials: 10                           # what stands here holds for every task that says nothing else
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automl_gpt_ray.assignment.choice import Assignment, OpenTask
from automl_gpt_ray.assignment.registry import Registry, shipped
from automl_gpt_ray.cards import DataCard, load_model_card, parse_model_card
from automl_gpt_ray.cards.agreement import bundled
from automl_gpt_ray.config import Job, LoadedJob, override, read_card, read_job
from automl_gpt_ray.errors import CardError, JobError, Problem, shown
from automl_gpt_ray.storage import is_uri, joined
from automl_gpt_ray.yaml_file import build, read_yaml

MAX_TASKS = 50
MAX_MODELS = 10
_OWN = ("tasks", "model_cards")
# Stands for the model while the rest of a task is checked.
_NOBODY: dict[str, Any] = {}


@dataclass(frozen=True)
class OpenJob:
    """A job whose tasks want models.

    Attributes:
        job: What holds for all tasks: name, language model, storage, seed.
        tasks: At least one.
        folders: Of Model Cards.
        source: The file.
        folder: What the files it names are relative to.
    """

    job: Job
    tasks: tuple[OpenTask, ...]
    folders: tuple[Path, ...]
    source: str
    folder: Path


def is_open(values: Mapping[str, Any]) -> bool:
    """Return whether these are the values of a job that leaves its models open."""
    return "tasks" in values or ("data_card" in values and "model_card" not in values)


def load_open_job(path: str | Path, overrides: Mapping[str, Any] | None = None) -> OpenJob | None:
    """Return the job in a file where it leaves its models open, None for a job with a model.

    Args:
        path: The YAML file.
        overrides: As for `load_job`; they hold for every task.

    Raises:
        InputError: With every problem found.
    """
    file = Path(path)
    values = read_yaml(file, JobError)
    if not is_open(override(dict(values), overrides)):
        return None
    return read_open_job(values, str(file), file.parent, overrides)


def read_open_job(
    values: Mapping[str, Any],
    source: str = "job",
    folder: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> OpenJob:
    """Check `values` as a job that leaves its models open; arguments and errors as in `load_open_job`."""
    below = folder or Path()
    common = {key: value for key, value in values.items() if key not in _OWN}
    items, problems = _items(values, common)
    tasks: list[OpenTask] = []
    for index, item in enumerate(items):
        where = f"tasks[{index}]: " if "tasks" in values else ""
        found = _task({**common, "name": None, **item}, overrides, below, where, problems)
        if found is not None:
            tasks.append(_renamed(found, tasks))
    if "model_card" in values and "tasks" in values:
        rule = "must stand in a task: the job leaves the models of the others open"
        problems.append(Problem("model_card", rule, shown(values["model_card"]), "move it"))
    folders = _folders(values.get("model_cards"), below, problems)
    if problems or not tasks:
        raise JobError(source, problems or [Problem("tasks", "must hold a task", "[]", "add one with a `data_card`")])
    whole = override({**common, "data_card": _NOBODY, "model_card": _NOBODY}, overrides)
    whole.pop("models", None)
    job = build(Job, whole, source, JobError)
    return OpenJob(job, tuple(tasks), folders, source, below)


def assigned_jobs(job: OpenJob, task: OpenTask, assignment: Assignment, registry: Registry) -> dict[str, LoadedJob]:
    """Return the jobs that a task becomes, one a model that is tried, by folder; errors as in `load_job`."""
    if task.named:
        return {task.name: _with_card(job, task, task.values.get("model_card"))}
    cards = {model: str(registry.files[model].absolute()) for model in assignment.tried(task.models)}
    alone = len(cards) == 1
    return {task.name if alone else f"{task.name}/{name}": _with_card(job, task, card) for name, card in cards.items()}


def task_of(folder: str) -> str:
    """Return the task that a run's folder, relative to the job's, belongs to."""
    return folder.partition("/")[0]


def _with_card(job: OpenJob, task: OpenTask, card: Any) -> LoadedJob:
    return read_job({**task.values, "model_card": card}, f"{job.source}: task {task.name}", job.folder)


def _items(values: Mapping[str, Any], common: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Problem]]:
    items = values.get("tasks", [{"data_card": common.get("data_card"), "name": common.get("name")}])
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_TASKS or not all(isinstance(i, dict) for i in items):
        rule = f"must be a list of 1 to {MAX_TASKS} mappings"
        return [], [Problem("tasks", rule, shown(items), "write `- data_card: cards/data/adult.yaml` for each task")]
    nested = [
        Problem(f"tasks[{i}].{key}", "must not stand in a task")
        for i, t in enumerate(items)
        for key in _OWN
        if key in t
    ]
    return items, nested


def _task(
    item: dict[str, Any], overrides: Mapping[str, Any] | None, folder: Path, where: str, problems: list[Problem]
) -> OpenTask | None:
    values = override(item, _placed(item, overrides or {}))
    if values.get("name") is None:
        values.pop("name", None)
    found: list[Problem] = []
    models = _models(values.pop("models", 1), found)
    job: Job | None = None
    try:
        job = build(Job, {**values, "model_card": values.get("model_card", _NOBODY)}, "task", JobError)
    except JobError as error:
        found += error.problems
    data = read_card(values.get("data_card"), "data_card", folder, found)
    named = _named(values["model_card"], folder, found) if "model_card" in values else ""
    problems += [Problem(f"{where}{p.field}", p.rule, p.got, p.remedy) for p in found]
    if job is None or not isinstance(data, DataCard) or found:
        return None
    values["name"] = values.get("name") or _name(data.name)
    if bundled(data, job.data.path):
        values.pop("data", None)  # the folder of all tasks' data has none of this one's
    return OpenTask(values["name"], data, job.request, job.resources.gpu, values, named, models)


def _models(value: Any, problems: list[Problem]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_MODELS:
        return value
    rule = f"must be a whole number from 1 to {MAX_MODELS}"
    problems.append(Problem("models", rule, shown(value), "how many models are tried on each task, a run each"))
    return 1


def _placed(item: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides with `data.path`, the folder of all data, joined with the task's own place in it."""
    below = item["data"].get("path") if isinstance(item.get("data"), dict) else None
    root = overrides.get("data.path")
    return {**overrides, "data.path": _below(root, below)} if root and isinstance(below, str) else dict(overrides)


def _below(root: str, name: str) -> str:
    return joined(root, name) if is_uri(root) else str(Path(root) / name)


def _named(card: Any, folder: Path, problems: list[Problem]) -> str:
    try:
        found = load_model_card(folder / Path(card).expanduser()) if isinstance(card, str) else parse_model_card(card)
    except CardError as error:
        problems += [Problem(f"model_card: {p.field}", p.rule, p.got, p.remedy) for p in error.problems]
        return ""
    return found.name


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:60] or "task"


def _renamed(task: OpenTask, others: list[OpenTask]) -> OpenTask:
    """Return the task under a name that no other has: it names a folder."""
    taken = {other.name for other in others}
    name = next(n for n in (task.name, *(f"{task.name}-{i}" for i in range(2, MAX_TASKS + 2))) if n not in taken)
    if name == task.name:
        return task
    return replace(task, name=name, values={**task.values, "name": name})


def _folders(value: Any, folder: Path, problems: list[Problem]) -> tuple[Path, ...]:
    if value is None:
        return (shipped(),)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        rule = "must be a folder of Model Cards, or a list of them"
        problems.append(Problem("model_cards", rule, shown(value), "write `model_cards: cards/models`"))
        return ()
    return tuple((folder / Path(name).expanduser()).absolute() for name in names)
