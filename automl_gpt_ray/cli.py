"""The command line: a thin layer over the public Python API.

Heavy imports happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from automl_gpt_ray import __version__, adopt_command, jobs_command, report_command, result_commands
from automl_gpt_ray.errors import AutoMLGPTError, InputError, JobError, Problem
from automl_gpt_ray.exit_codes import exit_code
from automl_gpt_ray.streams import speak_utf8

if TYPE_CHECKING:
    from rich.console import Console

    from automl_gpt_ray.config import LoadedJob

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Tune models on Ray: a language model, a classical optimiser and early metrics share the loop. Try `demo`.",
)
cards = typer.Typer(no_args_is_help=True, help="Data Cards and Model Cards.")
app.add_typer(cards, name="cards")
app.add_typer(adopt_command.app, name="experience")

JobFile = Annotated[Path, typer.Argument(help="Job file (YAML).", show_default=False)]
Trials = Annotated[int | None, typer.Option(help="Number of trials.")]
Time = Annotated[float | None, typer.Option(help="Wall-clock limit of the search, in seconds.")]
Tokens = Annotated[int | None, typer.Option(help="Most tokens to and from the language model.")]
Money = Annotated[float | None, typer.Option(help="Most US dollars for them; the job holds `budget.prices`.")]
Address = Annotated[str | None, typer.Option(help="Ray cluster; default: RAY_ADDRESS, else a local Ray.")]
DataPath = Annotated[Path | None, typer.Option(help="Folder or file of the data; replaces the Data Card's.")]
LLMModel = Annotated[str | None, typer.Option(help="Language model that is put in charge.")]
LLMUrl = Annotated[str | None, typer.Option(help="Its OpenAI-compatible server, e.g. http://localhost:8000/v1.")]
NoLLM = Annotated[bool, typer.Option("--no-llm", help="Run without the job's language model.")]
Seed = Annotated[int | None, typer.Option(help="Seed of splits, weights and samplers.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Any other job value: KEY=VALUE, dotted keys.")]


@app.command()
def demo(
    name: Annotated[str | None, typer.Argument(help="Another job that comes with this package.")] = None,
    trials: Trials = None,
    llm_model: LLMModel = None,
    llm_url: LLMUrl = None,
    copy: Annotated[Path | None, typer.Option(help="Only copy all such jobs and their cards to this folder.")] = None,
) -> None:
    """Tune a small model on data that is here already: a minute; no download, no key, no GPU."""
    from automl_gpt_ray import shipped

    if copy is not None:
        sys.stdout.write("".join(f"{file}\n" for file in shipped.copy(copy)))
        return
    usual, told = shipped.demo() if name is None else (name, "")
    sys.stderr.write(told)
    run(shipped.job(usual), trials, llm_model=llm_model, llm_url=llm_url)


@app.command()
def run(
    job: Annotated[Path | None, typer.Argument(help="Job file (YAML).", show_default=False)] = None,
    trials: Trials = None,
    time: Time = None,
    tokens: Tokens = None,
    money: Money = None,
    address: Address = None,
    data_path: DataPath = None,
    llm_model: LLMModel = None,
    llm_url: LLMUrl = None,
    no_llm: NoLLM = False,
    seed: Seed = None,
    settings: Settings = None,
    run_dir: Annotated[str | None, typer.Option(help="Folder or URI of this run; default: one in `runs`.")] = None,
    resume: Annotated[str | None, typer.Option(help="Carry on the run in this folder or URI; needs no job.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print outcome.json; progress goes to stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")] = False,
) -> None:
    """Run a job: train for real, keep the best model, report its metrics on held-out test data.

    Exit code: 0, 1 without a usable trial, 2 where the job is wrong, 3 where an outage ended it, 130 where Ctrl-C did.
    """
    overrides = _overrides(trials, time, address, data_path, llm_model, llm_url, no_llm, seed, settings)
    paid = {"budget.tokens": tokens, "budget.money": money}
    overrides |= {key: value for key, value in paid.items() if value is not None}
    console = _console(stderr=json)
    from automl_gpt_ray import tasks_command
    from automl_gpt_ray.live_view import progress_view
    from automl_gpt_ray.ray_tune.run_place import brought

    tell = progress_view(console, quiet)

    folder = brought(resume) if resume else None
    if tasks_command.wants(job, folder, overrides):
        raise typer.Exit(tasks_command.run(console, job, overrides, run_dir, folder, json, tell))
    loaded = _load(job, overrides) if folder is None else _saved(folder, job, run_dir, overrides)

    from automl_gpt_ray.ray_tune.configured_llm import configured
    from automl_gpt_ray.ray_tune.run import resume as resume_job
    from automl_gpt_ray.ray_tune.run import run as run_job
    from automl_gpt_ray.terminal import show_outcome, show_start

    show_start(console, loaded)
    llm = configured(loaded.job.llm) if loaded.job.llm else None
    outcome = resume_job(loaded, resume, llm, tell) if resume else run_job(loaded, llm, run_dir, tell)
    if json:
        sys.stdout.write(outcome.to_json() + "\n")
    else:
        show_outcome(console, outcome)
    raise typer.Exit(exit_code(outcome))


@app.command()
def plan(
    job: JobFile,
    trials: Trials = None,
    time: Time = None,
    data_path: DataPath = None,
    llm_model: LLMModel = None,
    llm_url: LLMUrl = None,
    no_llm: NoLLM = False,
    seed: Seed = None,
    settings: Settings = None,
    proposals: Annotated[int, typer.Option(min=1, max=6, help="Proposals besides the default.")] = 3,
) -> None:
    """Show what a run would begin with: the prompt, the proposals, their predicted logs. Trains nothing."""
    overrides = _overrides(trials, time, None, data_path, llm_model, llm_url, no_llm, seed, settings)
    from automl_gpt_ray import plan_command, tasks_command

    console = _console()
    opened = tasks_command.wants(job, None, overrides)
    jobs = tasks_command.planned(console, job, overrides).values() if opened else [_load(job, overrides)]
    raise typer.Exit(max(plan_command.show(console, loaded, proposals) for loaded in jobs))


@app.command()
def assign(
    job: JobFile,
    llm_model: LLMModel = None,
    llm_url: LLMUrl = None,
    no_llm: NoLLM = False,
    settings: Settings = None,
    json: Annotated[bool, typer.Option("--json", help="Print the assignments as JSON.")] = False,
) -> None:
    """Show which registered model each task of a job gets, why, and which cannot train on it. Trains nothing."""
    overrides = _overrides(None, None, None, None, llm_model, llm_url, no_llm, None, settings)
    from automl_gpt_ray import tasks_command

    raise typer.Exit(tasks_command.assign(_console(stderr=json), job, overrides, json))


@app.command()
def feedback(
    run_dir: Annotated[str, typer.Argument(help="Folder of a run; with --address, a job's id.", show_default=False)],
    text: Annotated[str, typer.Argument(help="What to tell its advisors, in your own words.")] = "",
    fix: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of all further proposals.")] = None,
    narrow: Annotated[list[str] | None, typer.Option(help="NAME=LOW:HIGH of all further proposals.")] = None,
    free: Annotated[list[str] | None, typer.Option(help="NAME of which earlier hints hold no longer.")] = None,
    address: Annotated[str | None, typer.Option(help="Job server of a submitted job, e.g. http://head:8265.")] = None,
) -> None:
    """Tell a run something while it goes on; without words or hints, show what came of what was said."""
    from automl_gpt_ray.feedback_command import came_of, say, show

    given = text or fix or narrow or free
    if address:
        show([jobs_command.feedback(run_dir, address, text, (fix, narrow, free))])
    else:
        show([say(Path(run_dir), text, fix or (), narrow or (), free or ())] if given else came_of(Path(run_dir)))


@app.command()
def replay(
    run_dir: Annotated[str, typer.Argument(help="Folder or URI of a run, or its journal.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Derive every decision of a run again, offline, and say whether it comes out the same."""
    from automl_gpt_ray.jobs.fetching import at_hand
    from automl_gpt_ray.replay import replay as tell_again
    from automl_gpt_ray.terminal import show_replay

    with at_hand(run_dir) as folder:
        report = tell_again(folder)
    if json:
        sys.stdout.write(dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        show_replay(_console(), report)
    raise typer.Exit(1 if report.different else 0)


app.command()(report_command.report)
result_commands.register(app)


@cards.command()
def describe(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file.", show_default=False)],
    label: Annotated[str | None, typer.Option(help="Column to predict; guessed when not given.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the card; default: the file's.")] = None,
) -> None:
    """Print a Data Card for a table: rows, columns, types, missing values, label balance."""
    from automl_gpt_ray.cards.card_yaml import to_yaml
    from automl_gpt_ray.cards.describe import describe_file

    sys.stdout.write(to_yaml(describe_file(file, label=label, name=name)))


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"automl-gpt-ray {__version__}\n")
        raise typer.Exit


for command in jobs_command.COMMANDS:
    app.command()(command)


def main() -> NoReturn:
    """Run the command line; a mistake of the user's ends in one message and exit code 2."""
    speak_utf8()
    try:
        app(standalone_mode=True)
    except InputError as error:
        _fail(str(error), 2)
    except AutoMLGPTError as error:
        _fail(f"{type(error).__name__}: {error}", 1)
    raise SystemExit(0)


def _fail(message: str, code: int) -> NoReturn:
    from automl_gpt_ray.llm.redaction import redact, secrets_in

    # A value that is refused is quoted, and may be a key in the wrong place.
    sys.stderr.write(redact(message, secrets_in()) + "\n")
    raise SystemExit(code)


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _load(job: Path | None, overrides: dict[str, Any]) -> LoadedJob:
    if job is None:
        raise JobError("run", [Problem("JOB", "must be given", "nothing", "name a job file, or --resume RUN_DIR")])
    from automl_gpt_ray.config import load_job

    return load_job(job, overrides)


def _saved(folder: Path, job: Path | None, run_dir: str | None, overrides: dict[str, Any]) -> LoadedJob:
    from automl_gpt_ray.job_file import saved_job

    for field, given in (("JOB", job), ("--run-dir", run_dir)):
        if given is not None:
            rule = "must not be given with --resume: the run folder holds its job"
            raise JobError("--resume", [Problem(field, rule, str(given), "leave it out; --set changes single values")])
    return saved_job(folder, overrides)


def _overrides(
    trials: int | None,
    time: float | None,
    address: str | None,
    data_path: Path | None,
    llm_model: str | None,
    llm_url: str | None,
    no_llm: bool,
    seed: int | None,
    settings: list[str] | None,
) -> dict[str, Any]:
    given = {
        "trials": trials,
        "time_budget_s": time,
        "address": address,
        "data.path": str(data_path) if data_path else None,
        "llm.model": llm_model,
        "llm.base_url": llm_url,
        "seed": seed,
    }
    overrides: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    overrides |= jobs_command.overrides(settings)
    if no_llm:
        overrides["llm"] = None
    return overrides


if __name__ == "__main__":
    main()
