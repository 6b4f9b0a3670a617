"""`automl-gpt-ray feedback`: say something to a run that goes on, or see what came of what was said."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.events import ProposalDropped
from automl_gpt_ray.feedback import Feedback, Value
from automl_gpt_ray.feedback_file import FILE_NAME as FEEDBACK
from automl_gpt_ray.feedback_file import give, lines_from, read
from automl_gpt_ray.hints import hint_problems
from automl_gpt_ray.job_events import FeedbackGiven
from automl_gpt_ray.job_file import run_in
from automl_gpt_ray.journal import FILE_NAME, scan_journal
from automl_gpt_ray.listening import MAX_REMARKS
from automl_gpt_ray.queue_rules import HINTED
from automl_gpt_ray.records import Proposal
from automl_gpt_ray.space import SearchSpace
from automl_gpt_ray.yaml_file import parse_yaml


def say(folder: Path, text: str, fix: Iterable[str], narrow: Iterable[str], free: Iterable[str]) -> str:
    """Leave a remark in a run folder and return what a person is told of it.

    Raises:
        JobError: The folder holds no run or several, or a hint cannot be followed: nothing was left.
    """
    folder = run_in(folder, "feedback")
    book, said = _book(folder), remark(text, fix, narrow, free)
    space = _space(book)
    problems = hint_problems(said, space) if space else []
    if problems:
        raise JobError("feedback", problems)
    made = give(folder, said)
    if book.ended:
        return f"feedback {made.id}: the run has ended; it will know of this when it is resumed"
    return f"feedback {made.id}: the run will know of it within seconds"


def remark(text: str, fix: Iterable[str], narrow: Iterable[str], free: Iterable[str]) -> Feedback:
    """Return what a person said; JobError where a hint is not written as one."""
    return Feedback("", text, dict(map(_fixed, fix)), dict(map(_narrowed, narrow)), tuple(free))


def came_of(folder: Path) -> list[str]:
    """Return what was said to a run and what came of each remark, one line each."""
    folder = run_in(folder, "feedback")
    book, queued, dropped = _book(folder), dict[str, Proposal](), dict[str, int]()
    latest = ""
    for entry in scan_journal(folder / FILE_NAME):
        event = entry.event if entry else None
        if isinstance(event, FeedbackGiven):
            latest = event.feedback.id
        elif isinstance(event, ProposalDropped) and event.reason == HINTED:
            dropped[latest] = dropped.get(latest, 0) + 1
        for proposal in getattr(event, "proposals", ()):
            queued[proposal.id] = proposal
    known = [_line(said, book, queued, dropped.get(said.id, 0)) for said in book.feedback]
    return [*known, *_waiting(folder, book)]


def _waiting(folder: Path, book: Book) -> list[str]:
    """Return a line for each remark in the folder that the run has not taken in."""
    space = _space(book) or SearchSpace({})
    known, found, offset = {said.id for said in book.feedback}, dict[str, Feedback](), 0
    while (piece := lines_from(folder / FEEDBACK, offset))[1] > offset:
        lines, offset = piece
        for line in lines:
            said, _ = read(line, space)
            found.setdefault(said.id, said)
    when = "when it is resumed" if book.ended else "within seconds while it goes on, else when it is resumed"
    return [
        f"{name}: {_what(said)}\n  waits: the run will know of it {when}"
        for name, said in found.items()
        if name not in known
    ][: max(0, MAX_REMARKS - len(known))]


def _line(said: Feedback, book: Book, queued: Mapping[str, Proposal], dropped: int) -> str:
    def knows(proposal: Proposal) -> bool:
        return any("feedback" in note and said.id in note for note in proposal.notes)

    history = book.history()
    trials = [trial for trial in history.trials if knows(trial.proposal)]
    best = history.objective.best(trial.value(history.objective) for trial in trials)
    came = f"{sum(map(knows, queued.values()))} proposals know of it or were changed by it, {dropped} were dropped"
    reached = "" if best is None else f", best {history.objective.metric} of theirs {best:.4g}"
    return f"{said.id}: {_what(said)}\n  {came}; {len(trials)} trials{reached}"


def _what(said: Feedback) -> str:
    hints = [f"{name}={value!r}" for name, value in said.fixed.items()]
    hints += [f"{name} in {low:g}..{high:g}" for name, (low, high) in said.narrowed.items()]
    told = filter(None, [said.text, ", ".join(hints), *(f"{name} free again" for name in said.freed)])
    return "; ".join(told) or "nothing that could be followed"


def _space(book: Book) -> SearchSpace | None:
    return Brief.from_dict(book.started.brief).space if book.started and book.started.brief else None


def _book(folder: Path) -> Book:
    path = folder / FILE_NAME
    if not path.is_file():
        rule = "must be the folder of a run"
        raise JobError("feedback", [Problem("RUN_DIR", rule, str(folder), "give the folder that `run` named")])
    book = Book()
    for entry in scan_journal(path):
        if entry and (book.started or getattr(entry.event, "kind", "") == "run_started"):
            book.apply(entry)
    return book


def _fixed(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise JobError("feedback", [Problem("--fix", "must be NAME=VALUE", text, "write --fix learning_rate=1e-3")])
    return name, _scalar(f"--fix {name}", value)


def _narrowed(text: str) -> tuple[str, tuple[float, float]]:
    name, equals, ends = text.partition("=")
    low, colon, high = ends.partition(":")
    try:
        if not (name and equals and colon):
            raise ValueError
        return name, (float(low), float(high))
    except ValueError:
        remedy = "write --narrow depth=2:6"
        raise JobError("feedback", [Problem("--narrow", "must be NAME=LOW:HIGH", text, remedy)]) from None


def _scalar(field: str, text: str) -> Value:
    value: Any = parse_yaml(f"value: {text}", field, JobError)["value"]
    if value is not None and not isinstance(value, str | bool | int | float):
        raise JobError("feedback", [Problem(field, "must be one value", text)])
    return value


def show(lines: Sequence[str]) -> None:
    """Print lines that hold what somebody wrote."""
    for line in lines or ["nothing has been said to this run"]:
        sys.stdout.write("".join(c if c.isprintable() or c == "\n" else " " for c in line) + "\n")
