"""What the language models of a run have cost so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from automl_gpt_ray.events import ReplyReceived
from automl_gpt_ray.records import Usage


@dataclass(frozen=True)
class Spending:
    """The sum of all calls.

    Attributes:
        calls: Replies received.
        failures: Calls without a usable reply.
        usage: Tokens.
        seconds: Time the models took.
        models: Tokens by the name of the model that answered.
    """

    calls: int = 0
    failures: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    models: Mapping[str, Usage] = field(default_factory=dict)

    def after(self, reply: ReplyReceived) -> Spending:
        """Return what has been spent once `reply` has come in."""
        return replace(
            self,
            calls=self.calls + 1,
            usage=self.usage + reply.usage,
            seconds=self.seconds + reply.seconds,
            models={**self.models, reply.model: self.models.get(reply.model, Usage()) + reply.usage},
        )
