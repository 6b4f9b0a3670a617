"""A client that counts what language-model calls cost, and ends them when the budget is spent.

Knows tokens, money and calls; knows no server and no prices of its own. A call is refused before it
is made; one that is under way is never cut short, so the last may overshoot by its own reply.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

from automl_gpt_ray.budget import Budget, Price, amount
from automl_gpt_ray.errors import LLMBudgetExceeded
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.records import Completion, JsonSchema, Prompt, Usage

CHARACTERS_PER_TOKEN = 4
"""The rule of thumb for English text, where a server does not count."""


@dataclass(frozen=True)
class Spent:
    """What has been spent so far.

    Attributes:
        calls: Calls begun, failed ones included.
        prompt_tokens: Tokens sent, in calls that were answered.
        completion_tokens: Tokens received.
        seconds: Time spent waiting for answers and failures, summed over threads.
        money: US dollars; None where no prices are known.
        failures: Calls that raised; what they cost is not known and not counted.
        estimated_calls: Calls whose tokens are an estimate, the server having reported none.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    money: float | None = None
    failures: int = 0
    estimated_calls: int = 0

    @property
    def tokens(self) -> int:
        """Tokens in both directions."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def estimated(self) -> bool:
        """Whether any of the tokens (and so the money) are an estimate."""
        return self.estimated_calls > 0


@final
class Budgeted:
    """An `LLMClient` with a budget; usable from several threads.

    Not picklable: copies would each have the whole budget.

    Args:
        client: The client to ask.
        max_tokens: Most tokens, both directions; None for no limit.
        max_calls: Most calls; exact, also with several threads.
        max_money: Most US dollars; needs `prices`.
        prices: Price by model, as in `Budget.prices`.
        already: What an earlier part of the same run has spent (after a restore).
        clock: Monotonic seconds.

    Raises:
        ValueError: There is a limit on money but no prices.
    """

    def __init__(
        self,
        client: LLMClient,
        max_tokens: int | None = None,
        max_calls: int | None = None,
        max_money: float | None = None,
        prices: Mapping[str, Price] | None = None,
        *,
        already: Spent | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_money is not None and not prices:
            raise ValueError("`max_money` needs `prices`, by model; give them or limit calls or tokens instead")
        self._client = client
        self._max_tokens, self._max_calls, self._max_money = max_tokens, max_calls, max_money
        self._table = Budget(prices=dict(prices or {}))
        self._spent = already or Spent(money=0.0 if prices else None)
        self._promised = 0
        self._clock = clock
        self._lock = threading.Lock()

    def __reduce__(self) -> str:
        raise TypeError("Budgeted cannot be pickled: each copy would have the whole budget")

    @property
    def spent(self) -> Spent:
        """What has been spent so far; calls under way count as calls only."""
        with self._lock:
            return self._spent

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the client's answer, if the budget allows to ask.

        Its usage is an estimate, and says so, where the server did not count.

        Raises:
            LLMBudgetExceeded: The call was not made.
            LLMUnavailable: From the client.
            LLMRejected: From the client.
        """
        expected = _tokens(sum(len(message.content) for message in prompt.messages))
        self._begin(expected)
        begun = self._clock()
        completion: Completion | None = None
        try:
            completion = _counted(self._client.complete(prompt, schema), expected)
            return completion
        finally:
            self._end(expected, completion, self._clock() - begun)

    def _begin(self, expected: int) -> None:
        with self._lock:
            why = self._exhausted(expected)
            if why:
                raise LLMBudgetExceeded(f"the language model's budget is spent: {why}")
            self._spent = replace(self._spent, calls=self._spent.calls + 1)
            # The prompts of calls under way are as good as spent, or threads would overrun together.
            self._promised += expected

    def _exhausted(self, expected: int) -> str:
        spent = self._spent
        if self._max_calls is not None and spent.calls >= self._max_calls:
            return f"{spent.calls} of {self._max_calls} calls"
        if self._max_tokens is not None and spent.tokens + self._promised + expected > self._max_tokens:
            return f"{spent.tokens} of {self._max_tokens} tokens, and the next prompt has about {expected}"
        if self._max_money is None:
            return ""
        # The least it can cost: which of the models in the table will answer is not known yet.
        least = min(p.input for p in self._table.prices.values()) * (self._promised + expected) / 1e6
        money = spent.money or 0.0
        if money < self._max_money and money + least <= self._max_money:
            return ""
        return (
            f"{amount(money)} of {amount(self._max_money)} US dollars, and the next prompt has about {expected} tokens"
        )

    def _end(self, expected: int, completion: Completion | None, seconds: float) -> None:
        with self._lock:
            self._promised -= expected
            spent = replace(self._spent, seconds=self._spent.seconds + seconds)
            if completion is None:
                self._spent = replace(spent, failures=spent.failures + 1)
                return
            usage = completion.usage
            cost = self._table.cost({completion.model: usage})
            self._spent = replace(
                spent,
                prompt_tokens=spent.prompt_tokens + usage.prompt_tokens,
                completion_tokens=spent.completion_tokens + usage.completion_tokens,
                money=None if cost is None else (spent.money or 0.0) + cost,
                estimated_calls=spent.estimated_calls + usage.estimated,
            )


def _counted(completion: Completion, expected: int) -> Completion:
    if completion.usage.total:
        return completion
    return replace(completion, usage=Usage(expected, _tokens(len(completion.text)), estimated=True))


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
