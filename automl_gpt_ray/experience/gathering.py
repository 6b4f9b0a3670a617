"""Gathering: a run folder as an experience. Reads the journal and the outcome, and writes nothing."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import ADAPTER, RunStarted
from automl_gpt_ray.experience.run_record import Experience, ExperienceError
from automl_gpt_ray.journal import FILE_NAME, Entry, scan_journal
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.recollection import Recollection


def experience_of(folder: str | Path) -> Experience:
    """Return what a run folder holds.

    Raises:
        JournalError: It holds no journal, or one that cannot be read.
        ExperienceError: The run was not one of a Data Card and a Model Card, or has not ended.
    """
    book, first, last = Book(), None, 0.0
    for entry in scan_journal(Path(folder) / FILE_NAME):
        if entry is None or (first is None and not isinstance(entry.event, RunStarted)):
            continue
        first, last = first or entry, entry.time
        book.apply(entry)
    if first is None or book.started is None:
        raise ExperienceError(f"the journal in `{folder}` does not say what was tuned")
    if "model" not in book.started.brief or "data" not in book.started.brief:
        raise ExperienceError(f"the run in `{folder}` was not given a Data Card and a Model Card")
    try:
        outcome = load_outcome(folder)
    except (OSError, ValueError) as error:
        raise ExperienceError(f"the run in `{folder}` has not ended: its outcome cannot be read ({error})") from None
    started = book.started
    name = re.sub(r"[^A-Za-z0-9._-]", "-", outcome.name)[:60].lstrip("._-") or "run"
    return Experience(
        run=f"{name}-{_mark(first)}",
        name=outcome.name,
        ended_at=round(last, 3),
        package=str(started.about.get("package", "")),
        seed=started.seed,
        brief=Brief.from_dict(started.brief),
        trials=book.history().trials,
        outcome=json.loads(outcome.to_json()),
    )


def recollection_of(folder: str | Path) -> Recollection | None:
    """Return what the run in a folder was told when it began; None where it was told nothing.

    Raises:
        JournalError: The journal cannot be read.
    """
    for entry in scan_journal(Path(folder) / FILE_NAME):
        if entry and isinstance(entry.event, RunStarted):
            return Brief.from_dict(entry.event.brief).recollection if entry.event.brief else None
    return None


def _mark(first: Entry) -> str:
    """Return what tells a run from all others, and is the same whenever it is gathered."""
    text = f"{first.time} ".encode() + ADAPTER.dump_json(first.event)
    return hashlib.blake2b(text, digest_size=6).hexdigest()
