"""`automl-gpt-ray experience`: what is remembered, in the terminal."""

from __future__ import annotations

import json as json_text
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automl_gpt_ray.errors import JobError, Problem

if TYPE_CHECKING:
    from automl_gpt_ray.experience.run_record import Experience
    from automl_gpt_ray.experience.store import ExperienceStore

app = typer.Typer(no_args_is_help=True, help="What finished runs left behind for later ones.")

VARIABLE = "AUTOML_GPT_RAY_EXPERIENCE"
SHOWN = 5
Store = Annotated[
    str | None,
    typer.Option(help=f"Folder or URI of the store; default: ${VARIABLE}, else runs/experience.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[str, typer.Argument(help="Id of a run, as `list` shows it; its beginning is enough.")]


@app.command("list")
def list_runs(store: Store = None, json: Json = False) -> None:
    """List the runs in the store."""
    found, problems = store_at(store).all()
    found.sort(key=lambda run: (run.ended_at, run.run))
    if json:
        _print_json([_line(run) for run in found])
    else:
        _show_table(found)
    _tell(problems)


@app.command()
def show(run: Run, store: Store = None, json: Json = False) -> None:
    """Show a run: its cards, its best settings with their logs, what it cost."""
    found = _find(store_at(store), run)
    if json:
        _print_json(_line(found) | {"brief": found.brief.to_dict(), "outcome": dict(found.outcome)})
        return
    write = sys.stdout.write
    for name, value in _line(found).items():
        write(f"{name}: {value}\n")
    write(f"description: {' '.join(found.data.description.split())}\nbest settings:\n")
    for value, trial in found.best[:SHOWN]:
        log = ", ".join(f"{step}: {v:.4g}" for step, v in trial.curve(found.brief.objective.metric))
        config = json_text.dumps(dict(trial.config), ensure_ascii=False)
        write(f"  {value:.4g} ({trial.proposal.source}) {config}\n    log {{{log}}}\n")


@app.command()
def export(
    file: Annotated[str, typer.Argument(help="Parquet file to write; or a URI.", show_default=False)],
    runs: Annotated[list[str] | None, typer.Argument(help="Ids; default: all.", show_default=False)] = None,
    store: Store = None,
) -> None:
    """Write runs into one parquet file, for another machine or any tool: a row a trial."""
    from automl_gpt_ray.experience.store import write_parquet

    source = store_at(store)
    chosen, problems = ([_find(source, run) for run in runs], []) if runs else source.all()
    _tell(problems)
    if not chosen:
        raise JobError("experience export", [Problem("--store", "must hold a run", source.place, "name another store")])
    write_parquet(file, chosen)
    sys.stdout.write(f"{len(chosen)} runs written to {file}\n")


@app.command("import")
def import_runs(
    sources: Annotated[
        list[str], typer.Argument(help="Parquet files that `export` wrote, stores, or run folders.", show_default=False)
    ],
    store: Store = None,
) -> None:
    """Take runs into the store; one that is there already is replaced."""
    target = store_at(store)
    found = [run for source in sources for run in _read(source)]
    for run in found:
        target.append(run)
    sys.stdout.write(f"{len(found)} runs taken into {target.place}\n")


def store_at(place: str | None) -> ExperienceStore:
    """Return the store at `place`, by default where jobs keep theirs."""
    from automl_gpt_ray.experience.store import ExperienceStore
    from automl_gpt_ray.experience_options import ExperienceOptions, place_of

    # That `runs` keeps nothing by default does not mean that nothing can be looked at.
    where = place or place_of(ExperienceOptions(), "runs", os.environ.get(VARIABLE))
    if where is None:
        remedy = "name it: --store FOLDER"
        raise JobError("experience", [Problem("--store", f"must be given, for ${VARIABLE} is off", "", remedy)])
    return ExperienceStore(where)


def _tell(problems: list[str]) -> None:
    for problem in problems:
        sys.stderr.write(f"cannot be read: {problem}\n")


def _find(store: ExperienceStore, run: str) -> Experience:
    ids = store.ids()
    matches = [run] if run in ids else [found for found in ids if found.startswith(run)]
    if len(matches) != 1:
        rule = f"must name one run in `{store.place}`, names {len(matches)}"
        raise JobError("experience", [Problem("RUN", rule, run, "see `automl-gpt-ray experience list`")])
    return store.read(matches[0])


def _read(source: str) -> list[Experience]:
    from automl_gpt_ray.experience.gathering import experience_of
    from automl_gpt_ray.experience.store import ExperienceStore, read_parquet
    from automl_gpt_ray.journal import FILE_NAME

    if (Path(source) / FILE_NAME).is_file():
        return [experience_of(source)]
    if source.partition("?")[0].endswith(".parquet"):
        return read_parquet(source)
    found, problems = ExperienceStore(source).all()
    if problems or not found:
        rule = "must be a parquet file, a store or the folder of a run"
        raise JobError("experience import", [Problem("SOURCE", rule, problem) for problem in problems or [source]])
    return found


def _line(run: Experience) -> dict[str, Any]:
    best, objective = run.best, run.brief.objective
    return {
        "run": run.run,
        "ended": datetime.fromtimestamp(run.ended_at, UTC).isoformat(timespec="seconds"),
        "data": run.data.name,
        "model": run.model.name,
        "metric": objective.metric,
        "best": best[0][0] if best else None,
        "trials": len(run.trials),
        "train_seconds": round(sum(trial.seconds for trial in run.trials), 1),
        "test": (run.outcome.get("test") or {}).get(objective.metric),
    }


def _show_table(runs: list[Experience]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("run", "ended", "data", "model", "metric", "best", "test", "trials", "training s")
    for column in table.columns:
        column.overflow = "fold"  # an id that is cut could not be copied
    table.columns[0].no_wrap = True
    for run in runs:
        values = _line(run)
        cells = [values["run"], values["ended"][:10], *(values[n] for n in ("data", "model", "metric"))]
        scores = ["-" if values[n] is None else f"{float(values[n]):.4f}" for n in ("best", "test")]
        table.add_row(*map(escape, cells), *scores, str(values["trials"]), f"{values['train_seconds']:g}")
    Console(highlight=False).print(table)


def _print_json(value: Any) -> None:
    sys.stdout.write(json_text.dumps(value, indent=2, ensure_ascii=False) + "\n")
