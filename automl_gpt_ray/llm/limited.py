"""A client that asks for a permit before each request, and says afterwards what the request used.

    client = Retrying(Limited(OpenAIClient("gpt-5"), Alone(Terms(requests_per_minute=60))))

Who grants permits, and to how many runs, is the limiter's to know; this file knows no limit and no clock but the one
that it waits on. Only counts go to a limiter: no prompt, no reply, no key.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, final

from automl_gpt_ray.budget import Budget, Price
from automl_gpt_ray.errors import LLMBudgetExceeded
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.quota import Answer, Quota, Spent, Terms
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.records import Completion, JsonSchema, Prompt


class Limiter(Protocol):
    """Grants permits to the calls of one run.

    answer = limiter.ask("call-1", prompt=900)     # until it says neither to wait nor that it is refused
    limiter.settle("call-1", tokens=1200, spent=(1200, 0.01))
    """

    def ask(self, call: str, prompt: int, reply: int | None = None) -> Answer:
        """Return whether `call` may be made; as `Quota.ask`, at once or within seconds."""
        ...

    def settle(self, call: str, tokens: int | None, spent: Spent, reply: int | None = None) -> None:
        """End a call that was granted; as `Quota.settle`. Raises nothing: a reply must not be lost to this."""
        ...


@final
class Alone:
    """A `Limiter` for one run that shares its limits with nobody; thread-safe.

    Args:
        terms: The limits.
        clock: Monotonic seconds.
        recent: As for `Quota.join`.
        spent: Likewise.
    """

    def __init__(
        self,
        terms: Terms,
        clock: Callable[[], float] = time.monotonic,
        recent: Iterable[tuple[float, int]] = (),
        spent: Mapping[str, Spent] | None = None,
    ) -> None:
        self._quota, self._lock = Quota(clock), threading.Lock()
        self._terms = terms
        self._quota.join("", terms, recent, spent)

    def __reduce__(self) -> Any:
        return Alone, (self._terms,)

    def ask(self, call: str, prompt: int, reply: int | None = None) -> Answer:
        """As `Limiter.ask`."""
        with self._lock:
            if not self._quota.knows(""):  # silent for so long that it was forgotten
                self._quota.join("", self._terms)
            return self._quota.ask("", call, prompt, reply)

    def settle(self, call: str, tokens: int | None, spent: Spent, reply: int | None = None) -> None:
        """As `Limiter.settle`."""
        with self._lock:
            self._quota.settle("", call, tokens, spent, reply)


@final
class Limited:
    """An `LLMClient` whose every request waits for a permit; usable from several threads.

    Picklable when its client is; a copy has spent nothing yet.

    Args:
        client: The client to ask.
        limiter: Grants the permits.
        reply_tokens: Longest reply in tokens, where it is limited.
        prices: By model, for what the limiter is told to be spent.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        client: LLMClient,
        limiter: Limiter,
        reply_tokens: int | None = None,
        prices: Mapping[str, Price] | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client, self._limiter, self._reply_tokens = client, limiter, reply_tokens
        self._prices, self._sleep = Budget(prices=dict(prices or {})), sleep
        self._spent: Spent = (0, 0.0)
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return Limited, (self._client, self._limiter, self._reply_tokens, self._prices.prices)

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the client's answer once there is a permit to ask it.

        Raises:
            LLMBudgetExceeded: What all runs together may spend is spent; the call was not made.
            LLMUnavailable: From the client.
            LLMRejected: From the client.
        """
        call, tokens = uuid.uuid4().hex, estimated_tokens(prompt)
        while wait_s := self._asked(call, tokens).wait_s:
            self._sleep(wait_s)
        completion: Completion | None = None
        try:
            completion = self._client.complete(prompt, schema)
            return completion
        finally:
            self._settle(call, tokens, completion)

    def _asked(self, call: str, tokens: int) -> Answer:
        answer = self._limiter.ask(call, tokens, self._reply_tokens)
        if answer.refused:
            raise LLMBudgetExceeded(f"the budget that runs share (`llm.limits`) is spent: {answer.refused}")
        return answer

    def _settle(self, call: str, estimate: int, completion: Completion | None) -> None:
        with self._lock:
            if completion is None:
                self._limiter.settle(call, None, self._spent)
                return
            usage = completion.usage
            tokens = usage.total or estimate + len(completion.text) // 4
            money = self._prices.cost({completion.model: usage}) or 0.0
            self._spent = self._spent[0] + tokens, self._spent[1] + money
            self._limiter.settle(call, tokens, self._spent, usage.completion_tokens or None)
