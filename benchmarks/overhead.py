"""What a searcher costs Ray: trials per second, time in its calls, memory.

    python -m benchmarks.overhead [--quick]

* Trials per second: trials of one instant step on reused actors in real Ray, with `LLMSearch` (its
  classical and local advisors, and its journal) and with Ray's own random search, in turns.
* `suggest` at many finished trials: the searcher is driven without Ray by the calls that Ray's event
  loop makes, at a fixed rate of trials; its background threads work as in a run. Journal writes are
  included. Besides the time on the clock the processor time of the calling thread is told: on a busy
  machine the difference is waiting for others.
* Memory: what the process grew by from the empty searcher to the full one.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from automl_gpt_ray.events import ResultReported, TrialEnded, TrialStarted
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import Observation, Proposal, TrialState
from benchmarks.sleepers import DEFAULT, METRIC, Load, quality, run_sleepers, space, start_ray

CPUS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials and repeats")
    parser.add_argument("--trials", type=int, help="of a throughput run")
    parser.add_argument("--repeats", type=int, help="throughput runs of each method")
    parser.add_argument("--finished", type=int, default=10_000, help="trials known when `suggest` is timed")
    parser.add_argument("--steps", type=int, default=10, help="results of each of those")
    parser.add_argument("--per-second", type=float, default=10.0, help="trials started while it is timed")
    options = parser.parse_args(arguments)
    options.trials = options.trials or (150 if options.quick else 400)
    options.repeats = options.repeats or (2 if options.quick else 3)
    figures = {**_calls(options), **(_throughput(options) if options.repeats > 0 else {})}
    print(json.dumps({"benchmark": "overhead", "options": vars(options), **figures}))


def _throughput(options: argparse.Namespace) -> dict[str, Any]:
    start_ray(CPUS)
    rates: dict[str, list[float]] = {"random search": [], "LLMSearch": []}
    _rate(None, 20)  # the first run pays for the first workers
    for _ in range(options.repeats):
        rates["random search"].append(_rate(None, options.trials))
        rates["LLMSearch"].append(_rate(LLMSearch(default=DEFAULT, max_steps=1), options.trials))
    print("\n| method | trials per second, each run | median |\n|---|---|--:|")
    for method, found in rates.items():
        print(f"| {method} | {', '.join(f'{rate:.1f}' for rate in found)} | {statistics.median(found):.1f} |")
    pairs = [ours / theirs for ours, theirs in zip(rates["LLMSearch"], rates["random search"], strict=True)]
    return {"trials_per_second": rates, "relative": round(statistics.median(pairs), 3)}


def _rate(searcher: Any, trials: int) -> float:
    load = Load(CPUS)
    with tempfile.TemporaryDirectory() as folder:
        run_sleepers(searcher, load, Path(folder), cpu=1, steps=1, step_s=0.0, trials=trials)
    if searcher is not None:
        searcher.close()
    ends = sorted(end for _, end in load.spans)
    # From the tenth trial on: how long the first workers take to start is not the searcher's doing.
    return (len(ends) - 10) / (ends[-1] - ends[9])


def _calls(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        searcher = LLMSearch(default=DEFAULT, max_steps=options.steps, journal=folder)
        searcher.set_search_properties(METRIC, "max", space())
        searcher.suggest("first")
        before = _resident()
        with patch("os.fsync"):  # filling is not what is timed
            _fill(searcher, options.finished, options.steps)
        grown = _resident() - before
        times = _drive(searcher, 200 if options.quick else 500, options.steps, options.per_second)
        journal = searcher.book_path.stat().st_size
        searcher.close()
    print(f"\nAt {options.finished} finished trials of {options.steps} steps:")
    print("\n| call | calls | p50 | p99 | longest |\n|---|--:|--:|--:|--:|")
    figures: dict[str, Any] = {"memory_mb": round(grown / 1e6, 1), "journal_mb": round(journal / 1e6, 1)}
    for call, seconds in times.items():
        p50, p99, longest = (1000 * float(q) for q in np.quantile(seconds, [0.5, 0.99, 1.0]))
        print(f"| {call} | {len(seconds)} | {p50:.2f} ms | {p99:.2f} ms | {longest:.2f} ms |")
        figures[f"{call.replace(', ', '_')}_p99_ms"] = round(p99, 2)
    print(f"\nMemory: {figures['memory_mb']} MB; journal: {figures['journal_mb']} MB.")
    return figures


def _fill(searcher: LLMSearch, trials: int, steps: int) -> None:
    """Give the searcher finished trials, written down like any others."""
    book, brief, rng = searcher.book, searcher.brief, np.random.default_rng(0)
    for number in range(trials):
        name, config = f"f{number}", brief.space.sample(rng)
        book.record(TrialStarted(name, Proposal(f"random-{number}", config, "to fill the history", "random")))
        for step in range(1, steps + 1):
            value = quality(dict(config)) * step / steps
            book.record(ResultReported(name, Observation(step, {METRIC: value}, 0.1 * step)))
        book.record(TrialEnded(name, TrialState.COMPLETED))


def _drive(searcher: LLMSearch, trials: int, steps: int, per_second: float) -> dict[str, list[float]]:
    """Do what Ray's event loop does, at its pace, and time each call."""
    names = ("suggest", "on_trial_result", "on_trial_complete")
    times: dict[str, list[float]] = {name: [] for call in names for name in (call, f"{call}, processor")}

    def timed(call: str, function: Callable[..., Any], *arguments: Any) -> Any:
        began, worked = time.perf_counter(), time.thread_time()
        found = function(*arguments)
        times[f"{call}, processor"].append(time.thread_time() - worked)
        times[call].append(time.perf_counter() - began)
        return found

    for number in range(trials):
        trial = f"t{number}"
        while not (config := timed("suggest", searcher.suggest, trial)):
            time.sleep(0.1)
        for step in range(1, steps + 1):
            time.sleep(1 / per_second / steps)
            result = {METRIC: quality(config) * step / steps, "training_iteration": step, "time_total_s": 0.1 * step}
            timed("on_trial_result", searcher.on_trial_result, trial, result)
        timed("on_trial_complete", searcher.on_trial_complete, trial, result)
    return times


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if sys.platform == "linux" else 0
    return pages * 4096


if __name__ == "__main__":
    main()
