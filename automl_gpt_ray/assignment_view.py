"""Assignments and the outcomes of several tasks, as a person sees them in the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from automl_gpt_ray.assignment.choice import Assignment, Candidate
from automl_gpt_ray.assignment.registry import Registry
from automl_gpt_ray.outcome import Outcome

SHOWN = 3


def show_assignments(console: Console, assignments: Sequence[Assignment], registry: Registry) -> None:
    """Print which model each task gets and why, what else could have been, and what cannot."""
    table = Table("task", "model", "chosen by", "why", "alternatives", title="assignment", show_lines=True)
    for found in assignments:
        others = "\n".join(f"{c.model}: {c.reason}" for c in found.alternatives[:SHOWN])
        more = len(found.alternatives) - SHOWN
        others += f"\nand {more} more" if more > 0 else ""
        table.add_row(*map(escape, (found.task, found.model or "none", found.by, found.reason, others)))
    console.print(table)
    refused = Table("task", "refused because", "models", title="refused by rule")
    for task, reason, models in _grouped(assignments):
        refused.add_row(*map(escape, (task, reason, models)))
    if refused.row_count:
        console.print(refused)
    for file, problem in registry.broken.items():
        console.print(f"not available: {file}: {problem}", style="yellow", markup=False)
    for problem in dict.fromkeys(found.problem for found in assignments if found.problem):
        console.print(f"WARNING: {problem}; the rules chose instead", style="yellow", markup=False)


def show_tasks(console: Console, outcomes: Mapping[str, Outcome], best: Collection[str] = ()) -> None:
    """Print one line a run: what its best trial reached, and where it lies; `best` marks the model to take.

    Args:
        console: Where to.
        outcomes: Folder of a run, relative to the job's, to its outcome.
        best: Folders of the best run of each task on which several models were tried.
    """
    table = Table("task", "metric", "validation", "test", "trials", title="tasks")
    table.add_column("run folder", overflow="fold")  # to be copied, so never cut short
    for name, outcome in outcomes.items():
        scores = (found.get(outcome.metric) if found else None for found in (outcome.validation, outcome.test))
        cells = ["-" if score is None else f"{score:.4f}" for score in scores]
        label = f"{name} (best model)" if name in best else name
        table.add_row(
            escape(label), escape(outcome.metric), *cells, str(outcome.trials["total"]), escape(outcome.run_dir)
        )
    console.print(table)


def to_json(assignments: Sequence[Assignment]) -> list[dict[str, object]]:
    """Return the assignments as JSON values."""
    return [
        {
            "task": found.task,
            "model": found.model or None,
            "reason": found.reason,
            "by": found.by,
            "alternatives": _told(found.alternatives),
            "rejected": _told(found.rejected),
            "problem": found.problem,
        }
        for found in assignments
    ]


def _told(candidates: Sequence[Candidate]) -> list[dict[str, object]]:
    return [{"model": c.model, "reason": c.reason} for c in candidates]


def _grouped(assignments: Sequence[Assignment]) -> list[tuple[str, str, str]]:
    """Return (task, first rule that refuses, models), one line for all models that it refuses."""
    models: dict[tuple[str, str], list[str]] = {}
    for found in assignments:
        for candidate in found.rejected:
            models.setdefault((found.task, candidate.reason.partition(";")[0]), []).append(candidate.model)
    return [(task, reason, ", ".join(names)) for (task, reason), names in models.items()]
