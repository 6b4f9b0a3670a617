"""A cluster of our own with a job server that asks for a token, and the command line as its users call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from small_runs import gated_card

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.no_data import NO_DATA  # noqa: E402 - found by the path above
from benchmarks.own_cluster import OwnCluster  # noqa: E402 - likewise

TRAINER = """
import math, tempfile, time
from pathlib import Path
from ray import tune

def train(config):
    start, found = 0, tune.get_checkpoint()
    if found:
        with found.as_directory() as folder:
            start = int((Path(folder) / "step.txt").read_text())
    for step in range(start + 1, 9):
        time.sleep(0.05)
        while config["lr"] != 0.02 and step == 3 and Path(config["gate"]).exists():
            time.sleep(0.05)
        if config["fails"]:
            raise MemoryError("CUDA out of memory")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "step.txt").write_text(str(step))
            score = -((math.log10(config["lr"]) + 2) ** 2) - 1 / step
            report = {"score": score, "step": step, "began": start}
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    token = {"RAY_AUTH_TOKEN": uuid.uuid4().hex}
    with OwnCluster(tmp_path_factory.mktemp("cluster"), cpus=2, environment=token, auth="token") as started:
        yield started


@pytest.fixture
def climbing(tmp_path):
    """Writes a job whose trainable is a module of one's own, in a folder that only the client knows.

    Its trials but the first wait in their third step while there is a file `gate`.
    """
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "climbing.py").write_text(TRAINER)

    def write(fails=False, **changes):
        card = gated_card("climbing:train", 8, tmp_path / "gate", fails=fails)
        job = {
            "name": "climb",
            "data_card": NO_DATA,
            "model_card": card,
            "request": {"metrics": [{"name": "score", "mode": "max"}]},
            "trials": 3,
            "max_concurrent": 2,
            "experience": "off",
            "storage_path": f"file://{tmp_path}/runs",
            **changes,
        }
        path = folder / "job.yaml"
        path.write_text(json.dumps(job))
        return path

    return write


@pytest.fixture
def command(climbing, tmp_path):
    """Runs the command line in a process of its own; returns what `subprocess.run` does, or the process."""

    def call(*arguments, cluster=None, wait=True, **environment):
        inherited = {n: v for n, v in (cluster.environment if cluster else os.environ).items() if n != "PYTHONPATH"}
        path = os.pathsep.join([str(ROOT), str(tmp_path / "mine")])
        told = [*map(str, arguments), *(["--address", cluster.url] if cluster else [])]
        process = subprocess.Popen(
            [sys.executable, "-m", "automl_gpt_ray.cli", *told],
            env={**inherited, "PYTHONPATH": path, **environment},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C reaches it as from a terminal, also where the tests run in the background, which ignores it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        if not wait:
            return process
        process.out, process.err = process.communicate(timeout=240)
        return process

    return call
