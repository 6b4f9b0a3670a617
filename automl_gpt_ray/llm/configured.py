"""The client that a job's `llm` options describe: provider, limits, retries, recording."""

from __future__ import annotations

from collections.abc import Callable

from automl_gpt_ray.config import LLMOptions
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.limited import Alone, Limited, Limiter
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.quota import Terms
from automl_gpt_ray.llm.recorded import Recorded
from automl_gpt_ray.llm.redaction import key_in
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.llm.transformers_client import TransformersClient
from automl_gpt_ray.llm_options import LLMLimits

DEFAULT_TOKENS = 4096
LEASE_MARGIN_S = 60.0
"""So long after its time-out a request that was not settled is taken for lost."""


def configured(
    options: LLMOptions,
    place: Callable[[LLMOptions], LLMClient] | None = None,
    limiter: Callable[[LLMOptions], Limiter] | None = None,
) -> LLMClient:
    """Return the language model of a job. No request is made and no weights are loaded yet.

    Args:
        options: Of the job.
        place: Makes the client of a local model; by default it runs in this process.
        limiter: Keeps to `options.limits`; by default for this run alone.
    """
    if options.replay and options.record:
        return Recorded(None, options.record, mode="replay")
    inner = (place or local)(options) if options.provider == "local" else _served(options)
    client: LLMClient = Retrying(_limited(inner, options, limiter or alone))
    # `auto`: a resumed run answers from what it has paid for already.
    return Recorded(client, options.record, mode="auto") if options.record else client


def local(options: LLMOptions) -> LLMClient:
    """Return a local model that runs in this process."""
    return TransformersClient(
        options.model,
        max_new_tokens=options.max_tokens or DEFAULT_TOKENS,
        temperature=options.temperature,
        timeout_s=options.timeout_s,
        constrained=options.structured != "none",
    )


def alone(options: LLMOptions) -> Limiter:
    """Return what keeps to the limits of `options` for one run."""
    return Alone(terms_of(options))


def terms_of(options: LLMOptions) -> Terms:
    """Return the limits of `options`."""
    limits = options.limits or LLMLimits()
    rates = limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent
    return Terms(*rates, limits.tokens, limits.money, lease_s=options.timeout_s + LEASE_MARGIN_S)


def _limited(client: LLMClient, options: LLMOptions, limiter: Callable[[LLMOptions], Limiter]) -> LLMClient:
    if options.limits is None:
        return client
    return Limited(client, limiter(options), options.max_tokens, options.limits.prices)


def _served(options: LLMOptions) -> LLMClient:
    if options.api_key_file:
        key_in(options.api_key_file)  # known from now on, so that no journal opened later holds it
    return OpenAIClient(
        options.model,
        base_url=options.base_url,
        api_key_env=options.api_key_env,
        api_key_file=options.api_key_file,
        timeout_s=options.timeout_s,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        structured=options.structured,
    )
