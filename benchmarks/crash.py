"""Drivers killed with SIGKILL at random moments, their runs carried on: what was lost, what was paid twice.

    python -m benchmarks.crash                # 20 kills
    python -m benchmarks.crash --quick        # 6 kills

Each run has a language model behind a real server. It is killed up to three times, at moments drawn
uniformly, then carried on to its end. What must hold is read from the journal as it stood
at each kill and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from automl_gpt_ray.book import Book
from automl_gpt_ray.events import PromptSent, ReplyReceived, TrialStarted
from automl_gpt_ray.journal import FILE_NAME, Entry, read_journal
from automl_gpt_ray.records import TrialRecord, TrialState
from benchmarks.climber import STEPS
from benchmarks.no_data import NO_DATA
from benchmarks.server_process import ServerProcess

TRIALS = 8
KILLS_A_RUN = 3
# Most kills come while trials train: so long after a driver's first event at most. Others while it starts.
TRAINING_S, STARTING_S = 7.0, 8.0
EARLY = 0.2
LONGEST_S = 300.0


@dataclass
class Tally:
    """What came of the kills; all but the first four must be 0.

    Attributes:
        kills: Drivers killed.
        runs: Runs carried on to their end.
        finished: Trials that had ended when a driver was killed.
        under_way: Trials that had not.
        lost: Finished trials that the end does not know, or knows otherwise.
        repeated: Steps that were trained again, over all kills.
        duplicates: Configurations trained in two trials.
        paid_twice: Prompts asked again although their reply was in the journal.
        missing: Trials that a run fell short of, or went beyond.
        broken: Runs that could not be carried on.
    """

    kills: int = 0
    runs: int = 0
    finished: int = 0
    under_way: int = 0
    lost: int = 0
    duplicates: int = 0
    paid_twice: int = 0
    missing: int = 0
    broken: int = 0
    repeated: int = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill, carry on, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="6 kills")
    options = parser.parse_args(arguments)
    kills = 6 if options.quick else options.kills
    rng, tally = random.Random(options.seed), Tally()  # noqa: S311 - moments, not secrets
    began = time.perf_counter()
    with ServerProcess(latency_s=0.5) as server:
        while tally.kills < kills:
            with tempfile.TemporaryDirectory() as folder:
                one_run(Path(folder), server.url, min(KILLS_A_RUN, kills - tally.kills), rng, tally)
            print(" ".join(f"{f.name} {getattr(tally, f.name)}" for f in fields(tally)), flush=True)
    held = not any((tally.lost, tally.duplicates, tally.paid_twice, tally.missing, tally.broken))
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps({"benchmark": "crash", **asdict(tally), "held": held, "seconds": seconds}))


def one_run(folder: Path, url: str, kills: int, rng: random.Random, tally: Tally) -> None:
    """Start a run, kill it `kills` times, carry it on to its end and enter what came of it."""
    job, run_dir = folder / "job.json", folder / "run"
    job.write_text(json.dumps(_job(url)), encoding="utf-8")
    command = ["run", str(job), "--run-dir", str(run_dir)]
    seen: list[list[Entry]] = []
    for _ in range(kills):
        _killed(command, run_dir, rng)
        tally.kills += 1
        seen.append(_entries(run_dir))
        command = ["run", "--resume", str(run_dir)] if (run_dir / "job.json").exists() else command
    ended = subprocess.run(  # noqa: S603 - ours
        _python(command), env=_environment(), capture_output=True, timeout=LONGEST_S, check=False
    )
    tally.runs += 1
    if ended.returncode:
        tally.broken += 1
        print(ended.stdout.decode()[-2000:], ended.stderr.decode()[-2000:], file=sys.stderr)
        return
    _count(seen, _entries(run_dir), tally)


def _killed(command: list[str], run_dir: Path, rng: random.Random) -> None:
    """Start a driver and kill it: sometimes while it starts, mostly at some moment of its training."""
    known = len(_entries(run_dir))
    driver = subprocess.Popen(  # noqa: S603 - ours
        _python(command), env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    early = rng.random() < EARLY
    while not early and driver.poll() is None and not _under_way(_entries(run_dir)[known:]):
        time.sleep(0.1)
    try:
        driver.wait(rng.uniform(0.0, STARTING_S if early else TRAINING_S))
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()


def _under_way(entries: list[Entry]) -> bool:
    return any(entry.event.kind in ("trial_started", "result") for entry in entries)


def _count(seen: list[list[Entry]], final: list[Entry], tally: Tally) -> None:
    after = _trials(final)
    for entries in seen:
        for key, trial in _trials(entries).items():
            if trial.state.ended:
                tally.finished += 1
                tally.lost += after.get(key) != trial
            else:
                tally.under_way += 1
        tally.paid_twice += _asked_again(entries, final)
    starts = [(e.event.trial, e.event.proposal.config["lr"]) for e in final if isinstance(e.event, TrialStarted)]
    kept = [lr for trial, lr in starts if trial in after]
    tally.duplicates += len(kept) - len(set(kept))
    tally.missing += abs(len(after) - TRIALS) + sum(t.state is not TrialState.COMPLETED for t in after.values())
    results = sum(entry.event.kind == "result" for entry in final)
    tally.repeated += results - STEPS * len(after)


def _asked_again(before: list[Entry], final: list[Entry]) -> int:
    answered = {e.event.call for e in before if isinstance(e.event, ReplyReceived)}
    paid = [e.event.messages for e in before if isinstance(e.event, PromptSent) and e.event.call in answered]
    later = [e.event for e in final if isinstance(e.event, PromptSent) and e.seq > (before[-1].seq if before else 0)]
    return sum(prompt.messages in paid for prompt in later)


def _trials(entries: list[Entry]) -> dict[str, TrialRecord]:
    book = Book().replay(entry.event for entry in entries)
    return {trial.id: trial for trial in book.history().trials} if book.started else {}


def _entries(run_dir: Path) -> list[Entry]:
    return read_journal(run_dir / FILE_NAME) if (run_dir / FILE_NAME).exists() else []


def _python(command: list[str]) -> list[str]:
    return [sys.executable, "-m", "automl_gpt_ray.cli", *command]


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def _job(url: str) -> dict[str, object]:
    hyperparameters = {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True, "default": 0.02}}
    return {
        "name": "crash",
        "data_card": NO_DATA,
        "model_card": {
            "name": "climber",
            "structure": "none",
            "tasks": ["classification"],
            "input_types": ["tabular"],
            "hyperparameters": hyperparameters,
            "trainable": "benchmarks.climber:train",
            "max_steps": STEPS,
        },
        "request": {"metrics": [{"name": "score", "mode": "max"}]},
        "trials": TRIALS,
        "max_concurrent": 2,
        "llm": {"model": "test-model", "base_url": url},
    }


if __name__ == "__main__":
    main()
