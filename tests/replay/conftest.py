"""Runs to replay."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the small briefs are a module of `tests`

from automl_gpt_ray import prefetch


@pytest.fixture(autouse=True, scope="session")
def _quick():
    # A lane that had nothing to say at first comes back before a run of milliseconds is over.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetch, "RETRY_S", (0.01, 0.1))
        yield
