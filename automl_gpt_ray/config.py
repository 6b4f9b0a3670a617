"""The job file: one YAML file says what to tune, with what, for how long.

    name: digits
    data_card: cards/data/digits.yaml        # a file relative to the job, or the card itself
    model_card: cards/models/small_cnn.yaml
    trials: 12

Reading it finds every problem in the job and its cards at once, before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.budget import SHORT_FORMS, Budget, filled_short_forms, no_switch, price_of
from automl_gpt_ray.cards import (
    DataCard,
    ModelCard,
    Request,
    load_data_card,
    load_model_card,
    parse_data_card,
    parse_model_card,
)
from automl_gpt_ray.cards.agreement import bundled, mismatches, ungrouped, unreported
from automl_gpt_ray.errors import CardError, InputError, JobError, Problem, shown
from automl_gpt_ray.experience_options import ExperienceOptions
from automl_gpt_ray.llm_options import LLMOptions, with_prices
from automl_gpt_ray.recollection import Recollection
from automl_gpt_ray.scheduler_options import SchedulerOptions
from automl_gpt_ray.storage import is_uri
from automl_gpt_ray.tracking_options import TrackingOptions
from automl_gpt_ray.worker_rules import worker_problems
from automl_gpt_ray.yaml_file import build, read_yaml

_STRICT = ConfigDict(extra="forbid", frozen=True)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


class Resources(BaseModel):
    """What each trial gets, or each of its workers. A GPU may be shared: `gpu: 0.25` packs four trials on one."""

    model_config = _STRICT

    cpu: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    gpu: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    memory_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    _are_numbers = field_validator("*", mode="before")(no_switch)


class DataOptions(BaseModel):
    """Where the data lies on this machine, on every node of a cluster, or by a URI; replaces the Data Card's path."""

    model_config = _STRICT

    path: str | None = None


class Job(BaseModel):
    """A job file.

    Attributes:
        name: Names the run folder.
        data_card: A Data Card's file, or the card itself.
        model_card: A Model Card's file, or the card itself.
        request: Evaluation metrics, constraints, additional requests.
        data: Overrides where the data lies.
        llm: The language model; without one the classical advisor runs.
        classical: Optuna's sampler: `tpe`, `gp` (needs torch) or `random`.
        trials: Number of trials; short for `budget.trials`.
        max_steps: Steps of a full training; by default the Model Card's.
        time_budget_s: Wall-clock limit of the search, in seconds; short for `budget.seconds`.
        budget: All limits: trials, steps, seconds, GPU-hours, tokens, money.
        max_concurrent: Trials in training at once; by default as many as the resources allow.
        scheduler: Ray's scheduler.
        resources: Per trial; per worker, where a trial has several.
        workers_per_trial: Processes that train the model of a trial together; `batch_size` is that of all of them.
        refit: Whether the best configuration is trained once more, on training and validation data
            together, before it is scored on test data. The trainable must take a `task`.
        retries: Restarts of a trial whose worker died.
        reuse_actors: Whether one worker process trains several trials, one after the other: seconds
            saved on each, at the price of what a trainable leaves behind in its process. None: not on a
            cluster, where Ray would fail the next trial of a worker whose node has died.
        experience: Where finished runs are remembered and similar ones recalled: a folder, a URI, or `off`.
        tracking: Experiment trackers that follow the trials.
        seed: Of splits, weights and samplers. Two runs with one seed may try other configurations all the same:
            a proposal depends on which results were known when it was made, and so on how long things took.
        address: Of a Ray cluster; by default `RAY_ADDRESS`, else a local one is started.
        storage_path: Where run folders are made: a folder, or a URI (`s3://…`, `gs://…`).
    """

    model_config = _STRICT

    name: str = Field(default="run", pattern=f"^{_NAME.pattern}$")
    data_card: str | dict[str, Any]
    model_card: str | dict[str, Any]
    request: Request = Field(default_factory=Request)
    data: DataOptions = Field(default_factory=DataOptions)
    llm: LLMOptions | None = None
    classical: Literal["tpe", "gp", "random"] = "tpe"
    trials: int = Field(default=20, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    time_budget_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    budget: Budget = Field(default_factory=Budget)
    max_concurrent: int | None = Field(default=None, ge=1)
    scheduler: SchedulerOptions = Field(default_factory=SchedulerOptions)
    resources: Resources = Field(default_factory=Resources)
    workers_per_trial: int = Field(default=1, ge=1)
    refit: bool = False
    retries: int = Field(default=0, ge=0)
    reuse_actors: bool | None = None
    experience: ExperienceOptions = Field(default_factory=ExperienceOptions)
    tracking: TrackingOptions = Field(default_factory=TrackingOptions)
    seed: int = Field(default=0, ge=0, lt=2**32)
    address: str | None = None
    storage_path: str = "runs"

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        return with_prices(filled_short_forms(values))

    _are_numbers = field_validator(
        "trials",
        "max_steps",
        "time_budget_s",
        "max_concurrent",
        "workers_per_trial",
        "retries",
        "seed",
        mode="before",
    )(no_switch)

    @field_validator("data_card", "model_card", mode="before")
    @classmethod
    def _is_card(cls, card: Any) -> Any:
        if not isinstance(card, str | dict):
            raise ValueError("must be a card, or the file of one | name a YAML file, relative to the job's")
        return card

    @field_validator("name", mode="before")
    @classmethod
    def _names_a_folder(cls, name: Any) -> Any:
        if isinstance(name, str) and not _NAME.fullmatch(name):
            remedy = f"write `{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-._')[:80] or 'run'}`, for example"
            raise ValueError(f"names a folder: letters, digits, `.`, `_` and `-`, 81 at most | {remedy}")
        return name

    @property
    def gpus_per_trial(self) -> float:
        """GPUs of all workers of a trial."""
        return self.resources.gpu * self.workers_per_trial

    @property
    def limits(self) -> Budget:
        """The budget with its short forms filled in."""
        return self.budget.model_copy(update={kind: getattr(self, short) for short, kind in SHORT_FORMS.items()})


@dataclass(frozen=True)
class LoadedJob:
    """A job with its cards read and checked against each other, and what was recalled of earlier runs."""

    job: Job
    data: DataCard
    model: ModelCard
    source: str
    recollection: Recollection | None = None

    @property
    def brief(self) -> Brief:
        """What is to be tuned."""
        brief = Brief.of(self.model, self.data, self.job.request, self.job.max_steps)
        return replace(brief, recollection=self.recollection)


def load_job(path: str | Path, overrides: Mapping[str, Any] | None = None) -> LoadedJob:
    """Read a job file and its cards.

    Args:
        path: The YAML file; card files are relative to it.
        overrides: Dotted keys that replace values of the file, e.g. `{"data.path": "/data"}`; a value
            of None removes the key.

    Raises:
        InputError: With every problem found in the job and in its cards.
    """
    file = Path(path)
    values = override(read_yaml(file, JobError), overrides)
    return read_job(values, str(file), file.parent)


def override(values: dict[str, Any], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `values` with dotted keys replaced, or removed where the new value is None."""
    for key, value in (overrides or {}).items():
        if key in SHORT_FORMS and isinstance(values.get("budget"), dict):
            _override(values, ["budget", SHORT_FORMS[key]], None)
        _override(values, key.split("."), value)
    return values


def read_job(values: Mapping[str, Any], source: str = "job", folder: Path | None = None) -> LoadedJob:
    """Check `values` as a job; card files are relative to `folder`. Errors as in `load_job`."""
    job: Job | None = None
    problems: list[Problem] = []
    try:
        job = build(Job, values, source, JobError)
    except JobError as error:
        problems += error.problems
    data = read_card(values.get("data_card"), "data_card", folder or Path(), problems)
    model = read_card(values.get("model_card"), "model_card", folder or Path(), problems)
    if isinstance(data, DataCard) and isinstance(model, ModelCard):
        disagreements = mismatches(data, model)
        problems += disagreements
        if job:
            problems += [] if disagreements else unreported(data, model, job.request)
            problems += [*_unpriced(job), *bundled(data, job.data.path), *ungrouped(data, job.request)]
            problems += worker_problems(job.workers_per_trial, job.resources.gpu, job.reuse_actors, model)
        if job is not None and not problems:
            return LoadedJob(job, _placed(data, job), model, source)
    raise JobError(source, problems)


def _override(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.get(key)
        values[key] = dict(inner) if isinstance(inner, dict) else {}
        values = values[key]
    if value is None:
        values.pop(keys[-1], None)
    else:
        values[keys[-1]] = value


def read_card(
    card: Any, field: Literal["data_card", "model_card"], folder: Path, problems: list[Problem]
) -> DataCard | ModelCard | None:
    """Return the card in `folder` or the one written out; None where there is none, told in `problems`."""
    if not isinstance(card, str | dict):
        return None  # `Job` has said so already
    try:
        if isinstance(card, str):
            path = folder / Path(card).expanduser()
            return load_data_card(path) if field == "data_card" else load_model_card(path)
        if field == "data_card":
            return parse_data_card(card, field).resolved(folder)
        return parse_model_card(card, field)
    except CardError as error:
        where = field if error.source == field else f"{field} ({error.source})"
        problems += [Problem(f"{where}: {p.field}", p.rule, p.got, p.remedy) for p in error.problems]
        return None


def _unpriced(job: Job) -> list[Problem]:
    if job.budget.money is None or job.llm is None or price_of(job.budget.prices, job.llm.model):
        return []
    rule = f"must hold the price of the job's model `{job.llm.model}`, for `budget.money` is limited"
    remedy = f"add `prices: {{{job.llm.model}: {{input: …, output: …}}}}`, in US dollars for a million tokens"
    return [Problem("budget.prices", rule, shown(list(job.budget.prices)), remedy)]


def _placed(data: DataCard, job: Job) -> DataCard:
    if job.data.path is None or data.load is None:
        return data
    # Given on the command line or in the job: relative to where the person stands.
    path = job.data.path if is_uri(job.data.path) else str(Path(job.data.path).expanduser().absolute())
    return data.model_copy(update={"load": data.load.model_copy(update={"path": path})})


__all__ = ["InputError", "Job", "LLMOptions", "LoadedJob", "load_job", "read_job"]
