"""When Ray writes its snapshots: by the clock, not at each checkpoint."""

from __future__ import annotations

import os

import pytest
from ray import tune
from ray.train._internal.storage import _FilesystemSyncer
from ray.tune.experiment import Experiment
from trainables import quadratic

from automl_gpt_ray.ray_tune.fit import SNAPSHOT, _snapshots_every, _Unforced


@pytest.mark.ray
@pytest.mark.parametrize(("kind", "fewest", "most"), [(Experiment, 10, 99), (_Unforced, 1, 4)])
def test_a_checkpoint_forces_no_snapshot(local_ray, kind, fewest, most, tmp_path, monkeypatch):
    monkeypatch.setenv(SNAPSHOT, "1000")
    sync, synced = _FilesystemSyncer.sync_up, []
    monkeypatch.setattr(_FilesystemSyncer, "sync_up", lambda self, *a, **k: synced.append(a) or sync(self, *a, **k))
    keep = tune.CheckpointConfig(num_to_keep=1)
    made = kind("x", quadratic, config={"lr": 0.01}, storage_path=str(tmp_path), checkpoint_config=keep)
    tune.run(made, verbose=0)
    assert fewest <= len(synced) <= most  # Ray's own takes one for each of ten checkpoints
    assert [path.name for path in tmp_path.glob("x/*/checkpoint_*")] == ["checkpoint_000009"]  # trials keep theirs


def test_the_clock_is_ours_where_a_user_sets_none(monkeypatch):
    monkeypatch.delenv(SNAPSHOT, raising=False)
    with _snapshots_every("5"):
        assert os.environ[SNAPSHOT] == "5"
    assert SNAPSHOT not in os.environ
    monkeypatch.setenv(SNAPSHOT, "60")
    with _snapshots_every("5"):
        assert os.environ[SNAPSHOT] == "60"
    assert os.environ[SNAPSHOT] == "60"
