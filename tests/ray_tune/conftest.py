"""Jobs that train in a moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))  # the test server is a module of `tests`


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
