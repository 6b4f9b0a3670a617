"""When a refit counts, and where a run finds its checkpoints after a move."""

from __future__ import annotations

import pytest
from small_runs import trial

from automl_gpt_ray.job_events import Refitted
from automl_gpt_ray.journal import Journal
from automl_gpt_ray.ray_tune.refit import _there, fault_of
from automl_gpt_ray.ray_tune.run_place import place_of


@pytest.mark.parametrize(
    ("metrics", "checkpoint", "fault"),
    [
        ({"step": 6, "done": True}, "kept", ""),
        ({"step": 2, "done": False}, "kept", "interrupted after step 2"),
        ({"step": 6, "done": True}, None, "no checkpoint"),
        ({}, None, "no checkpoint"),
    ],
)
def test_a_refit_counts_that_came_to_its_end(metrics, checkpoint, fault):
    assert fault_of(metrics, checkpoint, "step") == fault


def test_checkpoints_are_found_where_the_run_lies_now(tmp_path):
    place = place_of(tmp_path / "moved")
    told = f"{tmp_path}/was/ray/trial_a/checkpoint_000003"
    assert place.found(told) is None
    (tmp_path / "was/ray/trial_a/checkpoint_000003").mkdir(parents=True)
    assert place.found(told) == told
    (tmp_path / "moved/ray/trial_a/checkpoint_000003").mkdir(parents=True)  # of a copy: its own
    assert place.found(told) == f"{tmp_path}/moved/ray/trial_a/checkpoint_000003"


def test_a_refit_that_is_there_is_not_trained_again(tmp_path):
    best, place = trial("a", {"lr": 0.1}, [0.5]), place_of(tmp_path)
    kept = tmp_path / "refit" / "checkpoint_000002"
    journal = Journal(tmp_path / "journal.jsonl")
    for event in (Refitted("ta", 2, "/gone"), Refitted("ta", 3, str(kept)), Refitted("tb", 9, str(tmp_path))):
        journal.append(event)
    journal.close()
    assert _there(best, 3, place) is None
    kept.mkdir(parents=True)
    assert _there(best, 3, place) == str(kept)
    assert _there(best, 2, place) is None
    assert _there(best, 9, place) is None
