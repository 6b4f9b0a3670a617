"""`automl-gpt-ray report`: the report of a run, as one HTML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from automl_gpt_ray.errors import JobError, Problem, reason_of


def report(
    run_dir: Annotated[
        str, typer.Argument(help="Folder or URI of a run, or of a job of several tasks.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: report.html in the run folder, for a URI in this one.")
    ] = None,
) -> None:
    """Write one HTML file that shows a run: open it in any browser, send it to anybody; it needs no network.

    A run that is still going on can be reported too.
    """
    from automl_gpt_ray.jobs.fetching import at_hand
    from automl_gpt_ray.report.index import write_reports
    from automl_gpt_ray.report.page import FILE_NAME
    from automl_gpt_ray.storage import is_uri

    copied = is_uri(run_dir)
    try:
        with at_hand(run_dir) as folder:
            written = write_reports(folder, out or (Path(FILE_NAME) if copied else None))
    except OSError as error:
        got = str(error.filename or out or run_dir)  # a disk that is full names no file
        rule = f"must be a file that can be written ({reason_of(error)})"
        raise JobError("report", [Problem("--out", rule, got, "name another with --out")]) from None
    for path in written:
        sys.stdout.write(f"{path} ({path.stat().st_size / 1e6:.2f} MB)\n")
