"""A client that asks again when a server did not answer.

Knows which errors may pass and how long to wait between tries; knows no server. The waits are
"full jitter" (Brooker, AWS Architecture Blog, 2015): uniform between 0 and an exponentially
growing bound, which spreads out clients that failed together.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import final

from automl_gpt_ray.errors import LLMUnavailable
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.records import Completion, JsonSchema, Prompt


@final
class Retrying:
    """An `LLMClient` that retries `LLMUnavailable`, and nothing else.

    Picklable when its client is and there is no `stop`.

    Args:
        client: The client to ask.
        attempts: Most tries of one call, 1 or more.
        base_s: Bound of the first wait, in seconds; it doubles with each further one.
        cap_s: Longest single wait, in seconds, also where the server asks for a longer one.
        deadline_s: Seconds after which no further try begins; None for no limit.
        stop: Once set, a wait ends at once and no further try begins.
        sleep: Waits for some seconds; by default on `stop`, so that setting it wakes the wait.
        clock: Monotonic seconds.
        rng: Source of the jitter.

    Raises:
        ValueError: `attempts` < 1, or a negative time.
    """

    def __init__(
        self,
        client: LLMClient,
        attempts: int = 4,
        base_s: float = 1.0,
        cap_s: float = 30.0,
        deadline_s: float | None = None,
        *,
        stop: threading.Event | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        if attempts < 1 or min(base_s, cap_s) < 0:
            got = f"attempts={attempts}, base_s={base_s:g}, cap_s={cap_s:g}"
            raise ValueError(f"`attempts` must be >= 1 and `base_s`, `cap_s` >= 0, got {got}")
        self._client = client
        self._attempts = attempts
        self._base_s, self._cap_s, self._deadline_s = base_s, cap_s, deadline_s
        self._stop = stop
        self._sleep = sleep or (stop.wait if stop is not None else time.sleep)
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the client's answer, after as many tries as it takes and the limits allow.

        Raises:
            LLMUnavailable: The last try's error, with the number of tries in the message.
            LLMRejected: At once, from the client.
        """
        begun = self._clock()
        for attempt in range(1, self._attempts + 1):
            try:
                return self._client.complete(prompt, schema)
            except LLMUnavailable as error:
                wait_s = self._wait_s(attempt, error.retry_after)
                why = self._gives_up(attempt, self._clock() - begun + wait_s) or self._waited(wait_s)
                if why:
                    raise LLMUnavailable(f"{error} ({why})", error.retry_after) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait_s(self, attempt: int, retry_after: float | None) -> float:
        # The exponent is bounded because 2.0**1100 overflows.
        jitter = self._rng.uniform(0.0, min(self._cap_s, self._base_s * 2.0 ** min(attempt - 1, 60)))
        return jitter if retry_after is None else max(jitter, min(retry_after, self._cap_s))

    def _gives_up(self, attempt: int, seconds: float) -> str:
        tries = _tries(attempt)
        if attempt == self._attempts:
            return f"gave up after {tries}"
        if self._deadline_s is not None and seconds > self._deadline_s:
            return f"gave up after {tries}: no time for another within {self._deadline_s:g} s"
        return f"interrupted after {tries}" if self._stopped() else ""

    def _waited(self, seconds: float) -> str:
        self._sleep(seconds)
        return "interrupted while waiting to try again" if self._stopped() else ""

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()


def _tries(count: int) -> str:
    return f"{count} attempt{'s' if count != 1 else ''}"
