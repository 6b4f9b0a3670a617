"""What a language model on our own machine can fail at, in the words and classes of `LLMClient`.

Knows the kinds of failure and who can mend them; imports no library of models.
"""

from __future__ import annotations

import math
from pathlib import Path

from automl_gpt_ray.errors import JobError, LLMError, LLMRejected, LLMUnavailable, Problem, shown

EXTRA = "automl-gpt-ray[local-llm]"
MIN_ROOM = 64
"""Least tokens of the context that must be left for a reply; fewer hold no proposal."""


def check(model: str, max_new_tokens: int, temperature: float | None, timeout_s: float) -> None:
    """Refuse arguments of `TransformersClient` that cannot be used, with every problem at once.

    Raises:
        JobError: At least one cannot.
    """
    problems = []
    if not model.strip():
        problems.append(Problem("llm.model", "must name a folder or a model on the hub", shown(model)))
    if max_new_tokens < 1:
        problems.append(Problem("llm.max_tokens", "must be >= 1", shown(max_new_tokens)))
    if temperature is not None and not 0 <= temperature < math.inf:
        problems.append(Problem("llm.temperature", "must be >= 0", shown(temperature)))
    if not timeout_s > 0:
        problems.append(Problem("llm.timeout_s", "must be > 0 seconds", shown(timeout_s)))
    if problems:
        raise JobError("TransformersClient", problems)


def is_path(name: str) -> bool:
    """Return whether `name` is a folder on this machine rather than `owner/name` on the hub."""
    return name.startswith((".", "/", "~")) or Path(name).is_dir() or name.count("/") > 1


def rejected(rule: str, name: str, remedy: str = "use another model") -> LLMRejected:
    """Return the error of a model that will not do: what must hold, what was named, what to do."""
    return LLMRejected(str(Problem("llm.model", rule, shown(name), remedy)))


def too_long(tokens: int, context: int) -> LLMRejected:
    """Return the error of a prompt that leaves no room for a reply."""
    rule = f"the prompt and {MIN_ROOM} tokens of reply must fit its context of {context} tokens"
    remedy = "use a model with a longer context, or shorten the cards"
    return LLMRejected(str(Problem("llm.model", rule, f"a prompt of {tokens} tokens", remedy)))


def unusable(name: str, error: Exception, rule: str) -> LLMError:
    """Return the error of files that could not be read: the hub's silence may pass, the rest will not."""
    if "connect" in str(error).lower() and not is_path(name):
        return LLMUnavailable(f"the hub did not answer for {name}: {line(error)}")
    return rejected(f"{rule} ({line(error)})", name)


def unplaced(name: str, device: str, error: Exception) -> LLMError:
    """Return the error of weights that could not be put on `device`: only its memory may be freed."""
    if _is_memory(error):
        return failed(name, error)
    return rejected(f"must run on the device {device!r} ({line(error)})", name, "correct `device` or `dtype`")


def failed(name: str, error: Exception) -> LLMUnavailable:
    """Return the error of a computation that broke off; out of memory may pass once others are done."""
    return LLMUnavailable(f"{name} {'ran out of memory' if _is_memory(error) else 'failed'}: {line(error)}")


def missing_package(error: ImportError) -> LLMRejected:
    """Return the error of a library that is not installed."""
    package = (error.name or line(error)).split(".")[0]
    return LLMRejected(f"a language model in this process needs `{package}`: pip install '{EXTRA}'")


def line(error: Exception) -> str:
    """Return the first line of what `error` says, shortened."""
    text = str(error).strip() or type(error).__name__
    return shown(text.splitlines()[0])[1:-1]


def _is_memory(error: Exception) -> bool:
    # The GPU's memory has a class of its own, the machine's only these words.
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
