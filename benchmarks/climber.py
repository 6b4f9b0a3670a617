"""A trainable that climbs at leisure and checkpoints every step: something to kill."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

STEPS = 8
STEP_S = 0.2


def train(config: Mapping[str, Any]) -> None:
    """Approach -(log10(lr) + 2)^2 in eight steps of a fifth of a second; `began` tells where this start began."""
    start = _restored()
    top = -((math.log10(config["lr"]) + 2) ** 2)
    for step in range(start + 1, STEPS + 1):
        time.sleep(STEP_S)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "step.txt").write_text(str(step), encoding="utf-8")
            report = {"score": top - 1 / step, "step": step, "began": start}
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))


def _restored() -> int:
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return 0
    with checkpoint.as_directory() as folder:
        return int((Path(folder) / "step.txt").read_text(encoding="utf-8"))
