"""One small local Ray for all tests of this folder, and jobs that train in a moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))  # the test server is a module of `tests`


@pytest.fixture(scope="session")
def local_ray():
    import ray

    if not ray.is_initialized():
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            logging_level="ERROR",
            log_to_driver=False,
            object_store_memory=120 * 1024**2,
            # Workers find the trainables of this folder as a user's workers would: by their path.
            runtime_env={"env_vars": {"PYTHONPATH": f"{TESTS / 'ray_tune'}:{TESTS}"}},
        )
    yield
    ray.shutdown()


@pytest.fixture
def iris_job():
    """A job that trains XGBoost on iris: values for `read_job`; a trial takes a fraction of a second."""
    configs = Path(__file__).resolve().parents[2] / "configs"
    return {
        "name": "iris",
        "data_card": str(configs / "cards" / "data" / "iris.yaml"),
        "model_card": str(configs / "cards" / "models" / "xgboost.yaml"),
        "trials": 4,
        "max_steps": 4,
    }
