"""Submitting: what is checked here, packed and started on a cluster; a stopped run taken up by a further job.

job = submit(load_job("job.yaml"), JobServer("http://head:8265"))
follow(server, job.id, print)
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automl_gpt_ray.config import LoadedJob
from automl_gpt_ray.errors import JobError, Problem, first_line
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.job_file import job_values
from automl_gpt_ray.jobs.packing import own_modules, pack
from automl_gpt_ray.jobs.server import JobServer, JobState
from automl_gpt_ray.llm.configured import configured
from automl_gpt_ray.ray_tune.prepared import prepare
from automl_gpt_ray.ray_tune.trial import load_evaluate, load_trainable
from automl_gpt_ray.storage import TROUBLES, Place, is_uri, joined

DRIVER = "python -m automl_gpt_ray.jobs.driver"
_WHOLE = ".whole"
"""Marks data in storage whose copy came to its end."""


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted.

    Attributes:
        id: Of the job.
        run: Path or URI of the run's folder.
        notes: What a person should know about data and storage.
    """

    id: str
    run: str
    notes: tuple[str, ...] = ()


def submit(
    loaded: LoadedJob, server: JobServer | str, modules: Iterable[str] = (), stage_data: bool = False
) -> Submitted:
    """Check a job here, pack it with its code, and start it on a cluster.

    Args:
        loaded: The job. Its `storage_path` must outlive the driver: a URI, or an absolute path that every node sees.
        server: The cluster's job server, or its address: then nothing is asked of it before the job was checked.
        modules: Of one's own, besides that of the trainable.
        stage_data: Copy the data from here to `storage_path`, from which each node fetches it once.

    Raises:
        InputError: The job cannot run as written; nothing was submitted.
        JobServerError: The cluster cannot be reached.
    """
    _check(loaded)
    names = own_modules([loaded.model.trainable, loaded.model.evaluate], modules)
    storage = loaded.job.storage_path
    if stage_data:
        loaded = _with_data_at(loaded, _copied(storage, loaded))
    values = job_values(loaded)
    values.pop("address", None)  # the driver is on the cluster
    run = f"{loaded.job.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    with tempfile.TemporaryDirectory(prefix="submit-") as folder:
        pack(values, names, Path(folder))  # what must not travel is found before anything does
        server = JobServer(server) if isinstance(server, str) else server
        place = joined(storage, run)
        entrypoint = f"{DRIVER} run {shlex.quote(place)}"
        server.submit(entrypoint, folder, run, {"run": place, "modules": ",".join(names)})
    return Submitted(run, place, tuple(_notes(loaded)))


def resume(
    server: JobServer, job_id: str, overrides: Mapping[str, Any] | None = None, modules: Iterable[str] = ()
) -> Submitted:
    """Carry on the run of a job that has ended or was stopped, as a further job.

    Args:
        server: The cluster's job server.
        job_id: Of any job of the run.
        overrides: As for `load_job`.
        modules: Of one's own, besides those of the first job.

    Raises:
        JobError: There is no such job, it still goes on, or its modules are not here.
    """
    state = ours(server, job_id)
    others = [job for job in server.jobs() if job.run == state.run]
    going = next((job for job in others if not job.over), None)
    if going:
        remedy = f"follow it with `logs {going.id} --follow`, or `stop` it first"
        raise JobError("JOB_ID", [Problem("JOB_ID", "must be a job whose run has ended", going.id, remedy)])
    again = f"{state.run.partition('?')[0].rsplit('/', 1)[-1]}-r{len(others)}"
    names = list(dict.fromkeys((*state.modules, *modules)))
    with tempfile.TemporaryDirectory(prefix="submit-") as folder:
        pack(dict(overrides or {}), names, Path(folder))
        entrypoint = f"{DRIVER} resume {shlex.quote(state.run)}"
        server.submit(entrypoint, folder, again, {"run": state.run, "modules": ",".join(names)})
    return Submitted(again, state.run)


def tell(server: JobServer, job_id: str, said: Feedback) -> str:
    """Leave a remark in the run of a job that goes on, and return the id of the small job that does so on the head."""
    state = ours(server, job_id)
    if state.over:
        remedy = "`resume` carries the run on"
        raise JobError("JOB_ID", [Problem("JOB_ID", "must be a job that goes on", job_id, remedy)])
    values = {"text": said.text, "fixed": dict(said.fixed), "narrowed": dict(said.narrowed), "freed": list(said.freed)}
    entrypoint = f"{DRIVER} feedback {shlex.quote(state.run)} {shlex.quote(json.dumps(values))}"
    name = f"{job_id}-feedback-{uuid.uuid4().hex[:6]}"
    return server.submit(entrypoint, state.working_dir, name, {"feedback": job_id})


def ours(server: JobServer, job_id: str) -> JobState:
    """Return the state of a job that this package submitted; JobError for any other."""
    state = server.state(job_id)
    if not state.run:
        rule = "must be a job that `automl-gpt-ray submit` started"
        raise JobError("JOB_ID", [Problem("JOB_ID", rule, job_id, "`automl-gpt-ray status` lists them")])
    return state


def _check(loaded: LoadedJob) -> None:
    job = loaded.job
    if not is_uri(job.storage_path) and not Path(job.storage_path).is_absolute():
        rule = "must outlive the driver, which runs in a folder that is thrown away"
        remedy = "name a URI (`s3://bucket/runs`) or an absolute path of a folder that every node of the cluster shares"
        raise JobError(loaded.source, [Problem("storage_path", rule, job.storage_path, remedy)])
    Place.at(job.storage_path)
    if job.llm and job.llm.provider == "openai":
        configured(job.llm)
    load = loaded.data.load
    absent = load and not load.name and not (load.path and Path(load.path).exists())
    if absent and load and load.format != "custom":  # the cluster may have it: its driver looks before it trains
        load_trainable(loaded.model, loaded.source)
        load_evaluate(loaded.model, loaded.source)
    else:
        prepare(loaded)


def _with_data_at(loaded: LoadedJob, path: str) -> LoadedJob:
    load = loaded.data.load
    if load is None:
        return loaded
    return replace(loaded, data=loaded.data.model_copy(update={"load": load.model_copy(update={"path": path})}))


def _copied(storage: str, loaded: LoadedJob) -> str:
    """Copy the job's data below its storage, unless it is there already, and return its name there."""
    path = Path(loaded.data.load.path or "") if loaded.data.load else Path()
    if loaded.data.load is None or not loaded.data.load.path or not path.exists():
        rule, got = "must be a file or folder on this machine to be copied", str(path)
        raise JobError("--stage-data", [Problem("data.path", rule, got, "leave out --stage-data")])
    files = sorted(found for found in (path.rglob("*") if path.is_dir() else [path]) if found.is_file())
    listed = repr([(str(f.relative_to(path.parent)), f.stat().st_size, f.stat().st_mtime_ns) for f in files])
    folder = Place.at(joined(storage, f"data/{hashlib.sha256(listed.encode()).hexdigest()[:16]}"))
    place = folder / path.name
    try:
        if folder.read(_WHOLE) is None:
            folder.files.create_dir(folder.path, recursive=True)
            place.send(path)
            folder.write(_WHOLE, b"")
    except TROUBLES as error:
        rule = f"must be storage that this machine can write ({first_line(error)[:200]})"
        raise JobError("--stage-data", [Problem("storage_path", rule, storage)]) from None
    # A path below a shared folder is read where it is; a node copies from a bucket.
    return place.name


def _notes(loaded: LoadedJob) -> Iterator[str]:
    storage, load = loaded.job.storage_path, loaded.data.load
    if not is_uri(storage):
        yield f"storage_path {storage} is a path: every node of the cluster must see the same folder there"
    if load and load.path and not is_uri(load.path):
        yield f"data.path {load.path} must be there on every node of the cluster (or submit with --stage-data)"
    elif load and load.path:
        yield f"data: each node fetches {load.path} once"
    elif load and load.url:
        yield f"data: each node fetches what it lacks from {load.url}"
