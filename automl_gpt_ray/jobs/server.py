"""The job server of a Ray cluster: what is submitted, asked and stopped there, with errors that say what to do.

The only file that imports `ray.job_submission`. No variable of the environment travels with a job: what
`runtime_env` holds, anybody can read who may ask for the job.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from automl_gpt_ray.errors import AutoMLGPTError, JobError, Problem, first_line

KIND = "automl-gpt-ray"
CONNECT_S = 10.0
READY_S = 60.0
_OVERRULING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_TALKATIVE = tuple(
    f"ray.{name}"
    for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging")
)
_ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


class JobServerError(AutoMLGPTError):
    """The job server could not do what it was asked for."""


@dataclass(frozen=True)
class JobState:
    """How a job stands.

    Attributes:
        id: Of the job.
        status: Ray's: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        run: Path or URI of the run's folder; empty for a job that is not one of ours.
        trainable: Of the run's Model Card.
        modules: Names of the modules that were packed.
        message: Ray's word on the status, in one line.
        exit_code: Of the driver, once it has ended.
        began: Seconds since the epoch; None before.
        ended: As `began`.
        working_dir: URI of the package.
    """

    id: str
    status: str
    run: str
    modules: tuple[str, ...]
    message: str
    exit_code: int | None
    began: float | None
    ended: float | None
    working_dir: str

    @property
    def over(self) -> bool:
        """Return whether it has ended, one way or the other."""
        return self.status in _ENDED


@final
class JobServer:
    """The job server at `address`, such as `http://head:8265`.

    Where the cluster asks for a token, Ray finds it by its own rules: `RAY_AUTH_MODE=token` with `RAY_AUTH_TOKEN`,
    `RAY_AUTH_TOKEN_PATH` or `~/.ray/auth_token`.

    Raises:
        JobError: There is no job server, or it refuses the token.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._check()
        from ray.job_submission import JobSubmissionClient

        for name in _TALKATIVE:  # each sets its own level as it is imported
            logging.getLogger(name).setLevel(logging.WARNING)
        # Ray would let these decide over the address that was given.
        aside = {name: os.environ.pop(name) for name in _OVERRULING if name in os.environ}
        try:
            with self._told():
                self._client = JobSubmissionClient(address)
        finally:
            os.environ.update(aside)

    def submit(self, entrypoint: str, working_dir: str | Path, job_id: str, metadata: Mapping[str, str]) -> str:
        """Start a driver on the cluster's head and return the job's id.

        Args:
            entrypoint: A command line.
            working_dir: Folder to be packed, or the URI of one that was.
            job_id: No other job's.
            metadata: Kept with the job, for anybody to read.
        """
        deadline = time.monotonic() + READY_S
        while True:
            try:
                with self._told():
                    return str(
                        self._client.submit_job(
                            entrypoint=entrypoint,
                            runtime_env={"working_dir": str(working_dir)},
                            submission_id=job_id,
                            metadata={"kind": KIND, **metadata},
                        )
                    )
            except JobServerError as error:
                # A head that has just started serves requests before it can take a job.
                if "No available agent" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    def state(self, job_id: str) -> JobState:
        """Return how a job stands; JobError where there is none of that id."""
        with self._told(job_id):
            return _state(self._client.get_job_info(job_id))

    def jobs(self) -> list[JobState]:
        """Return the jobs that this package submitted, the latest first."""
        with self._told():
            found = [_state(job) for job in self._client.list_jobs() if (job.metadata or {}).get("kind") == KIND]
        return sorted(found, key=lambda job: job.began or 0.0, reverse=True)

    def logs(self, job_id: str) -> str:
        """Return all that a job has printed."""
        with self._told(job_id):
            return str(self._client.get_job_logs(job_id))

    def tail(self, job_id: str) -> Iterator[str]:
        """Yield what a job has printed and prints, until it ends or the connection does."""
        with self._told(job_id), asyncio.Runner() as runner:
            pieces: AsyncIterator[str] = self._client.tail_job_logs(job_id)
            while True:
                try:
                    yield runner.run(_next(pieces))
                except StopAsyncIteration:
                    return

    def stop(self, job_id: str) -> bool:
        """Ask a job to end and return whether it was running."""
        with self._told(job_id):
            return bool(self._client.stop_job(job_id))

    def _check(self) -> None:
        try:
            parts = urlsplit(self.address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("no http:// or https:// URL")
            port = parts.port or (443 if parts.scheme == "https" else 80)
            with socket.create_connection((parts.hostname, port), timeout=CONNECT_S):
                pass
        except (OSError, ValueError) as error:
            raise self._wrong(f"must be a Ray cluster's job server ({first_line(error)})") from None

    def _wrong(self, rule: str, remedy: str = "") -> JobError:
        hint = "is the head running with `ray[default]`? Its dashboard serves jobs, usually http://HEAD:8265"
        return JobError("--address", [Problem("--address", rule, self.address, remedy or hint)])

    @contextmanager
    def _told(self, job_id: str = "") -> Iterator[None]:
        import aiohttp
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError:
            remedy = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN) to the cluster's token"
            raise self._wrong("asks for a token, and was given none or a wrong one", remedy) from None
        except RuntimeError as error:
            if job_id and "does not exist" in str(error):
                rule, remedy = "must be the id of a job on this cluster", "`automl-gpt-ray status` lists them"
                raise JobError("JOB_ID", [Problem("JOB_ID", rule, job_id, remedy)]) from None
            raise JobServerError(f"{self.address}: {first_line(error)}") from None
        except (aiohttp.ClientError, requests.RequestException, ConnectionError) as error:
            raise JobServerError(f"{self.address} cannot be reached: {first_line(error)}") from None


async def _next(pieces: AsyncIterator[str]) -> str:
    return await anext(pieces)


def _state(job: Any) -> JobState:
    about = job.metadata or {}
    return JobState(
        id=str(job.submission_id),
        status=str(getattr(job.status, "value", job.status)),
        run=about.get("run", ""),
        modules=tuple(filter(None, about.get("modules", "").split(","))),
        message=(job.message or "").partition("\n")[0].partition(", last available logs")[0],
        exit_code=job.driver_exit_code,
        began=job.start_time / 1000 if job.start_time else None,
        ended=job.end_time / 1000 if job.end_time else None,
        working_dir=str((job.runtime_env or {}).get("working_dir", "")),
    )
