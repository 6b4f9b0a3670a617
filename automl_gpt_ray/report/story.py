"""The story of a run: its journal read once, with what every part of a report asks of it.

    story = read_story("runs/demo-20260101-120000")
    story.history.best, story.events(Decision)

Reads the journal and nothing else, and writes nothing; a run that is still going on can be read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.budget import Budget
from automl_gpt_ray.errors import InputError, JobError, Problem
from automl_gpt_ray.events import Event, RunStarted, TrialStarted
from automl_gpt_ray.job_file import TASKS
from automl_gpt_ray.journal import FILE_NAME, Entry, scan_journal
from automl_gpt_ray.records import History, Objective, TrialRecord

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Moment:
    """An event of a run.

    Attributes:
        seconds: Since the run began, without the time during which no driver lived.
        time: Seconds since the epoch.
        event: What happened.
    """

    seconds: float
    time: float
    event: Event


@dataclass(frozen=True)
class Story:
    """A run as its journal tells it.

    Attributes:
        folder: The run folder.
        book: What is known at the end of the journal.
        started: The first event.
        moments: Every event, in order.
        unreadable: Lines of the journal that could not be read.
    """

    folder: Path
    book: Book
    started: RunStarted
    moments: tuple[Moment, ...]
    unreadable: int = 0

    def at(self, kind: type[E]) -> list[tuple[Moment, E]]:
        """Return the events of a kind with their moments, in order."""
        return [(moment, moment.event) for moment in self._kinds.get(kind, []) if isinstance(moment.event, kind)]

    def events(self, kind: type[E]) -> list[E]:
        """Return the events of a kind, in order."""
        return [event for _, event in self.at(kind)]

    @cached_property
    def history(self) -> History:
        """Every trial with all it reported."""
        return self.book.history()

    @cached_property
    def best(self) -> TrialRecord | None:
        """The best trial, by the limits and its value; None where none has one."""
        return self.history.best

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Trial id to its number, from 1: what people call a trial."""
        return {trial.id: number for number, trial in enumerate(self.history.trials, 1)}

    @cached_property
    def begun(self) -> Mapping[str, float]:
        """Trial id to the second at which it began."""
        return {event.trial: moment.seconds for moment, event in self.at(TrialStarted)}

    @cached_property
    def default(self) -> TrialRecord | None:
        """The trial of the default configuration; None where none was started."""
        return next((t for t in self.history.trials if t.proposal.source == "default"), None)

    @cached_property
    def brief(self) -> Brief | None:
        """What was tuned; None where the journal does not say so, or not as this version reads it."""
        try:
            return Brief.from_dict(self.started.brief) if self.started.brief else None
        except (InputError, KeyError, ValueError, TypeError):
            return None

    @property
    def objective(self) -> Objective:
        """What was optimised."""
        return self.history.objective

    @property
    def job(self) -> Mapping[str, Any]:
        """The job's values; empty where the run was not one of a job file."""
        job = self.started.about.get("job")
        return job if isinstance(job, Mapping) else {}

    @cached_property
    def budget(self) -> Budget:
        """The job's limits and prices."""
        try:
            budget = Budget.model_validate(self.job.get("budget") or {})
        except ValueError:  # of another version
            return Budget()
        told = {"trials": self.job.get("trials"), "seconds": self.job.get("time_budget_s")}
        return budget.model_copy(update={k: v for k, v in told.items() if v and getattr(budget, k) is None})

    @property
    def gpus(self) -> float:
        """GPUs of each trial, as the job says."""
        resources, workers = self.job.get("resources"), int(self.job.get("workers_per_trial") or 1)
        return workers * float(resources.get("gpu") or 0.0) if isinstance(resources, Mapping) else 0.0

    @property
    def name(self) -> str:
        """What the run is called: the job's name, or that of its folder."""
        return str(self.job.get("name") or self.folder.name)

    @property
    def step(self) -> str:
        """What one step is."""
        return self.brief.step if self.brief else "step"

    @cached_property
    def _kinds(self) -> Mapping[type, list[Moment]]:
        kinds: dict[type, list[Moment]] = {}
        for moment in self.moments:
            kinds.setdefault(type(moment.event), []).append(moment)
        return kinds


def read_story(folder: str | Path) -> Story:
    """Read the journal of a run.

    Args:
        folder: The run folder, or the journal itself; the folder of a job of several tasks where it holds one run.

    Raises:
        JobError: There is no journal of a run.
        JournalError: It cannot be read.
    """
    place = Path(folder).expanduser().absolute()
    runs = _below(place)
    if (place / TASKS).is_file() and len(runs) == 1:
        return read_story(place / runs[0])
    path = place if place.is_file() else place / FILE_NAME
    if not path.is_file() or (place / TASKS).is_file():
        raise JobError("report", [Problem("RUN_DIR", *_no_run(place, runs))])
    book, moments, unreadable = Book(), list[Moment](), 0
    for entry in scan_journal(path):
        if entry is None:
            unreadable += 1
        elif book.started or isinstance(entry.event, RunStarted):
            moments.append(_applied(book, entry))
    if book.started is None:
        rule = "must hold the journal of a run; this one does not say what was tuned"
        raise JobError("report", [Problem("RUN_DIR", rule, str(folder), "give the folder that `run` named")])
    return Story(path.parent, book, book.started, tuple(moments), unreadable)


def _applied(book: Book, entry: Entry) -> Moment:
    # What a resumed driver says first is said at the second at which the one before was last heard of.
    book.apply(entry)
    return Moment(book.seconds, entry.time, entry.event)


def _below(place: Path) -> list[str]:
    return sorted(p.parent.name for p in place.glob(f"*/{FILE_NAME}")) if place.is_dir() else []


def _no_run(place: Path, below: list[str]) -> tuple[str, str, str]:
    if below:
        named = ", ".join(below[:8]) + (" …" if len(below) > 8 else "")
        return "must be the folder of one run", str(place), f"it holds those of several: give one of {named}"
    return "must be the folder of a run", str(place), "give the folder that `run` named in its last lines"
