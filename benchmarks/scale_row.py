"""One row of `benchmarks.scale`, in a process of its own: `python -m benchmarks.scale_row --workers 10`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.big_run import BigRun


def main(arguments: Sequence[str] | None = None) -> None:
    """Run once and print a line of figures."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--per-minute", type=int, default=60, help="requests that the model's server takes")
    parser.add_argument("--until", type=float, default=1e9, help="real seconds after which it is given up")
    parser.add_argument("--known", type=int, default=0, help="trials that had ended when it began")
    parser.add_argument("--sampled", type=int, default=1, help="of so many calls of an advisor one is real")
    options = parser.parse_args(arguments)
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        limits = (Path(folder), options.until, options.sampled, options.known)
        made = BigRun(options.workers, options.trials, options.per_minute, *limits)
        before, began = process.memory_info().rss, time.monotonic()
        made.run()
        # Children are the optimiser's own process, which has ended by now.
        grown, real = process.memory_info().rss - before, time.monotonic() - began
        journal = sum(f.stat().st_size for f in Path(folder).glob("journal.jsonl"))
        sizes = {"rss_mb": (before + grown) / 2**20, "grown_mb": grown / 2**20, "journal_mb": journal / 2**20}
        sizes["optuna_mb"] = made.elsewhere_mb
        print(json.dumps({**made.figures(), **{k: round(v) for k, v in sizes.items()}, "real_s": round(real, 1)}))


if __name__ == "__main__":
    main()
