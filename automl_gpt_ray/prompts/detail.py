"""How much a prompt tells, and in which order it tells less when it would be too long."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Detail:
    """How many of each are shown; none of them grows with the number of trials.

    Attributes:
        best: Best trials.
        latest: Latest ended trials.
        running: Trials in training.
        queued: Settings that wait to be trained.
        failed_each: Examples of each class of failure.
        failures: Classes of failure.
        contrasts: Hyperparameters whose good and bad ranges are shown; 0 for no insight at all.
        columns: Columns, splits and further metrics of the Data Card and the request.
        classes: Class names.
        text: Characters of one free text.
        recalled: Earlier runs on similar data, and settings of each.
    """

    best: int = 6
    latest: int = 5
    running: int = 8
    queued: int = 8
    failed_each: int = 2
    failures: int = 6
    contrasts: int = 24
    columns: int = 40
    classes: int = 40
    text: int = 1500
    recalled: int = 3


FULL = Detail()


def _ladder() -> tuple[Detail, ...]:
    steps: tuple[dict[str, int], ...] = (
        {"latest": 2},
        {"recalled": 2},
        {"best": 3},
        {"contrasts": 6},
        {"contrasts": 0},
        {"recalled": 1},
        {"running": 3, "queued": 3, "failed_each": 1, "failures": 3},
        {"columns": 10, "classes": 10, "text": 300},
        {"latest": 0, "best": 1, "running": 1, "queued": 1, "failures": 0, "columns": 3, "classes": 3, "text": 100},
        {"recalled": 0},
    )
    rungs = [FULL]
    for step in steps:
        rungs.append(replace(rungs[-1], **step))
    return tuple(rungs)


LADDER = _ladder()
"""From everything to the least: fewer latest, fewer best, less and then no insight, fewer in training, waiting
and failed, short cards, and last one trial of each kind."""
