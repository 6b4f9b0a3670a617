"""Why a trial failed: Ray's error as a class that advisors learn from and a line for a person."""

from __future__ import annotations

from pathlib import Path

from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.experiment import Trial

from automl_gpt_ray.errors import JournalError, TrainingError

MAX_MESSAGE = 300
_OOM = ("out of memory", "outofmemory", "cannot allocate memory", "bad_alloc")
_UNWRITTEN = f"{JournalError.__module__}.{JournalError.__name__}: "


def failure_of(trial: Trial) -> tuple[str, str]:
    """Return (class, message) of a failed trial.

    Classes: `nan`, `oom`, `timeout` and `error` depend on the configuration; `lost` means that the
    worker or its node died, which says nothing about the configuration.
    """
    error = trial.get_pickled_error() or _brought(trial)
    if error is None:
        return "error", "no reason was recorded"
    return classify(error)


def _brought(trial: Trial) -> BaseException | None:
    """Return the error that Ray has written here and looks for in a bucket, where it brings it later."""
    here, storage = trial.pickled_error_file, trial.storage
    if not here or storage is None or not Path(here).exists():
        return None
    try:
        storage.storage_filesystem.create_dir(storage.trial_fs_path, recursive=True)
        path = f"{storage.trial_fs_path}/{trial.run_metadata.pickled_error_filename}"
        with storage.storage_filesystem.open_output_stream(path) as stream:
            stream.write(Path(here).read_bytes())
    except OSError:
        return None
    found: BaseException | None = trial.get_pickled_error()
    return found


def classify(error: BaseException) -> tuple[str, str]:
    """Return (class, message) of an error raised in a trial."""
    cause = error
    while isinstance(cause, RayTaskError) and isinstance(cause.cause, BaseException):
        cause = cause.cause
    if isinstance(cause, TrainingError):
        return cause.kind, _short(cause.message)
    text = f"{type(cause).__name__}: {cause}"
    if isinstance(cause, OutOfMemoryError | MemoryError) or any(sign in text.lower() for sign in _OOM):
        return "oom", _short(text)
    if isinstance(cause, RayActorError):  # also where its node died too often, see `enduring`
        return "lost", _short(text)
    return "error", _short(text)


def journal_error(error: BaseException) -> JournalError | None:
    """Return the journal's error that made Ray end the search with `error`; None where another did."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, JournalError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return cause
    # Ray may keep no more of an error than its traceback, as text.
    told = [line.partition(_UNWRITTEN)[2] for line in str(error).splitlines() if _UNWRITTEN in line]
    return JournalError(told[-1].strip()) if told else None


def _short(text: str) -> str:
    # Ray's texts end with the traceback's last line; that one says what happened.
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    line = lines[0] if len(lines) <= 1 else f"{lines[0]} … {lines[-1]}"
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"
