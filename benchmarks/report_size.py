"""How long a report takes and how large it is, by the number of trials; the journals are made up.

    python -m benchmarks.report_size [--quick]

Without `--quick` up to 2000 trials of 50 steps.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from automl_gpt_ray.report.page import write_report
from benchmarks.made_run import make_run


def main() -> None:
    """Print a line for each size, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 200 trials")
    quick = parser.parse_args().quick
    found = {}
    for trials in (1, 20, 200) if quick else (1, 20, 200, 2000):
        with tempfile.TemporaryDirectory() as folder:
            made = make_run(Path(folder), trials)
            journal = (made / "journal.jsonl").stat().st_size
            began = time.perf_counter()
            path = write_report(made)
            seconds, size = time.perf_counter() - began, path.stat().st_size
        found[str(trials)] = {
            "seconds": round(seconds, 2),
            "mb": round(size / 1e6, 2),
            "journal_mb": round(journal / 1e6, 2),
        }
        print(f"{trials:5d} trials: journal {journal / 1e6:.2f} MB, report {size / 1e6:.2f} MB in {seconds:.1f} s")
    print(json.dumps({"report_size": found}))


if __name__ == "__main__":
    main()
