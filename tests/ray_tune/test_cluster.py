"""Which Ray a run connects to, and what it says where there is none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import ray

from automl_gpt_ray.config import read_job
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.ray_tune.cluster import connect


@pytest.fixture
def asked(monkeypatch):
    """The addresses that Ray was asked to connect to; it finds a machine that runs anything."""
    found = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda address=None, **options: found.append(address))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 64.0})
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return found


@pytest.fixture
def closed_port():
    """A port that is taken, and at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize("by", ["job", "environment"])
def test_a_head_that_is_dead_is_named_and_ray_is_not_asked(asked, closed_port, iris_job, monkeypatch, scheme, by):
    address = f"{scheme}127.0.0.1:{closed_port}"
    if by == "environment":
        monkeypatch.setenv("RAY_ADDRESS", address)
    loaded = read_job({**iris_job, **({"address": address} if by == "job" else {})})
    with pytest.raises(JobError) as caught:
        connect(loaded)
    assert [(p.field, p.got) for p in caught.value.problems] == [("address", address)]
    assert "can be reached from here ([Errno 111] Connection refused)" in str(caught.value)
    assert asked == []


def test_a_name_that_nobody_knows_is_said_at_once(asked, iris_job):
    with pytest.raises(JobError, match=r"must be a Ray cluster that can be reached from here"):
        connect(read_job({**iris_job, "address": "no-such-host.invalid:6379"}))
    assert asked == []


def test_a_port_that_is_none_is_an_error_of_the_job(asked, iris_job):
    with pytest.raises(JobError, match="address"):
        connect(read_job({**iris_job, "address": "127.0.0.1:99999"}))


def test_a_head_that_listens_is_asked(asked, iris_job):
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        connect(read_job({**iris_job, "address": address}))
    assert asked == [address]


def test_a_token_that_is_nowhere_is_said_in_one_line(iris_job, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as head:
        job = {**iris_job, "address": f"127.0.0.1:{head.getsockname()[1]}"}
        code = (
            "from automl_gpt_ray.config import read_job\n"
            "from automl_gpt_ray.errors import JobError\n"
            "from automl_gpt_ray.ray_tune.cluster import connect\n"
            f"try: connect(read_job({job!r}))\n"
            "except JobError as error: print(error)\n"
        )
        nowhere = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        nowhere |= {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}
        # In a process of its own: Ray reads how it has to show itself once.
        done = subprocess.run([sys.executable, "-c", code], env=nowhere, capture_output=True, text=True, check=True)
    assert "must be a Ray cluster that lets us in (Token authentication is enabled but no" in done.stdout
    assert "RAY_AUTH_TOKEN_PATH" in done.stdout


@pytest.mark.parametrize("address", [None, "auto", "local"])
def test_what_is_no_address_is_left_to_ray(asked, iris_job, address):
    connect(read_job({**iris_job, "address": address}))
    assert asked == [address]
