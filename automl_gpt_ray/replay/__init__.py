"""Replay: every decision of a run derived again from its journal, with no call of any model.

    report = replay("runs/iris-20250101-120000")
    report.different                      # 0: it decided from what it wrote down and nothing else
    report.differences                    # the first decisions that came out otherwise

Proposals, prompts, what replies were read as, whose turn it was, what was dropped, trust and the
outcome. Reads the journal twice, writes nothing, and keeps no more of the past than is needed next.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.events import RunEnded
from automl_gpt_ray.job_file import run_in
from automl_gpt_ray.journal import FILE_NAME, json_values, scan_journal
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.outcome import Outcome
from automl_gpt_ray.replay.checks import Checks
from automl_gpt_ray.replay.course import Course
from automl_gpt_ray.replay.ending import KIND, compare_outcome, recompose, saved_outcome
from automl_gpt_ray.replay.report import Findings, Report
from automl_gpt_ray.replay.survey import survey
from automl_gpt_ray.scorekeeper import Scorekeeper

__all__ = ["Report", "replay"]

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def replay(run_dir: str | Path) -> Report:
    """Derive every decision of a run again and say which came out the same.

    Args:
        run_dir: Folder of the run, or its journal; the folder of a job of several tasks where it holds one run.

    Raises:
        JobError: There is no journal of a run, or there are those of several.
        JournalError: It cannot be read.
    """
    path = Path(run_dir)
    if path.is_dir() or path.name == FILE_NAME:  # a job's own journal says what was assigned, and decides nothing
        path = run_in(path if path.is_dir() else path.parent, "replay") / FILE_NAME
    if not path.is_file():
        raise _no_run("must be the folder of a run, or its journal", run_dir)
    seen = survey(path)
    if not seen.events:
        raise _no_run("must hold the journal of a run; no event can be read here", path)
    findings = Findings(_plain(partial(redact, secrets=secrets_in())))
    _tell_again(path, Course(seen.last_use), findings)
    return Report(str(path), seen.events, findings.tallies, tuple(findings.differences), seen.notes)


def _no_run(rule: str, got: str | Path) -> JobError:
    return JobError("replay", [Problem("RUN_DIR", rule, str(got), "give the folder that `run` named")])


def _tell_again(path: Path, course: Course, findings: Findings) -> None:
    checks, saved = Checks(course, findings), saved_outcome(path.parent)
    ending: tuple[int, Outcome | None] | None = None
    keeper: Scorekeeper | None = None
    for entry in scan_journal(path):
        if entry is None:
            continue
        checks.feed(entry)
        if keeper is None and course.book.started:
            keeper = Scorekeeper(course.book.objective, course.book.started.max_step)
        if keeper:
            keeper.note(entry.event)
        if isinstance(entry.event, RunEnded):
            known = saved is not None and course.whole
            told = (entry.event.reason, keeper.scores() if keeper else ())
            ending = entry.seq, recompose(course.book, saved, *told) if saved and known else None
    checks.finish()
    if ending is None:
        return
    seq, derived = ending
    if saved is None or derived is None:
        why = "events before it cannot be read" if saved else "no outcome was saved beside the journal"
        findings.not_derivable(KIND, why)
    else:
        compare_outcome(findings, seq, saved, derived)


def _plain(clean: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda record: json_values(_ANY.dump_python(record, mode="json"), clean)
