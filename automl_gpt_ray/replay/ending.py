"""The outcome of a run, composed again from its journal and compared with the one that was saved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from automl_gpt_ray.book import Book
from automl_gpt_ray.curves.ledger import Score
from automl_gpt_ray.outcome import FILE_NAME, Outcome, load_outcome, summarise
from automl_gpt_ray.replay.report import Findings

KIND = "outcome"


def recompose(book: Book, saved: Outcome, ended_by: str, forecasts: Sequence[Score]) -> Outcome:
    """Return the outcome of a run; what only its runner knew is taken from `saved`."""
    derived = summarise(
        book,
        name=saved.name,
        run_dir=Path(saved.run_dir),
        wall_seconds=saved.wall_seconds,
        ended_by=ended_by,
        journal=Path(saved.journal),
        checkpoint=saved.checkpoint,
        refitted=saved.refitted,
        test=book.tested.metrics if book.tested else None,
        test_note=saved.test_note,
        forecasts=forecasts,
    )
    return replace(derived, failed=saved.failed, budget=saved.budget, used=saved.used)


def saved_outcome(folder: Path) -> Outcome | None:
    """Return the outcome in a run folder, None where there is none that can be read."""
    try:
        return load_outcome(folder)
    except (OSError, ValueError):
        return None


def compare_outcome(findings: Findings, seq: int, saved: Outcome, derived: Outcome) -> None:
    """Count the outcome as the same or different, by its JSON values."""
    findings.compare(KIND, seq, FILE_NAME, json.loads(saved.to_json()), json.loads(derived.to_json()))
