"""How many trials an hour one GPU trains, alone and packed: `python -m benchmarks.packing`.

    python -m benchmarks.packing [--quick] [--packed 1 2 4]

Each row is a run of this package through Ray, without a language model: a small convolutional network on scikit-learn's
digits, so many trials at once on one GPU (`resources: {gpu: 0.25}` packs four). A machine without a GPU is told so: its
figures would say nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from automl_gpt_ray.config import read_job
from automl_gpt_ray.ray_tune.run import run

CARDS = Path(__file__).resolve().parents[1] / "configs" / "cards"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rows, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="eight trials of ten epochs each")
    parser.add_argument("--packed", type=int, nargs="+", default=[1, 2, 4], help="trials at once")
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60, help="epochs of each trial")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        parser.exit(2, "benchmarks.packing needs an NVIDIA GPU, and torch with CUDA\n")
    trials, steps = (8, 10) if options.quick else (options.trials, options.steps)
    rows = []
    print("| trials at once | trials an hour | seconds | best accuracy |\n|---|---|---|---|")
    for packed in options.packed:
        rows.append(row := _row(packed, trials, steps))
        print("| " + " | ".join(map(str, row.values())) + " |", flush=True)
    device = torch.cuda.get_device_name(0)
    print(json.dumps({"benchmark": "packing", "device": device, "trials": trials, "steps": steps, "rows": rows}))


def _row(packed: int, trials: int, steps: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        job = {
            "name": f"packed-{packed}",
            "data_card": str(CARDS / "data" / "digits.yaml"),
            "model_card": str(CARDS / "models" / "small_cnn.yaml"),
            "trials": trials,
            "max_steps": steps,
            "scheduler": {"type": "none"},
            "resources": {"cpu": 1, "gpu": 1 / packed},
            "experience": "off",
            "storage_path": folder,
        }
        outcome = run(read_job(job), None)
    seconds = outcome.wall_seconds
    best = (outcome.validation or {}).get(outcome.metric, float("nan"))
    hourly = round(3600 * outcome.trials["completed"] / seconds, 1)
    return {"packed": packed, "trials_an_hour": hourly, "seconds": round(seconds, 1), "best": round(best, 4)}


if __name__ == "__main__":
    main()
