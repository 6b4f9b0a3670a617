"""How well the predicted logs of real runs came true: each source beside naive ones and the most similar card's log.

    scored(Path("runs/adult-…"))        # one Scored a source

Only what was forecast before a trial had reported anything counts here: predicted logs, as AutoML-GPT means them. All
are scored on the reports of the same trials (`curves.ledger`): pinball loss of the 10, 50 and 90 % quantiles, on the
run's scale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.curves.ledger import Ledger, Score
from automl_gpt_ray.events import ResultReported, RunStarted, TrialStarted
from automl_gpt_ray.journal import FILE_NAME, read_journal
from automl_gpt_ray.recollection import RecalledRun
from automl_gpt_ray.records import LogPoint, PredictedLog

CARD = "nearest card"
NOTHING = "nothing"


@dataclass(frozen=True)
class Scored:
    """How one source did on one run, or on several.

    Attributes:
        source: Who forecast; `nearest card` copies the log of the best settings on the most similar data.
        questions: Steps forecast and reached.
        trials: Of how many trials.
        pinball: Mean loss, lower is better.
        naive: That of the better naive forecast on the same questions.
        coverage: Share of the reports within the 80 % interval.
    """

    source: str
    questions: int
    trials: int
    pinball: float
    naive: float
    coverage: float


def scored(folder: Path) -> list[Scored]:
    """Return how the predicted logs of the run in `folder` came true, by source; empty where there was none."""
    events = [entry.event for entry in read_journal(folder / FILE_NAME)]
    started = next(event for event in events if isinstance(event, RunStarted))
    brief = Brief.from_dict(started.brief)
    ledger = Ledger(brief.objective, brief.max_steps)
    recalled = brief.recollection.runs[0] if brief.recollection and brief.recollection.runs else None
    for event in events:
        if isinstance(event, TrialStarted):
            _enter(ledger, event, copied(recalled, brief) if recalled else None)
        elif isinstance(event, ResultReported):
            value = event.observation.metrics.get(brief.objective.metric)
            if value is not None:
                ledger.observe(event.trial, event.observation.step, value)
    return [_of(score) for score in ledger.scores() if score.observed == NOTHING]


def copied(run: RecalledRun, brief: Brief) -> PredictedLog | None:
    """Return the log of a run's best settings as a forecast: their median, smallest and largest value at each step.

    Steps are those of the new training in proportion. None where it optimised another metric.
    """
    if run.metric != brief.objective.metric:
        return None
    curves = [np.array(setting.curve, dtype=float) for setting in run.settings if setting.curve]
    steps = range(1, brief.max_steps + 1)
    if not curves:
        return None
    share = np.array(steps) / brief.max_steps * run.max_step
    told = np.stack([np.interp(share, curve[:, 0], curve[:, 1]) for curve in curves])
    low, middle, high = told.min(axis=0), np.median(told, axis=0), told.max(axis=0)
    points = (
        LogPoint(*each) for each in zip(steps, map(float, middle), map(float, low), map(float, high), strict=True)
    )
    return PredictedLog(brief.objective.metric, tuple(points), CARD)


def pooled(found: Iterable[Scored]) -> dict[str, dict[str, float]]:
    """Return each source's figures over several runs, weighted by questions; ready for JSON."""
    by_source: dict[str, list[Scored]] = defaultdict(list)
    for each in found:
        by_source[each.source].append(each)
    return {source: _mean(rows) for source, rows in sorted(by_source.items())}


def show(found: Iterable[Scored]) -> None:
    """Print `pooled` as a table."""
    print(
        "\n| predicted log of | steps | trials | loss | naive | within the 80 % interval |\n|---|---|---|---|---|---|"
    )
    for source, row in pooled(found).items():
        figures = " | ".join(f"{row[key]:.3f}" for key in ("pinball", "naive", "coverage"))
        print(f"| {source} | {row['questions']:.0f} | {row['trials']:.0f} | {figures} |")


def _enter(ledger: Ledger, event: TrialStarted, card: PredictedLog | None) -> None:
    log = event.proposal.predicted_log
    if log:
        ledger.forecast(event.trial, replace(log, source=log.source or event.proposal.source))
    if card:
        ledger.forecast(event.trial, card)


def _of(score: Score) -> Scored:
    naive = min(score.naive.values())
    return Scored(score.source, score.questions, score.trials, score.pinball, naive, score.coverage)


def _mean(rows: Sequence[Scored]) -> dict[str, float]:
    weights = np.array([row.questions for row in rows], dtype=float)
    told = {key: np.array([getattr(row, key) for row in rows]) for key in ("pinball", "naive", "coverage")}
    figures = {key: float(np.round(values @ weights / weights.sum(), 4)) for key, values in told.items()}
    return {"questions": int(weights.sum()), "trials": sum(row.trials for row in rows), **figures}
