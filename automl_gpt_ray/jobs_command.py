"""`submit`, `status`, `logs`, `stop`, `resume` and `fetch`: runs as Ray Jobs, from the command line."""

from __future__ import annotations

import json as to_json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from automl_gpt_ray.jobs.server import JobServer, JobState
    from automl_gpt_ray.jobs.submitting import Submitted

VARIABLE = "RAY_API_SERVER_ADDRESS"

Id = Annotated[str, typer.Argument(help="Id that `submit` printed.", show_default=False)]
Address = Annotated[str | None, typer.Option(help=f"Job server, e.g. http://head:8265; default: {VARIABLE}.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show its progress; Ctrl-C does not end it.")]
Module = Annotated[list[str] | None, typer.Option(help="Another module of yours that the cluster needs.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Any job value: KEY=VALUE, dotted keys.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def submit(
    job: Annotated[Path, typer.Argument(help="Job file (YAML).", show_default=False)],
    address: Address = None,
    follow: Follow = False,
    settings: Settings = None,
    module: Module = None,
    stage_data: Annotated[bool, typer.Option(help="Copy the data from here to `storage_path` first.")] = False,
    json: Json = False,
) -> None:
    """Run a job on a cluster: check and pack it here, start it there through Ray Jobs.

    Exit code with --follow: that of `run`, or 4 where the job was stopped.
    """
    from automl_gpt_ray.assignment.open_job import is_open
    from automl_gpt_ray.config import load_job, override
    from automl_gpt_ray.jobs import submitting
    from automl_gpt_ray.yaml_file import read_yaml

    changes, where = overrides(settings), _address(address)
    if is_open(override(read_yaml(job, JobError), changes)):
        remedy = "`automl-gpt-ray assign` shows one for each task; submit a job for each"
        raise JobError(str(job), [Problem("model_card", "must be named in a submitted job", "", remedy)])
    made = submitting.submit(load_job(job, changes), where, module or (), stage_data)
    _say_submitted(made, where, json)
    if follow:
        _follow(_server(where), made.id)


def status(
    job_id: Annotated[str | None, typer.Argument(help="Id of one job.", show_default=False)] = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show how a submitted job stands, or list all of them."""
    server = _server(_address(address))
    states = server.jobs() if job_id is None else [server.state(job_id)]
    if json:
        told: Any = [asdict(state) for state in states]
        sys.stdout.write(to_json.dumps(told if job_id is None else told[0], indent=2) + "\n")
    elif not states:
        sys.stdout.write("no jobs\n")
    for state in () if json else states:
        _show(state, long=job_id is not None)


def logs(job_id: Id, address: Address = None, follow: Follow = False) -> None:
    """Print what a submitted job has printed so far; with --follow until it ends."""
    server = _server(_address(address))
    if follow:
        _follow(server, job_id)
    sys.stdout.write(server.logs(job_id))


def stop(job_id: Id, address: Address = None) -> None:
    """End a submitted job; its run is kept, and `resume` carries it on."""
    server = _server(_address(address))
    was = server.stop(job_id)
    deadline = time.monotonic() + 60
    while not (state := server.state(job_id)).over and time.monotonic() < deadline:
        time.sleep(0.3)
    again = f"; go on with: automl-gpt-ray resume {job_id} --address {server.address}" if state.run else ""
    verb = "stopped" if was and state.over else "is stopping" if was else f"had ended ({state.status})"
    sys.stdout.write(f"{job_id} {verb}{again}\n")


def resume(
    job_id: Id,
    address: Address = None,
    follow: Follow = False,
    settings: Settings = None,
    module: Module = None,
    json: Json = False,
) -> None:
    """Carry on the run of a job that ended, was stopped or died with its head, as a further job."""
    from automl_gpt_ray.jobs import submitting

    server = _server(_address(address))
    made = submitting.resume(server, job_id, overrides(settings), module or ())
    _say_submitted(made, server.address, json)
    if follow:
        _follow(server, made.id)


def fetch(
    job_id: Annotated[str, typer.Argument(help="Id of a job, or path or URI of its run.", show_default=False)],
    dest: Annotated[Path | None, typer.Argument(help="Folder to make; default: the run's name.")] = None,
    address: Address = None,
    checkpoints: Annotated[bool, typer.Option(help="Bring Ray's files and checkpoints too.")] = True,
) -> None:
    """Bring the run folder of a submitted job here from its storage."""
    from automl_gpt_ray.jobs.fetching import fetch as bring
    from automl_gpt_ray.jobs.fetching import name_of
    from automl_gpt_ray.jobs.submitting import ours

    run = job_id if "/" in job_id else ours(_server(_address(address)), job_id).run
    folder = bring(run, dest or Path(name_of(run)), checkpoints)
    sys.stdout.write(f"run folder: {folder}\n")


COMMANDS = (submit, status, logs, stop, resume, fetch)


def overrides(settings: list[str] | None) -> dict[str, Any]:
    """Return what `--set` was given, dotted key to value."""
    from automl_gpt_ray.yaml_file import setting

    return dict(map(setting, settings or []))


def feedback(job_id: str, address: str, text: str, hints: tuple[list[str] | None, ...]) -> str:
    """Leave a remark in the run of a submitted job and return what a person is told; `hints`: fix, narrow, free.

    Where it was not left, what is wrong with it is told instead, and the exit code is that of the command on the head.
    """
    from automl_gpt_ray.feedback_command import remark
    from automl_gpt_ray.jobs.following import exit_code, follow
    from automl_gpt_ray.jobs.submitting import tell

    said = remark(text, *(given or () for given in hints))
    server, lines = _server(address), list[str]()
    state = follow(server, tell(server, job_id, said), lines.append)
    if state.status != "SUCCEEDED":
        sys.stderr.write("\n".join(lines or [state.message]) + "\n")
        raise typer.Exit(exit_code(state))
    return "\n".join(lines)


def _address(given: str | None) -> str:
    found = given or os.environ.get(VARIABLE)
    if not found:
        remedy = f"write --address http://HEAD:8265, or set {VARIABLE}"
        raise JobError("--address", [Problem("--address", "must name a cluster's job server", "nothing", remedy)])
    return found


def _server(address: str) -> JobServer:
    from automl_gpt_ray.jobs.server import JobServer

    return JobServer(address)


def _say_submitted(made: Submitted, address: str, json: bool) -> None:
    if json:
        sys.stdout.write(to_json.dumps({"job": made.id, "run": made.run, "notes": list(made.notes)}) + "\n")
        return
    for note in made.notes:
        sys.stdout.write(f"note: {note}\n")
    sys.stdout.write(f"job {made.id} submitted; its run: {made.run}\n")
    sys.stdout.write(f"follow it with: automl-gpt-ray logs {made.id} --follow --address {address}\n")
    sys.stdout.flush()


def _follow(server: JobServer, job_id: str) -> NoReturn:
    from automl_gpt_ray.jobs.following import exit_code, follow

    def write(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    try:
        state = follow(server, job_id, write)
    except KeyboardInterrupt:
        write("")
        write(f"no longer following; {job_id} goes on. `automl-gpt-ray stop {job_id}` would end it.")
        raise typer.Exit(INTERRUPTED) from None
    if state.status != "SUCCEEDED":
        write(f"{job_id} {state.status}: {state.message}")
    raise typer.Exit(exit_code(state))


def _show(state: JobState, long: bool) -> None:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.began)) if state.began else "not yet"
    took = f", {(state.ended or time.time()) - state.began:.0f} s" if state.began else ""
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    sys.stdout.write(f"{state.id}  {state.status}  since {began}{took}{code}\n")
    if long:
        sys.stdout.write(f"  {state.message}\n  run: {state.run}\n")
