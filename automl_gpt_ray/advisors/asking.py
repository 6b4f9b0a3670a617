"""Asking a language model: the prompt written down, sent, and what came back written down before it is read.

A reply from which nothing can be used gets one repair round.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar, final

from automl_gpt_ray.errors import (
    AdviceError,
    AdviceRejected,
    AdviceSpent,
    AdviceUnusable,
    LLMBudgetExceeded,
    LLMError,
    LLMRejected,
)
from automl_gpt_ray.events import REPAIR, CallFailed, Event, PromptSent, ReplyReceived
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.prompts.paragraph import repair_prompt
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.records import Completion, JsonSchema, Prompt
from automl_gpt_ray.replies import ReplyError
from automl_gpt_ray.review import Subject

Read = TypeVar("Read")


@final
class Asker:
    """Sends prompts to a model and keeps the journal of it.

    Args:
        client: The model.
        record: Called with `PromptSent`, then `ReplyReceived` or `CallFailed`, from the thread that asks.
        limit: Most tokens of a prompt, as estimated before it is sent; a longer one is not sent.
    """

    def __init__(self, client: LLMClient, record: Callable[[Event], object], limit: int | None = None) -> None:
        self._client, self._record, self.limit = client, record, limit

    def answer(
        self,
        what: str,
        purposes: tuple[str, str],
        prompt: Prompt,
        schema: JsonSchema,
        read: Callable[[Completion], Read | ReplyError],
        version: int,
        wanted: int = 0,
        informed: bool = False,
        subjects: Sequence[Subject] = (),
    ) -> tuple[str, Read]:
        """Return the call's id and what its answer holds.

        Args:
            what: Is asked for, in a word.
            purposes: Of the prompt, and of its repair.
            prompt: The question.
            schema: Of the answer.
            read: Gives what an answer holds, or why nothing in it can be used.
            version: As the further ones, as the field of `PromptSent`.
            wanted: Likewise.
            informed: Likewise.
            subjects: Likewise.

        Raises:
            AdviceError: There was no answer, or none that can be used even after a repair.
        """
        call, rest = uuid.uuid4().hex[:10], (version, wanted, informed, subjects)
        completion = self._ask(call, purposes[0], prompt, schema, *rest)
        result = read(completion)
        if isinstance(result, ReplyError):
            call += REPAIR
            again = repair_prompt(prompt, completion.text, result.problems, self.limit)
            completion = self._ask(call, purposes[1], again, schema, *rest)
            result = read(completion)
        if isinstance(result, ReplyError):
            self._record(CallFailed(call, result.kind, str(result), completion.seconds))
            raise AdviceUnusable(f"the language model's {what} could not be used, even after a repair: {result}")
        return call, result

    def _ask(
        self,
        call: str,
        purpose: str,
        prompt: Prompt,
        schema: JsonSchema,
        version: int,
        wanted: int,
        informed: bool,
        subjects: Sequence[Subject],
    ) -> Completion:
        tokens = self._within_limit(call, prompt)
        self._record(
            PromptSent(call, purpose, version, prompt.messages, wanted, tokens, self.limit, informed, tuple(subjects))
        )
        try:
            answer = self._client.complete(prompt, schema)
        except LLMError as error:
            self._record(CallFailed(call, type(error).__name__, str(error)))
            raise _advice_error(error) from error
        # Whatever a server echoes: what is read from here on is shown, trained under and written down.
        answer = replace(answer, text=redact(answer.text, secrets_in()))
        self._record(ReplyReceived(call, answer.text, answer.model, answer.usage, answer.seconds, answer.finish))
        return answer

    def _within_limit(self, call: str, prompt: Prompt) -> int:
        tokens = estimated_tokens(prompt)
        if self.limit is not None and tokens > self.limit:
            rule = f"`max_prompt_tokens` is {self.limit}, but the shortest prompt has about {tokens}"
            problem = f"{rule}: raise it, or shorten the cards"
            self._record(CallFailed(call, "PromptTooLong", problem))
            raise AdviceError(problem, outage=True)
        return tokens


def _advice_error(error: LLMError) -> AdviceError:
    if isinstance(error, LLMBudgetExceeded):
        return AdviceSpent(str(error))
    return AdviceRejected(str(error), outage=True) if isinstance(error, LLMRejected) else AdviceError(str(error), True)
