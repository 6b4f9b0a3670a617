"""A first look over a journal: which moments of the run will be asked for, and what cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from automl_gpt_ray.advisors.recipe import versions
from automl_gpt_ray.events import AdviceGiven, PromptSent, RunEnded, RunResumed, TeamFormed
from automl_gpt_ray.journal import scan_journal


@dataclass(frozen=True)
class Survey:
    """What a journal holds.

    Attributes:
        last_use: Version of the history to the number of the last event that was decided from it.
        events: Readable events.
        notes: What a reader must know.
    """

    last_use: Mapping[int, int]
    events: int
    notes: tuple[str, ...]


def survey(path: Path) -> Survey:
    """Read the journal at `path` once, keeping nothing but numbers.

    Raises:
        JournalError: It cannot be read.
    """
    last_use: dict[int, int] = {}
    events, unreadable, resumed, ended, last = 0, 0, 0, False, True
    made_with: dict[str, str] = {}
    for entry in scan_journal(path):
        last = entry is not None
        if entry is None:
            unreadable += 1
            continue
        events += 1
        event = entry.event
        if isinstance(event, AdviceGiven | PromptSent):
            last_use[event.history_version] = entry.seq
        elif isinstance(event, TeamFormed):
            made_with |= event.versions
        resumed += isinstance(event, RunResumed)
        ended = isinstance(event, RunEnded) or (ended and not isinstance(event, RunResumed))
    notes = [
        f"{unreadable} lines of the journal cannot be read" if unreadable else "",
        "its last line is among them: the run was killed while writing it" if not last else "",
        f"the run was resumed {resumed} times" if resumed else "",
        "" if ended else "the run has not ended, or was interrupted",
        *_other_versions(made_with),
    ]
    return Survey(last_use, events, tuple(note for note in notes if note))


def _other_versions(made_with: Mapping[str, str]) -> list[str]:
    now = versions()
    return [
        f"the run was made with {name} {then}, this is {now.get(name, 'unknown')}: decisions may differ for that"
        for name, then in made_with.items()
        if now.get(name) != then
    ]
