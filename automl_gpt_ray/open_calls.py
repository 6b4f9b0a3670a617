"""The calls of a language model that are not dealt with yet, from the events of a run."""

from __future__ import annotations

from typing import final

from automl_gpt_ray.events import REPAIR, AdviceGiven, CallFailed, PromptSent, ReplyReceived


@final
class OpenCalls:
    """Prompts without a reply, and replies that nobody has read."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[PromptSent, ReplyReceived | None]] = {}

    def sent(self, event: PromptSent) -> None:
        """Note a prompt."""
        # The repair of a reply takes its place: the first one had nothing in it that could be used.
        self._calls.pop(event.call.removesuffix(REPAIR), None)
        self._calls[event.call] = (event, None)

    def received(self, event: ReplyReceived) -> None:
        """Note a reply."""
        if event.call in self._calls:
            self._calls[event.call] = (self._calls[event.call][0], event)

    def failed(self, event: CallFailed) -> None:
        """Note that nothing comes of a call."""
        self._calls.pop(event.call, None)

    def read(self, event: AdviceGiven) -> None:
        """Note that the replies behind some advice were read."""
        # A reply whose proposals were all refused was read too: its problems begin with their ids.
        ids = [*(p.id for p in event.proposals), *event.problems]
        for call in [c for c in self._calls if any(i.startswith(f"{event.source}-{c}-") for i in ids)]:
            del self._calls[call]

    def unread(self) -> list[tuple[PromptSent, ReplyReceived]]:
        """Return the replies that came in but whose proposals did not, oldest first."""
        return [(prompt, reply) for prompt, reply in self._calls.values() if reply]
