"""A client that counts what language-model calls cost, and ends them when the budget is spent.

Knows tokens, money and calls; knows no server and no price by itself. A call is refused before it
is made; one that is under way is never cut short, so the last may overshoot by its own reply.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

from automl_gpt_ray.errors import LLMBudgetExceeded
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.records import Completion, JsonSchema, Prompt, Usage

CHARACTERS_PER_TOKEN = 4
"""The rule of thumb for English text, where a server does not count."""


@dataclass(frozen=True)
class Price:
    """Money for a million tokens, in any one currency."""

    input_per_million: float
    output_per_million: float

    def of(self, usage: Usage) -> float:
        """Return the price of one call."""
        return (usage.prompt_tokens * self.input_per_million + usage.completion_tokens * self.output_per_million) / 1e6


@dataclass(frozen=True)
class Spent:
    """What has been spent so far.

    Attributes:
        calls: Calls begun, failed ones included.
        prompt_tokens: Tokens sent, in calls that were answered.
        completion_tokens: Tokens received.
        seconds: Time spent waiting for answers and failures, summed over threads.
        money: In the currency of the prices; None where no prices are known, or not this model's.
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
        max_money: Most money, in the currency of `prices`, which it needs.
        prices: Price by model; a name also covers its dated versions (`m` covers `m-2026-01-01`).
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
        self._prices = dict(prices or {})
        self._spent = already or Spent(money=0.0 if self._prices else None)
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
            completion = self._client.complete(prompt, schema)
            return completion
        finally:
            self._end(expected, completion, self._clock() - begun)

    def _begin(self, expected: int) -> None:
        with self._lock:
            why = self._exhausted(expected)
            if why:
                raise LLMBudgetExceeded(
                    f"the language-model budget is spent: {why}. Raise it in the job's `llm` section."
                )
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
        if spent.money is None:
            return f"a model without an entry in `prices` ({', '.join(self._prices)}) answered, so the cost is unknown"
        return f"{spent.money:.4g} of {self._max_money:g} in money" if spent.money >= self._max_money else ""

    def _end(self, expected: int, completion: Completion | None, seconds: float) -> None:
        with self._lock:
            self._promised -= expected
            spent = replace(self._spent, seconds=self._spent.seconds + seconds)
            if completion is None:
                self._spent = replace(spent, failures=spent.failures + 1)
                return
            estimated = completion.usage.total == 0
            usage = Usage(expected, _tokens(len(completion.text))) if estimated else completion.usage
            self._spent = replace(
                spent,
                prompt_tokens=spent.prompt_tokens + usage.prompt_tokens,
                completion_tokens=spent.completion_tokens + usage.completion_tokens,
                money=self._money(spent.money, completion.model, usage),
                estimated_calls=spent.estimated_calls + estimated,
            )

    def _money(self, money: float | None, model: str, usage: Usage) -> float | None:
        price = _price(self._prices, model)
        # Unknown stays unknown: a sum that leaves out a model would be taken for the whole.
        return None if money is None or price is None else money + price.of(usage)


def _price(prices: Mapping[str, Price], model: str) -> Price | None:
    # Dated versions only: `m` must not price `m-mini`.
    fits = [name for name in prices if re.fullmatch(rf"{re.escape(name)}([-:@](\d[\d.-]*|latest))?", model)]
    return prices[max(fits, key=len)] if fits else None


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
