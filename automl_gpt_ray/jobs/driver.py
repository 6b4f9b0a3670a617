"""What a submitted job runs on the cluster's head: `python -m automl_gpt_ray.jobs.driver ACTION RUN`.

Works in the folder that `packing` made. `run` begins the run RUN (path or URI), `resume` carries it on, `feedback`
leaves a remark in it. Prints what `automl-gpt-ray run` prints, and ends with its exit code.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.config import LoadedJob, read_job
from automl_gpt_ray.errors import AutoMLGPTError, InputError, JobError, Problem
from automl_gpt_ray.events import RunStarted
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.feedback_file import give
from automl_gpt_ray.hints import hint_problems
from automl_gpt_ray.job_file import FILE_NAME, saved_job
from automl_gpt_ray.journal import FILE_NAME as JOURNAL
from automl_gpt_ray.journal import scan_journal
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.ray_tune.configured_llm import configured
from automl_gpt_ray.ray_tune.run import resume, run
from automl_gpt_ray.ray_tune.run_place import brought, place_of
from automl_gpt_ray.terminal import show_outcome, show_start

OUTAGE = 3
WIDTH = 110


def main(arguments: Sequence[str]) -> int:
    """Do what the job was submitted for and return its exit code, that of `automl-gpt-ray run`."""
    action, run_dir, *more = arguments
    try:
        if action == "feedback":
            return _feedback(run_dir, more[0])
        values = json.loads(Path(FILE_NAME).read_text(encoding="utf-8"))
        if action == "run":
            return _run(read_job(values, "job"), run_dir, begin=True)
        return _run(saved_job(brought(run_dir), values), run_dir, begin=False)
    except InputError as error:
        return _fail(str(error), 2)
    except AutoMLGPTError as error:
        return _fail(f"{type(error).__name__}: {error}", 1)


def _run(loaded: LoadedJob, run_dir: str, begin: bool) -> int:
    console = Console(width=WIDTH, highlight=False)
    show_start(console, loaded)
    llm = configured(loaded.job.llm) if loaded.job.llm else None

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    outcome = run(loaded, llm, run_dir, tell) if begin else resume(loaded, run_dir, llm, tell)
    show_outcome(console, outcome)
    return OUTAGE if outcome.failed else 0 if outcome.best_config is not None else 1


def _feedback(run_dir: str, text: str) -> int:
    values: dict[str, Any] = json.loads(text)
    narrowed = {name: (float(low), float(high)) for name, (low, high) in values["narrowed"].items()}
    said = Feedback("", values["text"], values["fixed"], narrowed, tuple(values["freed"]))
    folder = place_of(run_dir).folder
    if problems := _hint_problems(folder / JOURNAL, said):
        raise JobError("feedback", problems)
    made = give(folder, said)
    sys.stdout.write(f"feedback {made.id}: the run will know of it within seconds\n")
    return 0


def _hint_problems(journal: Path, said: Feedback) -> list[Problem]:
    """Return what is wrong with the hints of a remark; nothing before the run has begun, which checks them then."""
    if not journal.is_file():
        return []
    events = (entry.event for entry in scan_journal(journal) if entry)
    began = next((event for event in events if isinstance(event, RunStarted)), None)
    return hint_problems(said, Brief.from_dict(began.brief).space) if began and began.brief else []


def _fail(message: str, code: int) -> int:
    sys.stderr.write(redact(message, secrets_in()) + "\n")
    return code


def _stopped(signum: int, frame: object) -> NoReturn:
    # Ray sets a handler of its own once it is connected; until then a stop must unwind like any exit.
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stopped)
    raise SystemExit(main(sys.argv[1:]))
