"""Calls of a language model that nothing has come of yet, kept from a run's events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from automl_gpt_ray.events import REPAIR, PromptSent, ReplyReceived


@final
class OpenCalls:
    """What was asked and not read; not thread-safe."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[PromptSent, ReplyReceived | None]] = {}

    def sent(self, event: PromptSent) -> None:
        """Note a prompt. The repair of a reply takes its place: the first one had nothing that could be used."""
        self._calls.pop(event.call.removesuffix(REPAIR), None)
        self._calls[event.call] = (event, None)

    def received(self, event: ReplyReceived) -> None:
        """Note a reply."""
        if event.call in self._calls:
            self._calls[event.call] = (self._calls[event.call][0], event)

    def close(self, call: str) -> None:
        """Forget a call that failed or was read."""
        self._calls.pop(call, None)

    def close_named(self, source: str, ids: Iterable[str]) -> None:
        """Forget the calls of `source` by which something in `ids` is named."""
        named = list(ids)
        for call in [c for c in self._calls if any(i.startswith(f"{source}-{c}-") for i in named)]:
            del self._calls[call]

    @property
    def unanswered(self) -> int:
        """How many calls neither brought a reply nor failed."""
        return sum(reply is None for _, reply in self._calls.values())

    def unread(self) -> list[tuple[PromptSent, ReplyReceived]]:
        """Return the replies that came in and were not read, oldest first."""
        return [(prompt, reply) for prompt, reply in self._calls.values() if reply]
