"""The trials of a run as a table, a row each: for pandas, Arrow, or any tool that reads files.

    frame = trials_table("runs/demo-…").to_pandas()
    frame.sort_values("accuracy").tail()

Read from the journal alone, so a run that still goes on has one too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.journal import json_values
from automl_gpt_ray.outcome import best_step
from automl_gpt_ray.records import TrialRecord
from automl_gpt_ray.report.story import Story, read_story

CURVE = pa.list_(pa.struct([("step", pa.int64()), ("value", pa.float64())]))


def trials_table(folder: str | Path) -> pa.Table:
    """Return the trials of a run, in order of their start.

    Columns: `trial` (its number), `id`, `source`, `reason`, `state`, `failure`, `best_step`, `last_step`, `seconds`
    (of training), `began` (seconds since the run began), `parent` (number of the trial it is a clone of),
    `revisions`, `predicted_final`, `predicted_low`, `predicted_high` (what was forecast of the objective before it
    began), a column `config/NAME` for each hyperparameter, as it was at the best step, a column of its own name for
    each metric at the best step, and `curve`, the objective as (step, value). What is unknown is null; NaN is NaN.

    Args:
        folder: The run folder.

    Raises:
        JobError: The folder holds no run.
        JournalError: Its journal cannot be read.
    """
    story = read_story(folder)
    rows = [_row(story, trial) for trial in story.history.trials]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column(name, [row.get(name) for row in rows]) for name in names}
    return pa.table(columns)


def write_trials(folder: str | Path, out: str | Path) -> int:
    """Write the table of trials to a file and return its number of rows.

    Args:
        folder: The run folder.
        out: A file that ends in `.parquet`, `.csv` (without `curve`) or `.json` (a list of objects).

    Raises:
        JobError: The folder holds no run, or the file's ending is another.
        JournalError: Its journal cannot be read.
        OSError: The file cannot be written.
    """
    path = Path(out).expanduser()
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        rule = f"must end in {', '.join(_WRITERS)}"
        raise JobError("trials", [Problem("--out", rule, str(out), "rename the file")])
    table = trials_table(folder)
    write(table, path)
    return int(table.num_rows)


def _row(story: Story, trial: TrialRecord) -> dict[str, Any]:
    objective, made, parent = story.objective, trial.proposal, trial.lineage.parent
    value = trial.value(objective)
    step = None if value is None else best_step(trial, objective)
    seen = next((o.metrics for o in trial.observations if o.step == step), {})
    log = made.predicted_log if made.predicted_log and made.predicted_log.metric == objective.metric else None
    row: dict[str, Any] = {
        "trial": story.numbers[trial.id],
        "id": trial.id,
        "source": made.source,
        "reason": made.reason,
        "state": trial.state.value,
        "failure": trial.failure,
        "best_step": step,
        "last_step": trial.last_step,
        "seconds": trial.seconds,
        "began": story.begun.get(trial.id),
        "parent": story.numbers.get(parent.trial) if parent else None,
        "revisions": len(trial.lineage.applied),
        "predicted_final": log.final.value if log else None,
        "predicted_low": log.final.low if log else None,
        "predicted_high": log.final.high if log else None,
    }
    row |= {f"config/{name}": v for name, v in trial.lineage.config(made.config, step).items()}
    row |= {name if name not in row else f"metric/{name}": v for name, v in seen.items()}
    return row | {"curve": [{"step": s, "value": v} for s, v in trial.curve(objective.metric)]}


def _column(name: str, values: list[Any]) -> pa.Array:
    if name == "curve":
        return pa.array([value or [] for value in values], CURVE)
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        values = [None if value is None else float(value) for value in values]
    elif len(kinds) > 1:  # a choice between values of several types
        values = [None if value is None else json.dumps(value) for value in values]
    return pa.array(values, from_pandas=False)


def _write_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path)


def _write_csv(table: pa.Table, path: Path) -> None:
    import pyarrow.csv as csv

    csv.write_csv(table.drop_columns(["curve"]) if "curve" in table.column_names else table, path)


def _write_json(table: pa.Table, path: Path) -> None:
    rows = json_values(table.to_pylist(), str)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


_WRITERS: Mapping[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".json": _write_json,
}
