"""Why a trial failed: Ray's error as a class that advisors learn from and a line for a person."""

from __future__ import annotations

from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.experiment import Trial

from automl_gpt_ray.errors import TrainingError

MAX_MESSAGE = 300
_OOM = ("out of memory", "outofmemory", "cannot allocate memory", "bad_alloc")


def failure_of(trial: Trial) -> tuple[str, str]:
    """Return (class, message) of a failed trial.

    Classes: `nan`, `oom`, `timeout` and `error` depend on the configuration; `lost` means that the
    worker or its node died, which says nothing about the configuration.
    """
    error = trial.get_pickled_error()
    if error is None:
        return "error", "no reason was recorded"
    return classify(error)


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
    if isinstance(cause, RayActorError):
        return "lost", _short(text)
    return "error", _short(text)


def _short(text: str) -> str:
    # Ray's texts end with the traceback's last line; that one says what happened.
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    line = lines[0] if len(lines) <= 1 else f"{lines[0]} … {lines[-1]}"
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"
