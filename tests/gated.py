"""A trainable that waits before its third step until a file is there, so that a test can kill its run at that point."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

from ray import tune

STEPS = 5
FREE = 0.02
"""The learning rate that need not wait."""


def train(config):
    checkpoint, start = tune.get_checkpoint(), 0
    if checkpoint:
        with checkpoint.as_directory() as folder:
            start = int((Path(folder) / "step.txt").read_text())
    top = -((math.log10(config["lr"]) + 2) ** 2)
    for step in range(start + 1, STEPS + 1):
        while step == 3 and config["lr"] != FREE and not Path(config["gate"]).exists():
            time.sleep(0.05)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "step.txt").write_text(str(step))
            report = {"score": top - 1 / step, "began": start}
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))
