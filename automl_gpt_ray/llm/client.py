"""The seam to any language model: one synchronous call.

    completion = client.complete(prompt, schema)     # blocks; run it off the event loop
    completion.text                                  # untrusted: parse it with `replies`

Providers keep their quirks to themselves. Recording, budgets and retries are wrappers that are
clients too: `Recorded(Retrying(OpenAIClient(...)), folder)`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from automl_gpt_ray.records import Completion, JsonSchema, Prompt


@runtime_checkable
class LLMClient(Protocol):
    """Something that answers a prompt."""

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the model's answer to `prompt`.

        Args:
            prompt: The conversation so far.
            schema: JSON schema of the wanted reply. Servers with structured output enforce it;
                others are told of it by the prompt, so the text must be checked all the same.

        Raises:
            LLMUnavailable: No answer this time; a later try may succeed.
            LLMRejected: This request will never be served.
        """
        ...
