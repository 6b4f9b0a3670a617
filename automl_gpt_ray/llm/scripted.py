"""A client that answers from a script: for tests, examples and rehearsals without a server.

Knows neither the wanted schema nor whether its replies are any good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, final

from automl_gpt_ray.errors import LLMUnavailable
from automl_gpt_ray.records import Completion, JsonSchema, Prompt

Reply = str | Completion | Exception | Callable[[Prompt], str]


@final
class Scripted:
    """An `LLMClient` that gives its replies in order; usable from several threads.

        client = Scripted(["first", LLMUnavailable("down"), lambda prompt: prompt.messages[-1].content])

    Args:
        replies: What to answer. An exception is raised; a function is called with the prompt.
        repeat_last: Whether the last reply is given for ever; otherwise `LLMUnavailable` follows.
    """

    def __init__(self, replies: Sequence[Reply], repeat_last: bool = False) -> None:
        self._replies = tuple(replies)
        self._repeat_last = repeat_last
        self._asked: list[tuple[Prompt, JsonSchema | None]] = []
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the client with the Tuner; a lock cannot be, and a copy needs one of its own.
        with self._lock:
            return {**self.__dict__, "_asked": list(self._asked), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts seen so far, those answered by an error included."""
        with self._lock:
            return tuple(prompt for prompt, _ in self._asked)

    @property
    def schemas(self) -> tuple[JsonSchema | None, ...]:
        """The schema that came with each prompt."""
        with self._lock:
            return tuple(schema for _, schema in self._asked)

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the next reply of the script; see `LLMClient.complete`.

        Raises:
            LLMUnavailable: The script is exhausted.
            Exception: The one the script holds at this place.
        """
        reply = self._next(prompt, schema)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        return Completion(reply if isinstance(reply, str) else reply(prompt), model="scripted")

    def _next(self, prompt: Prompt, schema: JsonSchema | None) -> Reply:
        with self._lock:
            turn = len(self._asked)
            self._asked.append((prompt, schema))
        if turn < len(self._replies):
            return self._replies[turn]
        if self._repeat_last and self._replies:
            return self._replies[-1]
        return LLMUnavailable(f"the script is exhausted: {len(self._replies)} replies, call {turn + 1}")
