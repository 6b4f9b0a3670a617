"""Opening the book of a run: a new one, or one that a driver left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from automl_gpt_ray.advisors.language import reread
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import CallFailed, Event, RunResumed, RunStarted
from automl_gpt_ray.journal import Journal
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.prefetch import Prefetcher
from automl_gpt_ray.replies import SOURCE as LANGUAGE
from automl_gpt_ray.replies import ReplyError


def open_book(
    path: Path,
    brief: Brief,
    seed: int,
    about: Mapping[str, Any],
    also: Callable[[Event], object] = lambda event: None,
) -> Book:
    """Return the book over the journal at `path`, with its first event or that of a run taken up again.

    Args:
        path: The journal; made where absent.
        brief: What is tuned.
        seed: Of the run.
        about: Written into the first event, for readers.
        also: Called with each event of the run, past ones first.
    """
    journal = Journal(path, partial(redact, secrets=secrets_in()))
    book = Book(journal, also)
    if book.started is not None:
        book.record(RunResumed(journal.damage))
        return book
    objective, default = brief.objective, brief.space.default
    told = {"space": brief.space.explain(), **about}
    book.record(RunStarted(objective.metric, objective.mode, brief.max_steps, seed, default, brief.to_dict(), told))
    return book


def read_unread(book: Book, brief: Brief, supply: Prefetcher) -> None:
    """Read the replies that came in just before the driver was killed: they are paid for."""
    for prompt, reply in book.unread():
        read = reread(brief, book.history(), prompt, reply)
        if isinstance(read, ReplyError):
            book.record(CallFailed(prompt.call, read.kind, str(read), reply.seconds))
        else:
            supply.readmit(LANGUAGE, prompt.history_version, read, prompt.wanted)
