"""The client that a job's `llm` options describe: provider, retries, recording."""

from __future__ import annotations

from automl_gpt_ray.config import LLMOptions
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.recorded import Recorded
from automl_gpt_ray.llm.retrying import Retrying


def configured(options: LLMOptions) -> LLMClient:
    """Return the language model of a job. No request is made yet."""
    if options.replay and options.record:
        return Recorded(None, options.record, mode="replay")
    client: LLMClient = Retrying(
        OpenAIClient(
            options.model,
            base_url=options.base_url,
            api_key_env=options.api_key_env,
            timeout_s=options.timeout_s,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            structured=options.structured,
        )
    )
    return Recorded(client, options.record, mode="record") if options.record else client
