"""Connecting to Ray: a cluster by address, the one we are in, or a quiet local one."""

from __future__ import annotations

import logging
import math
import os
import socket
import warnings
from typing import Any

from automl_gpt_ray.config import LoadedJob
from automl_gpt_ray.errors import JobError, Problem, first_line

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0",
}
MEMORY, GIGABYTE = "memory", 1024**3
"""Ray's name of what `resources.memory_gb` asks for, and its bytes."""
LOCAL_OBJECT_STORE = 200 * 1024**2
REACH_S = 10.0
"""Longest wait for a head to accept a connection."""
REMEDY = "is the cluster running, and is the address that of its head node? Leave it out to start a local Ray"
LET_IN = "a cluster with tokens wants RAY_AUTH_MODE=token and its own in ~/.ray/auth_token or RAY_AUTH_TOKEN_PATH"


def connect(loaded: LoadedJob) -> None:
    """Connect to Ray unless this process already is, and check that one trial fits.

    Raises:
        JobError: The cluster cannot be reached, or no trial will ever fit on it.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray  # after the environment is set: Ray reads it on import

    # Ray's own tracebacks for failed trials repeat what the progress lines say in one.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="ray")
    if not ray.is_initialized():
        _initialise(loaded)
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    _check_fit(loaded, resources)


def _initialise(loaded: LoadedJob) -> None:
    import ray

    address = loaded.job.address or os.environ.get("RAY_ADDRESS")
    _check_reachable(address, loaded.source)
    options: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": LOCAL_OBJECT_STORE}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except ray.exceptions.AuthenticationError as error:
        rule = f"must be a Ray cluster that lets us in ({first_line(error).partition('.')[0]})"
        raise JobError(loaded.source, [Problem("address", rule, str(address), LET_IN)]) from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        rule = f"must be a Ray cluster ({first_line(error)})"
        raise JobError(loaded.source, [Problem("address", rule, str(address), f"{REMEDY}; {LET_IN}")]) from None


def _check_reachable(address: str | None, source: str) -> None:
    """Ask whether anybody listens at HOST:PORT: Ray itself would look for minutes before it says so."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # `auto`, `local`, or a name that Ray knows
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S):
            return
    except (OSError, OverflowError) as error:
        rule = f"must be a Ray cluster that can be reached from here ({first_line(error)})"
        raise JobError(source, [Problem("address", rule, str(address), REMEDY)]) from None


def _check_fit(loaded: LoadedJob, cluster: dict[str, float]) -> None:
    wanted, workers, where = loaded.job.resources, loaded.job.workers_per_trial, "this machine has"
    if loaded.job.address or os.environ.get("RAY_ADDRESS"):
        # An autoscaling cluster may grow what it lacks now.
        cluster, where = (_at_most() if workers > 1 else {}), "the cluster can grow to"
        if not cluster:
            return
    problems = []
    needs = [("cpu", "CPU", wanted.cpu, cluster.get("CPU", 0.0)), ("gpu", "GPU", wanted.gpu, cluster.get("GPU", 0.0))]
    if wanted.memory_gb and MEMORY in cluster:  # an autoscaler need not say how much
        # Rounded down, so that the number told may be asked for.
        needs.append(("memory_gb", "GB", wanted.memory_gb, math.floor(cluster[MEMORY] / GIGABYTE * 100) / 100))
    for field, key, need, have in needs:
        if need > have:
            rule = f"must not exceed what {where} ({have:g})"
            problems.append(Problem(f"resources.{field}", rule, f"{need:g}", "lower it, or name a cluster's `address`"))
        elif need * workers > have:
            rule = f"must not need more than {where} ({have:g} {key}), at `resources.{field}: {need:g}` each"
            remedy = f"lower it to {int(have // need)}, lower `resources.{field}`, or name a cluster's `address`"
            problems.append(Problem("workers_per_trial", rule, str(workers), remedy))
    if problems:
        raise JobError(loaded.source, problems)


def _at_most() -> dict[str, float]:
    """Return what the autoscaler's configuration lets the cluster grow to; nothing where there is no autoscaler."""
    import ray

    # Ray Train asks this too, and would refuse each trial.
    found = ray._private.state.state.get_max_resources_from_cluster_config()  # noqa: SLF001
    return {name: float(amount) for name, amount in (found or {}).items()}
