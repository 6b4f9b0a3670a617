"""Waiting for a language model's server: one that is started beside the trials loads its weights for minutes."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from automl_gpt_ray.config import LLMOptions
from automl_gpt_ray.errors import JobError, Problem, first_line

POLL_S = 2.0
TIMEOUT_S = 5.0


def wait_healthy(options: LLMOptions | None, tell: Callable[[str], None] | None = None) -> None:
    """Wait until the server of a job's model answers, as long as `llm.wait_healthy_s` allows.

    Asks for the list of models, which every OpenAI-compatible server has and no server charges for. A server that
    answers at all is up, even if it wants a key.

    Raises:
        JobError: It did not answer in time; nothing was trained.
    """
    if options is None or options.wait_healthy_s is None or options.base_url is None or options.replay:
        return
    url, began = f"{options.base_url.rstrip('/')}/models", time.monotonic()
    told = False
    while (problem := _problem(url)) is not None:
        if time.monotonic() - began > options.wait_healthy_s:
            rule = f"the server must answer within {options.wait_healthy_s:g} s ({problem})"
            remedy = "is it starting? `serve status` tells; or allow it more time"
            raise JobError("job", [Problem("llm.wait_healthy_s", rule, options.base_url, remedy)])
        if tell and not told:
            tell(f"waiting up to {options.wait_healthy_s:g} s for {options.model} at {options.base_url}: {problem}")
            told = True
        time.sleep(POLL_S)
    if tell and told:
        tell(f"{options.model} is there after {time.monotonic() - began:.0f} s")


def _problem(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S):  # noqa: S310 - `base_url` begins with http
            return None
    except urllib.error.HTTPError as error:
        return None if error.code in (401, 403) else f"HTTP {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return first_line(error)[:200]
