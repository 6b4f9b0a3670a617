"""Trials on a GPU: half precision, several on one, memory that runs out, revisions while one trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_revised_trainers import revised
from training.small import task_of

from automl_gpt_ray.cards import load_data_card, load_model_card
from automl_gpt_ray.config import Resources, read_job
from automl_gpt_ray.events import TrialEnded, TrialStarted
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.ray_tune.run import run
from automl_gpt_ray.training import fine_tuning, image_classification
from automl_gpt_ray.training.costs import GPU_MEMORY

pytestmark = [
    pytest.mark.ray,
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU, and torch with CUDA"),
]
CARDS = Path(__file__).resolve().parents[2] / "configs" / "cards"


def digits(**changes):
    job = {
        "name": "digits",
        "data_card": str(CARDS / "data" / "digits.yaml"),
        "model_card": str(CARDS / "models" / "small_cnn.yaml"),
        "trials": 4,
        "max_steps": 3,
        "resources": {"cpu": 0.5, "gpu": 1},
    }
    return read_job({**job, **changes})


def spans(journal):
    """Trial to the seconds at which it began and ended."""
    entries, began, found = read_journal(journal), {}, {}
    for entry in entries:
        if isinstance(entry.event, TrialStarted):
            began[entry.event.trial] = entry.time
        elif isinstance(entry.event, TrialEnded):
            found[entry.event.trial] = (began[entry.event.trial], entry.time)
    return found


def test_networks_compute_in_half_precision():
    device = torch.device("cuda")
    numbers = torch.ones(8, 8, device=device)
    with image_classification._autocast(device):
        assert (numbers @ numbers).dtype in (torch.bfloat16, torch.float16)
    assert sum(fine_tuning.precision().values()) == 1
    task = task_of(load_data_card(CARDS / "data" / "digits.yaml"), "accuracy", max_steps=2)
    config = dict(load_model_card(CARDS / "models" / "small_cnn.yaml").space.default)
    steps = [dict(step.metrics) for step in image_classification.fit(config, task)]
    assert steps[-1]["accuracy"] > 0.8


def test_a_trial_has_a_gpu_and_says_what_it_took_of_it(local_ray, tmp_path):
    outcome = run(digits(trials=2), None, tmp_path / "run")
    assert outcome.trials["completed"] == 2
    assert outcome.validation[GPU_MEMORY] > 0
    assert outcome.test["accuracy"] > 0.8


def test_four_trials_share_a_gpu(local_ray, tmp_path):
    outcome = run(digits(resources={"cpu": 0.25, "gpu": 0.25}, max_steps=8), None, tmp_path / "run")
    assert outcome.trials["completed"] == 4
    times = spans(outcome.journal)
    at_once = max(sum(began <= start < ended for began, ended in times.values()) for start, _ in times.values())
    assert at_once >= 2


def test_memory_that_runs_out_fails_a_configuration_and_not_the_run(local_ray, tmp_path):
    total = torch.cuda.get_device_properties(0).total_memory / 2**30
    # Most of what is drawn at random is more than the GPU has.
    gb = {"type": "float", "low": 0.01, "high": 1e6 * total, "log": True, "default": 0.1}
    card = {
        "name": "greedy",
        "structure": "none",
        "tasks": ["classification"],
        "input_types": ["image"],
        "hyperparameters": {"gb": gb},
        "trainable": "trainables:greedy",
    }
    outcome = run(digits(model_card=card, trials=12), None, tmp_path / "run")
    assert set(outcome.failures) == {"oom"}
    assert outcome.trials["completed"] + outcome.trials["failed"] == 12
    assert outcome.best_config["gb"] < total


def test_a_rate_is_revised_while_a_network_trains_on_a_gpu(local_ray, tmp_path):
    changes = {"learning_rate": 1e-4, "weight_decay": 0.1}
    (trial,), _, _ = revised(
        tmp_path, "small_cnn", "digits", image_classification, changes, resources=Resources(cpu=1, gpu=1)
    )
    ((first, changed),) = trial.lineage.schedule
    assert first in (4, 5)
    assert dict(changed) == changes
    assert [seen.step for seen in trial.observations] == [1, 2, 3, 4, 5]
    assert all(seen.metrics[GPU_MEMORY] > 0 for seen in trial.observations)
