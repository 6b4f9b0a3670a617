"""Live values outside of a trial: a plain mapping, with or without Ray."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from automl_gpt_ray.live import Live, live, put

CONFIG = {"lr": 0.1, "opt": {"name": "sgd"}}


def test_it_reads_like_the_configuration():
    hp = live(CONFIG)
    assert dict(hp) == CONFIG == {**hp}
    assert (hp["lr"], hp.get("none", 3), "lr" in hp, len(hp)) == (0.1, 3, True, 2)
    assert live(hp) is hp
    with pytest.raises(KeyError):
        hp["none"]
    assert hp.refresh() is False
    assert hp.checkpoint() is None


def test_it_travels():
    hp = pickle.loads(pickle.dumps(live(CONFIG)))
    assert dict(hp) == CONFIG
    assert hp.refresh() is False


def test_what_changes_in_the_configuration_is_seen():
    config = {"lr": 0.1}
    hp = live(config)
    config["lr"] = 0.2
    assert hp["lr"] == 0.2


def test_nested_values_are_set_in_place():
    config = {"opt": {"lr": 0.1, "name": "sgd"}}
    put(config, "opt/lr", 0.2)
    put(config, "new/deep", 1)
    assert config == {"opt": {"lr": 0.2, "name": "sgd"}, "new": {"deep": 1}}


def test_a_plain_script_needs_no_ray():
    code = "import sys; from automl_gpt_ray.live import live; live({'lr': 1})['lr']; print('ray' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_driver_of_ray_is_no_trial():
    from ray import tune  # noqa: F401 - that it is imported is the point

    hp = live(CONFIG)
    assert isinstance(hp, Live)
    assert hp["lr"] == 0.1
    assert hp._trial is None
