"""`automl-gpt-ray trials`, `export` and `schema`: results and formats for the tools that people have."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from automl_gpt_ray.errors import JobError, Problem, reason_of

RunDir = Annotated[str, typer.Argument(help="Folder or URI of a run.", show_default=False)]
SHOWN = 30


class Format(StrEnum):
    """What a trial can be exported as."""

    HF = "hf"
    XGBOOST = "xgboost"
    YAML = "yaml"
    JSON = "json"


class Schema(StrEnum):
    """What `schema` prints."""

    JOB = "job"
    DATA_CARD = "data-card"
    MODEL_CARD = "model-card"
    REFERENCE = "reference"


def trials(
    run_dir: RunDir,
    out: Annotated[Path | None, typer.Option(help="File to write: .parquet, .csv or .json.")] = None,
) -> None:
    """Show the trials of a run, best first, or write all of them to a table."""
    from automl_gpt_ray.jobs.fetching import at_hand
    from automl_gpt_ray.trials_table import write_trials

    with at_hand(run_dir) as folder:
        if out is None:
            _show(folder)
            return
        try:
            count = write_trials(folder, out)
        except OSError as error:
            rule = f"must be a file that can be written ({reason_of(error)})"
            raise JobError("trials", [Problem("--out", rule, str(out), "name another")]) from None
    sys.stdout.write(f"{count} trials written to {out}\n")


def export(
    run_dir: RunDir,
    form: Annotated[Format, typer.Option("--format", help="hf: TrainingArguments; xgboost: parameters.")] = Format.YAML,
    trial: Annotated[str | None, typer.Option(help="Number or id of a trial; default: the best.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: print it.")] = None,
) -> None:
    """Print the best trial as something to paste: data, or Python that makes TrainingArguments or XGBoost's params."""
    from automl_gpt_ray.export import export as exported
    from automl_gpt_ray.jobs.fetching import at_hand

    with at_hand(run_dir) as folder:
        text = exported(folder, form.value, trial).rstrip("\n") + "\n"
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        rule = f"must be a file that can be written ({reason_of(error)})"
        raise JobError("export", [Problem("--out", rule, str(out), "name another")]) from None


def schema(kind: Annotated[Schema, typer.Argument(help="Which.", show_default=False)]) -> None:
    """Print the JSON schema of a job file or a card, for editors; or the reference of all three, as Markdown."""
    if kind is Schema.REFERENCE:
        from automl_gpt_ray.reference import reference

        sys.stdout.write(reference())
        return
    from automl_gpt_ray.schema import schema as schema_of

    sys.stdout.write(json.dumps(schema_of(kind.value), indent=2, ensure_ascii=False) + "\n")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (trials, export, schema):
        app.command()(command)


def _show(run_dir: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from automl_gpt_ray.report.story import read_story

    story = read_story(run_dir)
    objective = story.objective
    table = Table("trial", "by", "state", _plain(objective.metric), "steps", "seconds", "why")
    worst = float("-inf") if objective.mode == "max" else float("inf")
    values = [(trial.value(objective), trial) for trial in story.history.trials]
    ranked = sorted(values, key=lambda pair: -objective.sign * (worst if pair[0] is None else pair[0]))
    for value, trial in ranked[:SHOWN]:
        shown = "-" if value is None else f"{value:.5g}"
        cells = (str(story.numbers[trial.id]), trial.proposal.source, trial.failure or trial.state.value, shown)
        table.add_row(*map(_plain, cells), str(trial.last_step), f"{trial.seconds:.1f}", _plain(trial.proposal.reason))
    console = Console(highlight=False)
    console.print(table)
    if len(values) > SHOWN:
        console.print(f"and {len(values) - SHOWN} more: --out trials.csv holds all of them")


def _plain(text: str) -> str:
    """Return a text of a run, which anybody may have written, as rich shows it letter by letter."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else " " for c in text))
