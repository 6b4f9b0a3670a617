"""What all tests share: one small local Ray, started by the first test that needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import s3_server

# Runs of tests remember nothing where they do not say so.
os.environ["AUTOML_GPT_RAY_EXPERIENCE"] = "off"

TESTS = Path(__file__).resolve().parent
MODULES = (TESTS / "ray_tune", TESTS, TESTS.parent / "examples" / "own_training")


@pytest.fixture(scope="session")
def local_ray():
    import ray

    # Workers find the trainables of the tests as a user's workers would: by their path, also those of the drivers
    # in processes of their own that join.
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, MODULES), os.environ.get("PYTHONPATH", "")])
    # Workers write to the bucket of the tests by what their node was started with, as those of a cluster would.
    os.environ.update(s3_server.ENVIRONMENT)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        object_store_memory=120 * 1024**2,
    )
    yield
    ray.shutdown()


@pytest.fixture
def joined(local_ray, monkeypatch):
    """Drivers in processes of their own join the cluster of the tests: to start one for each takes half a minute."""
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
