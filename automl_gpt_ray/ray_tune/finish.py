"""The end of a run: the best configuration refitted where the job wants it, scored on test data, reported."""

from __future__ import annotations

import time
from typing import Any

from automl_gpt_ray.book import Book
from automl_gpt_ray.budget import INTERRUPTED
from automl_gpt_ray.events import RunEnded, Tested
from automl_gpt_ray.experience.keeping import remember
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.outcome import Outcome, summarise
from automl_gpt_ray.ray_tune.cluster import connect
from automl_gpt_ray.ray_tune.failure import classify
from automl_gpt_ray.ray_tune.prepared import Prepared
from automl_gpt_ray.ray_tune.progress import Tell
from automl_gpt_ray.ray_tune.refit import refit
from automl_gpt_ray.ray_tune.run_place import RunPlace
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.trial import score
from automl_gpt_ray.records import TrialRecord
from automl_gpt_ray.scorekeeper import Scorekeeper


def finish(prepared: Prepared, searcher: LLMSearch, place: RunPlace, began: float, tell: Tell | None) -> Outcome:
    """Score the best trial, write down what came of the run, and return it."""
    book, limits = searcher.book, searcher.limits
    used, ended_by = limits.used(), limits.ended_by
    best = book.history().best
    checkpoint = best_checkpoint(book, best, place) if best else None
    if best and checkpoint:
        connect(prepared.loaded)  # a run that was resumed after its last trial is not connected yet
    refitted = None
    if best and checkpoint and prepared.loaded.job.refit and ended_by != INTERRUPTED:  # whoever ends it wants no more
        refitted = refit(prepared, book, best, place, tell)
    checkpoint = refitted or checkpoint
    test, note = _test(prepared, best, place.checkpoint(checkpoint) if checkpoint else None, tell)
    if test is not None and best is not None:
        book.record(Tested(best.id, test))
    scored = book.history().objective, book.history().max_step
    with book.lock:  # a late reply must not come between the end and its summary
        book.record(RunEnded(ended_by))
        outcome = summarise(
            book,
            name=prepared.loaded.job.name,
            run_dir=place.storage.name if place.mirrored else place.folder,
            wall_seconds=time.time() - began,
            ended_by=ended_by,
            failed=limits.failed,
            budget=prepared.loaded.job.limits,
            used=used,
            journal=searcher.book_path,
            checkpoint=place.named(checkpoint) if checkpoint else None,
            refitted=refitted is not None,
            test=test,
            test_note=note,
            forecasts=Scorekeeper.of((e.event for e in read_journal(searcher.book_path)), *scored).scores(),
        )
    outcome.save(place.folder)
    remember(prepared.loaded.job, place.folder, tell)
    return outcome


def best_checkpoint(book: Book, trial: TrialRecord, place: RunPlace) -> str | None:
    """Return the trial's checkpoint of the best value among those still there; the latest on a tie, as Ray does."""
    objective, known = book.objective, book.checkpoints(trial.id).items()
    kept = {step: here for step, path in known if (here := place.found(path))}
    values = dict(trial.curve(objective.metric))
    top = objective.best(values.get(step) for step in kept)
    return next((path for step, path in sorted(kept.items(), reverse=True) if values.get(step) == top), None)


def _test(
    prepared: Prepared, best: TrialRecord | None, checkpoint: Any, tell: Tell | None
) -> tuple[dict[str, float] | None, str]:
    """Score the best checkpoint on held-out test data, once; return (metrics, why there are none)."""
    if best is None:
        return None, "no trial reported a value"
    if prepared.evaluate is None:
        return None, f"`{prepared.loaded.model.trainable}` has no `evaluate` function beside it"
    if checkpoint is None:
        return None, "the best trial left no checkpoint"
    if tell:
        tell("scoring the best checkpoint on held-out test data …")
    try:
        job = prepared.loaded.job
        return score(prepared.evaluate, best.config, prepared.task, checkpoint, job.resources), ""
    except Exception as error:  # noqa: BLE001 - the search is paid for: report it even if scoring fails
        kind, message = classify(error)
        return None, f"scoring on test data failed ({kind}): {message}"
