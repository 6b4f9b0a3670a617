"""The outcome of a run: what was found, what it cost, and where it lies."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from automl_gpt_ray.audit import Audit, audit_of
from automl_gpt_ray.book import Book
from automl_gpt_ray.budget import Budget, Used
from automl_gpt_ray.curves.ledger import Score
from automl_gpt_ray.errors import JobError, Problem, reason_of
from automl_gpt_ray.limits import Limit
from automl_gpt_ray.lineage import Applied
from automl_gpt_ray.pareto import LimitCheck, ParetoRow, check_limits, pareto_front
from automl_gpt_ray.records import Config, History, Objective, PredictedLog, TrialRecord, TrialState

FILE_NAME = "outcome.json"
WARNINGS = frozenset({"outage", "recovered", "budget", "fail"})
"""Decisions on the run that a reader must know of."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        name: Of the job.
        metric: Optimised metric.
        mode: `max` or `min`.
        best_trial: Id of the best trial; None when no trial reported a value.
        best_config: Its configuration.
        best_source: Who proposed it.
        best_reason: Why it was proposed.
        best_step: Step of the best value; the best checkpoint is from there.
        validation: Its validation and training metrics at that step.
        test: Metrics on held-out test data, None where they were not measured; `test_note` says why.
        test_note: Why `test` is None.
        predicted_log: What was forecast for the best trial, None where nothing was.
        real_log: (step, value) it really reported.
        trials: Number of trials by end state, `total` included.
        sources: Number of trials by who proposed them.
        failures: Number of failed trials by class.
        steps: Training steps spent, over all trials.
        train_seconds: Training seconds spent, over all trials.
        wall_seconds: From start to end of the run.
        llm_calls: Replies of the language model.
        llm_failures: Calls without a usable reply.
        llm_seconds: Time the language model took.
        prompt_tokens: Tokens sent.
        completion_tokens: Tokens received.
        warnings: What a reader must know: outages, notes of the run.
        ended_by: What ended the run.
        run_dir: Where everything lies.
        journal: The journal.
        checkpoint: Folder of the chosen model's checkpoint, None where the trainable made none.
        refitted: Whether that checkpoint was trained on training and validation data together.
        failed: Whether an outage ended the run, as `llm.on_outage: fail` asks.
        budget: Kind to limit, of what was limited.
        used: Kind to what the search used; `money` (US dollars) only where the job has prices.
        forecasts: Each source's score, by how much it had observed.
        audit: How often pausing was wrong; None where nothing was paused.
        limits: How the best trial stands against each limit of the request.
        pareto: What the trials trade between the objective and the limited quantities, best first.
        revisions: What was changed about trials as they trained, by trial and in order.
    """

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="strings")

    name: str
    metric: str
    mode: str
    best_trial: str | None
    best_config: Config | None
    best_source: str | None
    best_reason: str | None
    best_step: int | None
    validation: Mapping[str, float] | None
    test: Mapping[str, float] | None
    test_note: str
    predicted_log: PredictedLog | None
    real_log: tuple[tuple[int, float], ...]
    trials: Mapping[str, int]
    sources: Mapping[str, int]
    failures: Mapping[str, int]
    steps: int
    train_seconds: float
    wall_seconds: float
    llm_calls: int
    llm_failures: int
    llm_seconds: float
    prompt_tokens: int
    completion_tokens: int
    warnings: tuple[str, ...]
    ended_by: str
    run_dir: str
    journal: str
    checkpoint: str | None
    refitted: bool
    failed: bool = False
    budget: Mapping[str, float] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)
    forecasts: tuple[Score, ...] = ()
    audit: Audit | None = None
    limits: tuple[LimitCheck, ...] = ()
    pareto: tuple[ParetoRow, ...] = ()
    revisions: tuple[Applied, ...] = ()

    def to_json(self) -> str:
        """Return the outcome as indented JSON; NaN is written as text."""
        return json.dumps(json.loads(_ADAPTER.dump_json(self)), indent=2, ensure_ascii=False)

    def save(self, folder: Path) -> Path:
        """Write `outcome.json` into `folder`, whole or not at all, and return its path.

        Raises:
            JobError: It cannot be written; the journal has what it says.
        """
        path = folder / FILE_NAME
        draft = path.with_suffix(".tmp")
        try:
            draft.write_text(self.to_json() + "\n", encoding="utf-8")
            os.replace(draft, path)  # noqa: PTH105 - atomic, and Path.replace reads as a text operation
        except OSError as error:
            rule = f"must be a file that can be written ({reason_of(error)})"
            remedy = f"free some room and resume: `automl-gpt-ray run --resume {self.run_dir}`"
            raise JobError(self.name, [Problem("run_dir", rule, str(path), remedy)]) from None
        return path


_ADAPTER: TypeAdapter[Outcome] = TypeAdapter(Outcome)


def load_outcome(folder: str | Path) -> Outcome:
    """Return the outcome saved in a run folder."""
    return _ADAPTER.validate_json((Path(folder) / FILE_NAME).read_text(encoding="utf-8"))


def summarise(
    book: Book,
    *,
    name: str,
    run_dir: str | Path,
    wall_seconds: float,
    ended_by: str,
    journal: Path,
    checkpoint: str | None = None,
    refitted: bool = False,
    test: Mapping[str, float] | None = None,
    test_note: str = "",
    failed: bool = False,
    budget: Budget | None = None,
    used: Used | None = None,
    forecasts: Sequence[Score] = (),
) -> Outcome:
    """Compose the outcome from the book of a run and what only its runner knows."""
    history, spent = book.history(), book.spending
    best, objective = history.best, history.objective
    return Outcome(
        name=name,
        metric=objective.metric,
        mode=objective.mode,
        **_best_fields(book),
        test=test,
        test_note=test_note,
        predicted_log=best.proposal.predicted_log if best else None,
        real_log=best.curve(objective.metric) if best else (),
        trials={"total": len(history.trials), **{s.value: len(history.in_state(s)) for s in TrialState}},
        sources=dict(Counter(t.proposal.source for t in history.trials)),
        failures=dict(Counter(t.failure or "error" for t in history.in_state(TrialState.FAILED))),
        steps=sum(t.lineage.steps(t.last_step) for t in history.trials),
        train_seconds=round(sum(t.seconds for t in history.trials), 3),
        wall_seconds=round(wall_seconds, 3),
        llm_calls=spent.calls,
        llm_failures=spent.failures,
        llm_seconds=round(spent.seconds, 3),
        prompt_tokens=spent.usage.prompt_tokens,
        completion_tokens=spent.usage.completion_tokens,
        warnings=(*(d.reason for d in book.decisions if d.action in WARNINGS), *_silent(book), *_unkept(history)),
        ended_by=ended_by,
        run_dir=str(run_dir),
        journal=str(journal),
        checkpoint=checkpoint,
        refitted=refitted,
        failed=failed,
        budget=budget.limits if budget else {},
        used={kind: value for kind, value in asdict(used).items() if value is not None} if used else {},
        forecasts=tuple(forecasts),
        audit=audit_of(history, book.decisions),
        limits=check_limits(history),
        pareto=pareto_front(history),
        revisions=tuple(applied for trial in history.trials for applied in trial.lineage.applied),
    )


def _silent(book: Book) -> list[str]:
    """Return a warning where the language model answered nothing in the whole run and no outage tells so.

    An outage is noted once a call has failed; one that hangs may outlast a short run.
    """
    asked = book.calls.unanswered + book.spending.failures
    if book.spending.calls or not asked or any(decision.action in WARNINGS for decision in book.decisions):
        return []
    times = f"{asked} time{'s' if asked != 1 else ''}"
    return [f"the language model was asked {times} and did not answer: no trial of this run is its own"]


def _unkept(history: History) -> list[str]:
    """Return a warning for each limit of the request that the best trial breaks or does not tell about."""
    found = []
    for check in check_limits(history):
        limit = str(Limit(check.name, check.low, check.high))
        if check.kept is None:
            found.append(f"`{limit}` cannot be judged: the trainable does not report `{check.name}`")
        elif not check.kept:
            found.append(f"no trial keeps to all limits: the best of them breaks `{limit}` ({check.measured:.4g})")
    return found


def best_step(trial: TrialRecord, objective: Objective) -> int:
    """Return the step at which a trial had its best value; the last on a tie, whose checkpoint Ray keeps."""
    value = trial.value(objective)
    return next(o.step for o in reversed(trial.observations) if o.metrics.get(objective.metric) == value)


def _best_fields(book: Book) -> dict[str, Any]:
    history = book.history()
    best = history.best
    if best is None:
        names = ("best_trial", "best_config", "best_source", "best_reason", "best_step", "validation")
        return dict.fromkeys(names)
    step = best_step(best, history.objective)
    point = next(o for o in best.observations if o.step == step)
    return {
        "best_trial": best.id,
        "best_config": dict(best.lineage.config(best.proposal.config, step)),
        "best_source": best.proposal.source,
        "best_reason": best.proposal.reason,
        "best_step": point.step,
        "validation": dict(point.metrics),
    }
