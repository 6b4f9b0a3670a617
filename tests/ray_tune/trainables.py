"""Trainables as users write them: plain Ray Tune functions that know nothing of this package."""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path

import ray
from ray import tune

from automl_gpt_ray.live import live


def quadratic(config):
    """Reaches -(log10(lr) + 2)^2 over ten steps; larger is better."""
    checkpoint = tune.get_checkpoint()
    start = 0
    if checkpoint:
        with checkpoint.as_directory() as folder:
            start = int((Path(folder) / "step.txt").read_text())
    top = -((math.log10(config["lr"]) + 2) ** 2)
    for step in range(start + 1, 11):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "step.txt").write_text(str(step))
            score = top - 1 / step
            tune.report({"score": score}, checkpoint=tune.Checkpoint.from_directory(folder))


def silent(config):
    """Reports, but not what is optimised."""
    tune.report({"acc": 0.5})


def sometimes_broken(config):
    """Fails for large rates in three ways."""
    if config["lr"] > 0.05:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    if config["lr"] > 0.02:
        tune.report({"score": math.nan})
        raise ValueError("loss is NaN")
    for step in range(1, 4):
        tune.report({"score": -abs(math.log10(config["lr"]) + 2) - 1 / step})


def climbing(config, turnstile=None):
    """Closes a share of the gap to its top at each of nine steps, from its checkpoint if it has one."""
    value, step = -10.0, 0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            step, value = json.loads((Path(folder) / "state.json").read_text())
    top = -((math.log10(config["lr"]) + 2) ** 2) - config["momentum"] / 10
    for now in range(step + 1, 10):
        value += (0.2 + 0.6 * config["momentum"]) * (top - value)
        if turnstile:
            ray.get(turnstile.pass_through.remote(tune.get_context().get_trial_id(), 1 + config["momentum"]))
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "state.json").write_text(json.dumps([now, value]))
            # Seconds as a simulator counts them: what depends on them is the same there.
            report = {"score": value, "step": now, "seconds": now * (1 + config["momentum"])}
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))


def leisurely(config):
    """Takes two seconds for its forty steps."""
    for step in range(1, 41):
        time.sleep(0.05)
        tune.report({"score": -abs(math.log10(config["lr"]) + 2) - 1 / step})


def revisable(config):
    """Climbs by its rate, and falls by it where that is above 0.5; tells what each step was trained with.

    `crash` is a file: where it is not there yet, it is made and the trial dies at step 8. `pause` is the seconds
    that a step takes.
    """
    hp = live(config)
    done, value = 0, 0.0
    if checkpoint := hp.checkpoint():
        with checkpoint.as_directory() as folder:
            done, value = json.loads((Path(folder) / "state.json").read_text())
    for step in range(done + 1, 13):
        rate = hp["opt"]["lr"]
        time.sleep(hp.get("pause", 0.0))
        value += rate if rate <= 0.5 else -rate
        if step == 8 and hp.get("crash") and not Path(hp["crash"]).exists():
            Path(hp["crash"]).touch()
            raise RuntimeError("its node died")
        told = {"score": value, "rate": rate, "batch": hp["batch"], "began": done, "step": step, "seconds": step}
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "state.json").write_text(json.dumps([step, value]))
            tune.report(told, checkpoint=tune.Checkpoint.from_directory(folder))
        hp.refresh()


def exploding(config):
    """Climbs by its rate; where that is above 0.3, NaN at step 3 and then an error, as trainers do."""
    hp = live(config)
    done, value = 0, 0.0
    if checkpoint := hp.checkpoint():
        with checkpoint.as_directory() as folder:
            done, value = json.loads((Path(folder) / "state.json").read_text())
    for step in range(done + 1, 7):
        rate = hp["opt"]["lr"]
        value = math.nan if step == 3 and rate > 0.3 else value + rate
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "state.json").write_text(json.dumps([step, value]))
            told = {"score": value, "rate": rate, "began": done, "step": step}
            tune.report(told, checkpoint=tune.Checkpoint.from_directory(folder))
        hp.refresh()
        if math.isnan(value):
            raise ValueError("the score became NaN")


def unhurried(config):
    """As `revisable`, without a checkpoint and without asking for what is new: reading does."""
    hp = live(config)
    for step in range(1, 13):
        time.sleep(0.05)
        tune.report({"score": hp["opt"]["lr"], "rate": hp["opt"]["lr"], "step": step, "seconds": step})


def greedy(config):
    """Takes `gb` GiB of the GPU, if it has them."""
    import torch

    held = torch.empty(int(config["gb"] * 2**30), dtype=torch.uint8, device="cuda")
    for step in range(1, 4):
        score = 1.0 / (1.0 + abs(math.log10(config["gb"])))
        tune.report({"accuracy": score, "step": step, "held": held.numel() / 2**30})
