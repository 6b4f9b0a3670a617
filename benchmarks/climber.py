"""A trainable that climbs at leisure and checkpoints every step: something to kill."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune

from automl_gpt_ray.live import live

STEPS = 8
STEP_S = 0.2


def train(config: Mapping[str, Any]) -> None:
    """Approach -(log10(lr) + 2)^2 in eight steps of `pause` seconds; `began` and `node` tell where it stands."""
    start = _restored(live(config).checkpoint())
    node = int(ray.get_runtime_context().get_node_id()[:6], 16)
    top = -((math.log10(config["lr"]) + 2) ** 2)
    for step in range(start + 1, STEPS + 1):
        time.sleep(config.get("pause", STEP_S))
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "step.txt").write_text(str(step), encoding="utf-8")
            report = {"score": top - 1 / step, "step": step, "began": start, "node": node}
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))


def _restored(checkpoint: Any) -> int:
    if checkpoint is None:
        return 0
    with checkpoint.as_directory() as folder:
        return int((Path(folder) / "step.txt").read_text(encoding="utf-8"))
