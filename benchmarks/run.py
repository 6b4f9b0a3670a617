"""Run methods on problems in virtual time, and print the table.

    python -m benchmarks.run --suite small                          # our recorded curves, a few minutes
    python -m benchmarks.run --suite full --curves ../shared/curves --jobs 8
    python -m benchmarks.run --suite lcbench --curves PATH --methods tpe+asha ours-mixture+asha

A proposal is moved to the nearest row of the table that the run has not trained yet, and its method is told
(`--lookup` has two other ways, see `benchmarks.problems`; the suite `lcbench@surrogate` answers between the rows, see
`benchmarks.surrogate`). `--noise SIGMA` adds a normal error to every value
that methods are shown.

Raw results go to `--out`; a run that is there already is not run again, so an interrupted suite goes on.
The table and the pictures are made from the raw results alone (`python -m benchmarks.analysis OUT`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

from benchmarks import tables
from benchmarks.problems import Lookup, Table, median_row, seated, started_from
from benchmarks.raw import RunKey
from benchmarks.surrogate import Surrogate

RESULTS = Path(__file__).resolve().parent / "results"
CORE = ("default", "random", "random+asha", "tpe", "tpe+asha", "ours-classical+asha", "ours-mixture+asha")
MEDIAN_START = "@median"
"""Ending of a suite's name whose every method starts from the table's median configuration instead."""
BETWEEN_ROWS = "@surrogate"
"""Ending of one whose tables answer between their rows too (`benchmarks.surrogate`)."""


@dataclass(frozen=True)
class Suite:
    """Which tables, methods (empty: all that need no model) and how many full trainings as budget."""

    tables: tuple[str, ...]
    methods: tuple[str, ...]
    trainings: int
    seeds: int


SUITES = {
    "small": Suite(("recorded",), CORE, trainings=10, seeds=8),
    "recorded": Suite(("recorded",), (), trainings=20, seeds=8),
    "lcbench": Suite(("lcbench",), (), trainings=20, seeds=8),
    "lcbench@median": Suite(("lcbench@median",), (), trainings=20, seeds=8),
    "lcbench@surrogate": Suite(("lcbench@surrogate",), (), trainings=20, seeds=8),
    "taskset": Suite(("taskset",), (), trainings=20, seeds=8),
    "arlbench": Suite(("arlbench",), (), trainings=20, seeds=8),
    "full": Suite(("recorded", "lcbench", "lcbench@median", "taskset", "arlbench"), (), trainings=20, seeds=8),
}


@dataclass(frozen=True)
class Order:
    """One run to be done, as it is sent to a process."""

    key: RunKey
    trainings: int
    workers: int
    curves: str | None
    out: str
    switch_s: float
    llm_url: str | None
    llm_model: str
    lookup: Lookup = "fresh"
    noise: float = 0.0


def main() -> None:
    """Run what is missing, then analyse."""
    options = _options()
    began = time.perf_counter()
    _same_setting(options)
    orders = list(_orders(options))
    missing = [order for order in orders if not order.key.file(Path(order.out)).exists()]
    print(f"{len(orders)} runs, {len(missing)} to do, in {options.jobs} processes", flush=True)
    failures = _carry_out(missing, options.jobs)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    from benchmarks.analysis import report

    figures = report(Path(options.out), pictures=not options.no_pictures)
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps({"runs": len(orders), "failed": len(failures), "seconds": seconds, **figures}))
    sys.exit(1 if failures else 0)


def _same_setting(options: argparse.Namespace) -> None:
    """Write down what the runs of a folder share, and stop where this call would mix another into it."""
    trainings = options.trainings or SUITES[options.suite].trainings
    setting = {"trainings": trainings, "workers": options.workers, "switch_s": options.switch_s}
    setting |= {"lookup": options.lookup, "noise": options.noise}
    setting |= {"llm_model": options.llm_model} if options.llm_url else {}
    file = options.out / "setting.json"
    if file.exists() and json.loads(file.read_text("utf-8")) != setting:
        sys.exit(f"`{file}` says otherwise than {setting}: give another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(setting), encoding="utf-8")


def _carry_out(orders: list[Order], jobs: int) -> list[str]:
    if jobs == 1:
        return [text for order in orders if (text := carry_out(order))]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the processes load their libraries
    failures: list[str] = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(carry_out, order) for order in orders]
        for done, future in enumerate(as_completed(futures), 1):
            failures += [text] if (text := future.result()) else []
            if done % max(1, len(futures) // 20) == 0:
                print(f"  {done} of {len(futures)}", flush=True)
    return failures


def carry_out(order: Order) -> str:
    """Do one run and write its file; return why it could not be done, or an empty string."""
    from benchmarks.one_run import simulate

    known = problems(order.key.suite, order.curves, order.lookup)
    problem = next(t for t in known if t.name == order.key.task)
    rest = (order.switch_s, order.llm_url, order.llm_model, order.noise)
    try:
        simulate(order.key, problem, known, order.trainings, order.workers, Path(order.out), *rest)
    except Exception as error:  # noqa: BLE001 - one broken run must not end a suite of hours; it is told at the end
        return f"{order.key}: {type(error).__name__}: {error}"
    return ""


@lru_cache(maxsize=8)
def problems(suite: str, curves: str | None, lookup: Lookup = "fresh") -> list[Table] | list[Surrogate]:
    """Return the problems of a suite, `@median` and `@surrogate` understood; kept for the next run of the process."""
    if suite.endswith(BETWEEN_ROWS):
        return [Surrogate(table) for table in tables.load(suite.removesuffix(BETWEEN_ROWS), _folder(curves))]
    if suite.endswith(MEDIAN_START):
        found = _seated(suite.removesuffix(MEDIAN_START), curves, lookup)
        return [started_from(table, median_row(table)) for table in found]
    return _seated(suite, curves, lookup)


def _folder(curves: str | None) -> Path | None:
    return Path(curves) if curves else None


def _seated(suite: str, curves: str | None, lookup: Lookup) -> list[Table]:
    found = tables.load(suite, _folder(curves))
    return [replace(table if lookup == "untold" else seated(table), lookup=lookup) for table in found]


def _orders(options: argparse.Namespace) -> Iterator[Order]:
    from benchmarks.controls import ALL

    suite = SUITES[options.suite]
    wanted = options.methods or suite.methods or [m.name for m in ALL.values() if options.llm_url or not m.needs_llm]
    for name in [name for name in wanted if ALL[name].missing]:
        print(f"skipped {name}: not installed: {', '.join(ALL[name].missing)} (extra `peers`)")
    wanted = [name for name in wanted if not ALL[name].missing]
    curves = str(options.curves) if options.curves else None
    for name in suite.tables:
        for seed in range(options.seeds or suite.seeds):
            for table in problems(name, curves):
                if options.tasks and table.name not in options.tasks:
                    continue
                for method in wanted:
                    key = RunKey(name, table.name, method, seed)
                    trainings = options.trainings or suite.trainings
                    model = (options.llm_url, options.llm_model)
                    rest = (options.switch_s, *model, options.lookup, options.noise)
                    yield Order(key, trainings, options.workers, curves, str(options.out), *rest)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=sorted(SUITES), default="small")
    parser.add_argument("--quick", action="store_true", help="the same as `--suite small`")
    parser.add_argument("--curves", type=Path, help="folder of lcbench.parquet, taskset.parquet, arlbench.parquet")
    parser.add_argument("--methods", nargs="*", metavar="METHOD", help="rows of the table; by default the suite's")
    parser.add_argument("--tasks", nargs="*", help="by default all of the suite")
    parser.add_argument("--seeds", type=int, help="number of seeds")
    parser.add_argument("--trainings", type=int, help="budget, in full trainings")
    parser.add_argument("--workers", type=int, default=4, help="trials at once")
    parser.add_argument("--switch-s", type=float, default=0.0, help="virtual seconds to pause, and to resume")
    parser.add_argument("--lookup", choices=get_args(Lookup), default="fresh", help="which row answers for a proposal")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation, in the metric's own unit")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, help="folder of the raw results")
    parser.add_argument("--llm-url", help="server that speaks OpenAI's protocol: adds the rows with a model")
    parser.add_argument("--llm-model", default="default", help="the model's name there")
    parser.add_argument("--no-pictures", action="store_true")
    options = parser.parse_args()
    options.suite = "small" if options.quick else options.suite
    options.out = options.out or RESULTS / options.suite
    return options


if __name__ == "__main__":
    main()
