"""A finished run as it is remembered: cards, every trial with its curves, cost and outcome; to and from a table.

A row is a trial; what holds for the run stands in every row, so that any tool can query the files. What is read
is somebody else's: cards, configurations and numbers are checked, and texts are capped as in cards.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import DataCard, ModelCard
from automl_gpt_ray.errors import AutoMLGPTError
from automl_gpt_ray.journal import json_values
from automl_gpt_ray.records import Observation, Proposal, Scalar, TrialRecord, TrialState

FORMAT = 1
"""Grows when an older version of this package could not read the rows."""

MAX_REASON, MAX_VALUE = 500, 2000
LATEST = 1e11
"""Seconds since the epoch that a calendar still holds."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")

_CURVE = pa.list_(pa.struct([("step", pa.int64()), ("value", pa.float64())]))
_RUN = ("format", "run", "name", "ended_at", "package", "data", "model", "task", "metric", "mode", "max_step", "seed")
SCHEMA = pa.schema(
    [
        ("format", pa.int32()),
        ("run", pa.string()),
        ("name", pa.string()),
        ("ended_at", pa.float64()),
        ("package", pa.string()),
        ("data", pa.string()),
        ("model", pa.string()),
        ("task", pa.string()),
        ("metric", pa.string()),
        ("mode", pa.string()),
        ("max_step", pa.int64()),
        ("seed", pa.int64()),
        ("brief", pa.string()),
        ("outcome", pa.string()),
        ("trial", pa.string()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("state", pa.string()),
        ("failure", pa.string()),
        ("config", pa.string()),
        ("steps", pa.list_(pa.int64())),
        ("seconds", pa.list_(pa.float64())),
        ("curves", pa.map_(pa.string(), _CURVE)),
    ]
)
"""`brief`, `outcome` and `config` are JSON; `curves` is metric to (step, value), missing steps left out."""


class ExperienceError(AutoMLGPTError):
    """A file of a store holds no run that can be read; the message says why. Others are read all the same."""


@dataclass(frozen=True)
class Experience:
    """A finished run.

    Attributes:
        run: Its id: the same run remembered twice has one.
        name: Of the job.
        ended_at: Seconds since the epoch.
        package: Version that ran it.
        seed: Of the run.
        brief: Cards, request and objective; without the place of the data.
        trials: All of them, in order.
        outcome: What `outcome.json` holds: best trial, test scores, cost.
    """

    run: str
    name: str
    ended_at: float
    package: str
    seed: int
    brief: Brief
    trials: tuple[TrialRecord, ...]
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> DataCard:
        """The Data Card."""
        if self.brief.data is None:
            raise ExperienceError(f"the run `{self.run}` has no Data Card")
        return self.brief.data

    @property
    def model(self) -> ModelCard:
        """The Model Card."""
        if self.brief.model is None:
            raise ExperienceError(f"the run `{self.run}` has no Model Card")
        return self.brief.model

    @property
    def best(self) -> tuple[tuple[float, TrialRecord], ...]:
        """The trials with a value, best first; the earlier first on a tie."""
        objective = self.brief.objective
        measured = [(value, trial) for trial in self.trials if (value := trial.value(objective)) is not None]
        return tuple(sorted(measured, key=lambda pair: -objective.sign * pair[0]))


def to_table(experience: Experience, clean: Callable[[str], str] = str) -> pa.Table:
    """Return a run as a table of `SCHEMA`; a run without trials has one row, without a trial.

    Args:
        experience: The run.
        clean: Applied to every text: takes keys out.
    """
    brief = replace(experience.brief, recollection=None, data=_unplaced(experience.data))
    objective = brief.objective
    run = {
        "format": FORMAT,
        "run": experience.run,
        "name": experience.name,
        "ended_at": experience.ended_at,
        "package": experience.package,
        "data": experience.data.name,
        "model": experience.model.name,
        "task": experience.data.task,
        "metric": objective.metric,
        "mode": objective.mode,
        "max_step": brief.max_steps,
        "seed": experience.seed,
        "brief": _json(brief.to_dict(), clean),
        "outcome": _json(dict(experience.outcome), clean),
    }
    rows = [{**run, **_row(trial, clean)} for trial in experience.trials] or [run]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def from_table(table: pa.Table) -> list[Experience]:
    """Return the runs in a table, in order of their first rows.

    Raises:
        ExperienceError: It is not of this package's format, or something in it is not as it must be.
    """
    missing = [name for name in SCHEMA.names if name not in table.schema.names]
    if missing:
        raise ExperienceError(f"it has no column `{missing[0]}`: it was not written by this package")
    try:
        rows = table.select(SCHEMA.names).cast(SCHEMA).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ExperienceError(f"its columns have other types ({str(error).splitlines()[0]})") from None
    runs: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    try:
        return [_run(found) for found in runs.values()]
    except ExperienceError:
        raise
    except AutoMLGPTError as error:
        raise ExperienceError(" ".join(str(error).split())) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ExperienceError(f"{type(error).__name__}: {error}") from None


def _run(rows: Sequence[dict[str, Any]]) -> Experience:
    first = rows[0]
    if first["format"] is None or first["format"] > FORMAT:
        raise ExperienceError(f"it has format {first['format']}, this version reads up to {FORMAT}")
    if not ID.fullmatch(first["run"] or ""):
        raise ExperienceError(f"{first['run']!r} is no id of a run")
    if any(row[name] != first[name] for row in rows for name in _RUN):
        raise ExperienceError(f"the rows of run `{first['run']}` contradict each other")
    brief = Brief.from_dict(json.loads(first["brief"]))
    if not isinstance(brief.objective.metric, str) or brief.objective.mode not in ("max", "min"):
        raise ExperienceError("its objective is no metric with a direction")
    if not 0 <= float(first["ended_at"]) < LATEST:
        raise ExperienceError(f"it ended at {first['ended_at']}, which is no time")
    trials = tuple(_trial(row) for row in rows if row["trial"] is not None)
    outcome = json.loads(first["outcome"])
    outcome = outcome if isinstance(outcome, dict) else {}
    test = outcome.get("test") or {}
    if not isinstance(test, dict) or not all(v is None or isinstance(v, int | float) for v in test.values()):
        raise ExperienceError("its scores on test data are not numbers with names")
    told = (first["run"], str(first["name"])[:100], float(first["ended_at"]), str(first["package"])[:40])
    found = Experience(*told, int(first["seed"]), brief, trials, outcome)
    _ = found.data, found.model  # a run without cards is no use to anybody
    return found


def _row(trial: TrialRecord, clean: Callable[[str], str]) -> dict[str, Any]:
    names = sorted({name for seen in trial.observations for name in seen.metrics})
    return {
        "trial": trial.id,
        "source": trial.proposal.source,
        "reason": clean(trial.proposal.reason)[:MAX_REASON],
        "state": trial.state.value,
        "failure": trial.failure,
        "config": _json(dict(trial.config), clean),
        "steps": [seen.step for seen in trial.observations],
        "seconds": [seen.seconds for seen in trial.observations],
        "curves": [(name, [{"step": s, "value": v} for s, v in trial.curve(name)]) for name in names],
    }


def _trial(row: Mapping[str, Any]) -> TrialRecord:
    config = {str(name): _scalar(value) for name, value in json.loads(row["config"]).items()}
    curves = {name: {point["step"]: float(point["value"]) for point in curve} for name, curve in row["curves"] or ()}
    seen = tuple(
        Observation(step, {n: curve[step] for n, curve in curves.items() if step in curve}, seconds)
        for step, seconds in zip(row["steps"], row["seconds"], strict=True)
    )
    reason, source = str(row["reason"])[:MAX_REASON], str(row["source"])[:40]
    made = Proposal(f"{source}-{row['trial']}", config, reason, source)
    return TrialRecord(str(row["trial"]), made, seen, TrialState(row["state"]), row["failure"])


def _scalar(value: Any) -> Scalar:
    if isinstance(value, str):
        return value[:MAX_VALUE]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ExperienceError(f"a configuration holds {str(value)[:60]!r}, which is no value of a hyperparameter")


def _unplaced(data: DataCard) -> DataCard:
    # Where somebody's data lies is nobody else's business.
    return data if data.load is None else data.model_copy(update={"load": data.load.model_copy(update={"path": None})})


def _json(value: Mapping[str, Any], clean: Callable[[str], str]) -> str:
    # In its own order: parents stand before their children in a search space.
    return json.dumps(json_values(value, clean), ensure_ascii=False)
