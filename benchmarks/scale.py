"""Many workers, many trials, a slow model: what a driver bears. `python -m benchmarks.scale --quick`.

Each row is `benchmarks.big_run` in a process of its own: utilisation of the workers, prompts a trial, processor time of
each call of searcher and scheduler, memory. `known` trials had ended before the row began, so that a row shows what
the next trials cost where there are so many already.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale_pictures import draw

ROOT = Path(__file__).resolve().parents[1]
QUICK = ((10, 0, 60), (100, 900, 150), (1000, 8_500, 1_500))
FULL = ((10, 0, 300), (100, 0, 1_000), (100, 9_000, 1_000), (1000, 8_000, 2_000), (1000, 98_000, 2_000))
"""Workers, trials that are known, and further trials, of each row."""
FIGURES = "scaling.json"
CALLS = ("suggest", "searcher: result", "searcher: end", "scheduler: result", "scheduler: choose")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rows, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three small rows")
    parser.add_argument("--per-minute", type=int, default=60, help="requests that the model's server takes")
    parser.add_argument("--until", type=float, default=900.0, help="real seconds after which a row is given up")
    parser.add_argument("--pictures", type=Path, help="folder for pictures, and for the figures they are drawn from")
    parser.add_argument("--rows", type=Path, help="draw and print the rows of this file; nothing is measured")
    options = parser.parse_args(arguments)
    rows = []
    print(HEAD)
    for row in _kept(options.rows) if options.rows else _measured(options):
        rows.append(row)
        print(line(row), flush=True)
    told = json.dumps({"benchmark": "scale", "per_minute": options.per_minute, "rows": rows})
    if options.pictures:
        for path in draw(rows, options.pictures):
            print(path)
        (options.pictures / FIGURES).write_text(told + "\n", encoding="utf-8")
    print(told)


def _kept(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])["rows"]
    return found


def _measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for workers, known, trials in QUICK if options.quick else FULL:
        yield _run(workers, known, trials, options)


def _run(workers: int, known: int, trials: int, options: argparse.Namespace) -> dict[str, Any]:
    told = {
        "workers": workers,
        "known": known,
        "trials": trials,
        "per-minute": options.per_minute,
        "until": 60.0 if options.quick else options.until,
        "sampled": 40,
    }
    arguments = [word for name, value in told.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.scale_row", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


HEAD = (
    "| workers | trials known | then run | busy workers | prompts a trial | "
    + " | ".join(f"{name}, ms" for name in CALLS)
    + " | loop | advice | driver, MB | Optuna's, MB |\n"
    + "|---" * (len(CALLS) + 9)
    + "|"
)


def line(row: Mapping[str, Any]) -> str:
    """Return a row of the table; times as median / 99th percentile."""
    calls = [" / ".join(f"{v:.2f}" for v in row["ms"].get(name, ())) for name in CALLS]
    cells = [
        row["workers"],
        row["known"],
        row["trials"],
        f"{row['utilisation']:.1%}",
        f"{row['prompts_per_trial']:.2f}",
        *calls,
        f"{row['loop_busy']:.1%}",
        f"{row['advice_busy']:.1%}",
        row["rss_mb"],
        row["optuna_mb"],
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
