"""Opening the book of a run: a new one, or one that a driver left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

from automl_gpt_ray.advisors.language import reread
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.advisors.recalled import recalled_proposals
from automl_gpt_ray.advisors.recipe import form_team
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import MAX_SHOWN, InputError, JobError, Problem
from automl_gpt_ray.events import CallFailed, Event, RunResumed, RunStarted, TrialRequeued
from automl_gpt_ray.journal import Journal, json_values
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.outages import OutagePolicy
from automl_gpt_ray.prefetch import Prefetcher
from automl_gpt_ray.records import TrialState
from automl_gpt_ray.replies import SOURCE as LANGUAGE
from automl_gpt_ray.replies import ReplyError
from automl_gpt_ray.space import describe

_BOUND = ("space", "metric", "mode", "max_steps", "step")


def open_book(
    path: Path,
    brief: Brief,
    seed: int,
    about: Mapping[str, Any],
    also: Callable[[Event], object] | None = None,
) -> Book:
    """Return the book over the journal at `path`, with its first event or that of a run taken up again.

    Args:
        path: The journal; made where absent.
        brief: What is tuned.
        seed: Of the run.
        about: Written into the first event, for readers.
        also: Called with each event of the run, past ones first.

    Raises:
        JobError: The run began with another metric, direction, search space or length of training.
    """
    written = partial(redact, secrets=secrets_in())
    journal = Journal(path, written)
    book = Book(journal, also)
    if book.started is not None:
        if problems := departures(book.started.brief, json_values(brief.to_dict(), written)):
            book.close()
            raise JobError(str(path.parent), problems)
        book.record(RunResumed(journal.damage))
        return book
    objective, default = brief.objective, brief.space.default
    told = {"space": brief.space.explain(), **about}
    book.record(RunStarted(objective.metric, objective.mode, brief.max_steps, seed, default, brief.to_dict(), told))
    return book


def begins(book: Book, folder: Path) -> bool:
    """Return True for a run without trials.

    Raises:
        JobError: It has some, which nobody has taken up: new ones would count on theirs, and wait for those under way.
    """
    if book.history().trials:
        remedy = "name another folder, or go on with `Tuner.restore(...)`"
        raise JobError("LLMSearch", [Problem("journal", "must hold no run yet", str(folder), remedy)])
    return True


def departures(began: Mapping[str, Any], now: Mapping[str, Any]) -> list[Problem]:
    """Return what a run that began with one brief cannot go on with of another; both as a journal holds them."""
    try:
        before, after = _bound(began), _bound(now)
    except (InputError, ValueError, KeyError):  # an older version's: that is no reason to refuse its runs
        return []
    found = []
    for name in (*before, *(name for name in after if name not in before)):
        if before.get(name) != after.get(name):
            was, got = (_told(values.get(name)) for values in (before, after))
            rule = f"must stay what the run began with ({was}), for its trials are compared with each other"
            found.append(Problem(name, rule, got, "change it back, or begin a new run"))
    return found


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    # Read again: 1 and 1.0, or what was left out and its default, are the same. What is said of a parameter may change.
    brief = Brief.from_dict({name: values[name] for name in _BOUND})
    told = {"metric": brief.objective.metric, "mode": brief.objective.mode, "max_steps": brief.max_steps}
    space = brief.space.parameters.items()
    return told | {f"search space: {name}": p.model_copy(update={"description": ""}) for name, p in space}


def _told(value: Any) -> str:
    text = "nothing" if value is None else str(value) if isinstance(value, str | int) else describe(value)
    return shorten(text, MAX_SHOWN, placeholder=" …")


def open_supply(
    book: Book,
    brief: Brief,
    mixture: Mixture,
    seed: int,
    outages: OutagePolicy | None,
    urgent: Callable[[], tuple[str, ...]],
) -> Prefetcher:
    """Return the prefetcher of a run, at work; arguments as its own."""
    form_team(book, mixture, "prefetch", seed)
    told = (book, brief.space, mixture.advisors, mixture.choose, seed)
    supply = Prefetcher(*told, outages=outages, shares=mixture.shares, urgent=urgent)
    if LANGUAGE in mixture.advisors:
        read_unread(book, brief, supply)
    supply.start(recalled_proposals(brief, book.history()))
    return supply


def read_unread(book: Book, brief: Brief, supply: Prefetcher) -> None:
    """Read the replies that came in just before the driver was killed: they are paid for."""
    for prompt, reply in book.unread():
        if prompt.subjects:  # a review: whoever has trials reviewed reads it
            continue
        read = reread(brief, book.history(), prompt, reply)
        if isinstance(read, ReplyError):
            book.record(CallFailed(prompt.call, read.kind, str(read), reply.seconds))
        else:
            supply.readmit(LANGUAGE, prompt.history_version, read, prompt.wanted)


def settle(book: Book, known: Mapping[str, bool]) -> frozenset[str]:
    """Settle what the journal and Ray disagree about after a kill; return what `known` takes up again though ended.

    Args:
        book: Rebuilt from the journal.
        known: Trial id to whether Ray takes it for ended.
    """
    history = book.history()
    for trial in history.in_state(TrialState.RUNNING, TrialState.PAUSED):
        if trial.id not in known:
            book.record(TrialRequeued(trial.id, "Ray did not know of it when the run was resumed"))
    ended = {trial.id for trial in history.trials if trial.state.ended}
    return frozenset(trial for trial, finished in known.items() if trial in ended and not finished)
