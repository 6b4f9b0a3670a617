"""A snapshot names a checkpoint that Ray has deleted since: the trial goes on from the one that took its place."""

from __future__ import annotations

import json

import pytest

from automl_gpt_ray.ray_tune.snapshot import mend_checkpoints
from automl_gpt_ray.storage import Place


@pytest.fixture
def experiment(tmp_path):
    """Make a snapshot of trial `a`, which names checkpoints, and those that lie there, each by its number."""

    def made(named, there, status="RUNNING"):
        names = " ".join(f"checkpoint_{number:06}" for number in named)
        metadata = {"checkpoint_manager": {"value": names.encode().hex()}}
        data = [[json.dumps({"trial_id": "a", "status": status}), json.dumps(metadata)]]
        (tmp_path / "experiment_state-2026.json").write_text(json.dumps({"trial_data": data}))
        for number in there:
            (tmp_path / "trial_a" / f"checkpoint_{number:06}").mkdir(parents=True)
            (tmp_path / "trial_a" / f"checkpoint_{number:06}" / "step.txt").write_text(str(number))
        return Place.at(tmp_path)

    return made


def step(place, number):
    content = (place / f"trial_a/checkpoint_{number:06}").read("step.txt")
    return content and int(content)


@pytest.mark.parametrize(
    ("named", "there", "known", "found"),
    [
        ([2], [3], 3, 3),  # the journal knows it
        ([2], [3], None, 3),  # the journal is older than the snapshot's storage
        ([2], [3, 4], None, 3),  # the last may not be whole
        ([2], [0, 3], 0, 3),  # the best so far is kept too, and is not where the trial stood
        ([2], [0], 0, 0),  # all that there is
        ([0, 2], [0, 3, 4], 4, 4),
    ],
)
def test_a_trial_goes_on_from_what_took_its_place(experiment, named, there, known, found):
    place = experiment(named, there)
    newest = None if known is None else (place / f"trial_a/checkpoint_{known:06}").path
    assert mend_checkpoints(place, {"a": newest}.get) == ["a"]
    assert step(place, 2) == found


@pytest.mark.parametrize(
    ("named", "there", "status"), [([2], [2, 3], "RUNNING"), ([2], [3], "TERMINATED"), ([2], [], "PAUSED")]
)
def test_what_is_there_or_ended_or_gone_is_left(experiment, named, there, status):
    place = experiment(named, there, status)
    assert mend_checkpoints(place, {}.get) == []
    assert step(place, 2) == (2 if 2 in there else None)
