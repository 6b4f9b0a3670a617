"""Live values in the workers of Ray Train: rank 0 asks, the others are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import ray
from ray import train
from ray.train.torch import TorchTrainer

from automl_gpt_ray.live import Live, Notice, board_name
from automl_gpt_ray.ray_tune.board import Board

pytestmark = pytest.mark.ray


def work(config):
    hp, rank = config["hp"], train.get_context().get_world_rank()
    seen = [hp["lr"]]
    for step in (1, 2):
        if rank == 0 and step == 1:  # as the driver does at a report
            ray.get(ray.get_actor(board_name(config["name"])).post.remote("t", Notice(1, {"lr": 0.5})))
        hp.refresh()
        seen.append(hp["lr"])
    (Path(config["folder"]) / f"{rank}.json").write_text(json.dumps(seen))


def test_all_workers_change_at_the_same_step(local_ray, tmp_path):
    name = tmp_path.name  # of this try: a board outlives a test that failed
    board = Board(name)
    TorchTrainer(
        work,
        train_loop_config={"hp": Live({"lr": 0.1}, "t", board_name(name)), "folder": str(tmp_path), "name": name},
        scaling_config=train.ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5}),
        run_config=train.RunConfig(storage_path=str(tmp_path), name="run"),
    ).fit()
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [[0.1, 0.5, 0.5]] * 2
    assert board.taken("t") == 1
