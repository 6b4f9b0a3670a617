"""What all tests share: one small local Ray, started by the first test that needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Runs of tests remember nothing where they do not say so.
os.environ["AUTOML_GPT_RAY_EXPERIENCE"] = "off"

TESTS = Path(__file__).resolve().parent
MODULES = (TESTS / "ray_tune", TESTS, TESTS.parent / "examples" / "own_training")


@pytest.fixture(scope="session")
def local_ray():
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        object_store_memory=120 * 1024**2,
        # Workers find the trainables of the tests as a user's workers would: by their path.
        runtime_env={
            "env_vars": {"PYTHONPATH": f"{TESTS / 'ray_tune'}:{TESTS}:{TESTS.parent / 'examples' / 'own_training'}"}
        },
    )
    yield
    ray.shutdown()
