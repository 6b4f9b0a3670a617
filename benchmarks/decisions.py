"""How long the event loop waits for a decision of freeze-thaw, with many trials known.

    python -m benchmarks.decisions [--quick] [--known 1000]

A book in a journal on disk, as in a run; the planner with all its models of curves in a thread of its own. Half of the
known trials have ended, half are paused. Then one trial after the other starts and reports, at a fixed rate, and each
call that the scheduler makes is timed: `after` (does this trial go on?) and `next` (what does a free worker do?), by
the clock and by the processor time of the calling thread. `ranking` is what the other thread takes, off the event loop.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final
from unittest.mock import patch

import numpy as np

from automl_gpt_ray.book import Book
from automl_gpt_ray.curves.competitors import competitors
from automl_gpt_ray.events import AdviceGiven, ResultReported, RunStarted, TrialEnded, TrialStarted
from automl_gpt_ray.journal import FILE_NAME, Journal
from automl_gpt_ray.planner import Planner, Ranking
from automl_gpt_ray.records import History, Observation, Proposal, TrialState
from automl_gpt_ray.scorekeeper import Scorekeeper
from automl_gpt_ray.steering import Steering
from automl_gpt_ray.steering_rule import SteeringRule
from benchmarks.formula import Formula

STEPS = 50


@final
class Timed:
    """The planner, its rankings timed."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planner, name)

    def rank(self, history: History, asked: Any = (), bare: Any = ()) -> Ranking:
        """Return the planner's ranking."""
        began = time.perf_counter()
        found = self._planner.rank(history, asked, bare)
        self.seconds.append(time.perf_counter() - began)
        return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and close with one line of JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer reports")
    parser.add_argument("--known", type=int, default=1000, help="trials known")
    parser.add_argument("--reports", type=int, default=600, help="that are timed")
    parser.add_argument("--per-second", type=float, default=10.0, help="reports")
    options = parser.parse_args(arguments)
    reports = 200 if options.quick else options.reports
    figures: dict[str, Any] = {"benchmark": "decisions", "known": options.known}
    print("| call | calls | p50 | p99 | longest |\n|---|--:|--:|--:|--:|")
    for call, seconds in measure(options.known, reports, options.per_second).items():
        p50, p99, longest = (1000 * float(q) for q in np.quantile(seconds, [0.5, 0.99, 1.0]))
        print(f"| {call} | {len(seconds)} | {p50:.2f} ms | {p99:.2f} ms | {longest:.2f} ms |")
        figures[call] = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
    print(json.dumps(figures))


def measure(known: int, reports: int, per_second: float) -> dict[str, list[float]]:
    """Return the seconds of each call, by name; of `after` and `next` also the processor's."""
    problem = Formula(STEPS)
    brief = problem.brief
    with tempfile.TemporaryDirectory() as folder:
        keeper = Scorekeeper(brief.objective, STEPS)
        journal = Journal(Path(folder) / FILE_NAME, str)
        book = Book(journal, also=keeper.note)
        book.record(RunStarted(brief.objective.metric, brief.objective.mode, STEPS, 0, brief.space.default))
        course = _Course(book, problem)
        with patch("os.fsync"):  # filling is not what is timed
            for number in range(known):
                course.past(number)
        models = competitors()
        planner = Timed(Planner(brief.space, STEPS, makers=lambda: models, gates=keeper.gates))
        steering = Steering(book, planner, keeper, SteeringRule(), lambda: True)  # type: ignore[arg-type]
        steering.start()
        times = _drive(course, steering, reports, per_second)
        steering.stop()
        journal.close()
    return {**times, "ranking": planner.seconds}


@final
class _Course:
    """Trials of a problem, written into a book."""

    def __init__(self, book: Book, problem: Formula) -> None:
        self._book, self._problem, self._rng = book, problem, np.random.default_rng(0)
        self._curves: dict[str, int] = {}

    def start(self, number: int) -> str:
        """Queue a proposal, start it, and return its trial."""
        name = f"t{number}"
        proposal = Proposal(f"random-{number}", self._problem.brief.space.sample(self._rng), "drawn", "classical")
        self._book.record(AdviceGiven("classical", self._book.version, (proposal,)))
        self._book.record(TrialStarted(name, proposal))
        self._curves[name] = self._problem.open(proposal.config)
        return name

    def report(self, name: str, step: int) -> None:
        """Report a step."""
        values = dict(self._problem.report(self._curves[name], step))
        self._book.record(ResultReported(name, Observation(step, values, float(step))))

    def end(self, name: str, state: TrialState) -> None:
        """End a trial, or pause it."""
        self._book.record(TrialEnded(name, state))

    def past(self, number: int) -> None:
        """Write down a trial that was: one in ten trained in full."""
        name, last = self.start(number), STEPS if number % 10 == 0 else int(self._rng.integers(1, STEPS // 2))
        for step in range(1, last + 1):
            self.report(name, step)
        done = TrialState.COMPLETED if last == STEPS else TrialState.STOPPED
        self.end(name, done if number % 2 == 0 else TrialState.PAUSED)


def _drive(course: _Course, steering: Steering, reports: int, per_second: float) -> dict[str, list[float]]:
    """Do what the scheduler does, at a fixed rate, and time each call."""
    times: dict[str, list[float]] = {name: [] for call in ("after", "next") for name in (call, f"{call}, processor")}

    def timed(call: str, function: Callable[..., Any], *told: Any) -> Any:
        began, worked = time.perf_counter(), time.thread_time()
        found = function(*told)
        times[f"{call}, processor"].append(time.thread_time() - worked)
        times[call].append(time.perf_counter() - began)
        return found

    left, number = reports, 0
    while left > 0:
        timed("next", steering.next)
        name = course.start(1_000_000 + number)
        number += 1
        for step in range(1, STEPS + 1):
            time.sleep(1 / per_second)
            course.report(name, step)
            left -= 1
            if timed("after", steering.after, name) is not None or left <= 0:
                break
        course.end(name, TrialState.PAUSED)
    return times


if __name__ == "__main__":
    main()
