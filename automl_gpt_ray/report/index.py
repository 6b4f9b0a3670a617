"""The report of a job of several tasks: a page that leads to each task's own report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from automl_gpt_ray.errors import JobError, JournalError
from automl_gpt_ray.job_events import ModelAssigned
from automl_gpt_ray.job_file import TASKS
from automl_gpt_ray.journal import FILE_NAME as JOURNAL
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.report.page import FILE_NAME, filled, write_report
from automl_gpt_ray.report.story import read_story
from automl_gpt_ray.report.summary import best, counts


def write_reports(folder: str | Path, out: str | Path | None = None) -> list[Path]:
    """Write the report of a run, or those of a job of several tasks and a page that leads to them.

    Args:
        folder: The run folder, or the folder of a job of several tasks.
        out: Where to; by default `report.html` in the folder, and tasks' own reports in their folders. Those of a
            page elsewhere lie beside it, as `STEM-TASK.html`.

    Returns:
        What was written, the page to open first.

    Raises:
        JobError: The folder holds neither.
        JournalError: A journal cannot be read.
        OSError: A report cannot be written.
    """
    place = Path(folder).expanduser().absolute()
    if not (place / TASKS).is_file():
        return [write_report(place, out)]
    assigned = _assigned(place)
    path = Path(out).expanduser().absolute() if out else place / FILE_NAME
    pages = {name: _page(place, name, path) for name in _names(place)}
    rows = [_row(place / name, assigned.get(name), page, path) for name, page in pages.items()]
    path.write_text(filled("index.html.j2", {"name": place.name, "rows": rows}, {}, scripts=()), encoding="utf-8")
    return [path, *(pages[row["name"]] for row in rows if row["link"])]


def _page(place: Path, name: str, index: Path) -> Path:
    inside = index.parent == place
    return place / name / FILE_NAME if inside else index.with_name(f"{index.stem}-{name}.html")


def _names(place: Path) -> list[str]:
    try:
        values = json.loads((place / TASKS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JournalError(f"cannot read `{place / TASKS}`: {error}") from None
    # A name that left the folder would let a file of somebody's choose where a report is written.
    return [name for name in values if Path(name).name == name] if isinstance(values, dict) else []


def _assigned(place: Path) -> dict[str, ModelAssigned]:
    if not (place / JOURNAL).is_file():
        return {}
    events = (entry.event for entry in read_journal(place / JOURNAL))
    return {event.task: event for event in events if isinstance(event, ModelAssigned)}


def _row(folder: Path, assigned: ModelAssigned | None, page: Path, index: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": folder.name,
        "link": "",
        "best": None,
        "trials": 0,
        "metric": "",
        "state": "not begun",
    }
    row |= (
        {"model": assigned.model, "by": assigned.by, "reason": assigned.reason}
        if assigned
        else {"model": "", "by": "", "reason": ""}
    )
    try:
        story = read_story(folder)
        write_report(folder, page)
    except (JobError, JournalError):
        return row
    state = "ended" if story.book.ended else "not ended"
    link = quote(page.relative_to(index.parent).as_posix())
    return row | {
        "link": link,
        "best": best(story),
        "trials": counts(story)["total"],
        "metric": story.objective.metric,
        "state": state,
    }
