"""A job's language model as a run uses it: a local one lives in a Ray actor; limits are shared with other runs."""

from __future__ import annotations

from functools import partial

from automl_gpt_ray.config import LLMOptions
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.configured import configured as configured_here
from automl_gpt_ray.llm.configured import local, terms_of
from automl_gpt_ray.llm.limited import Limiter
from automl_gpt_ray.ray_tune.llm_actor import InActor
from automl_gpt_ray.ray_tune.shared_limiter import SharedLimiter


def configured(options: LLMOptions) -> LLMClient:
    """Return the language model of a job; Ray must be connected by the time it is asked."""
    return configured_here(options, place=_in_actor, limiter=_shared)


def _in_actor(options: LLMOptions) -> LLMClient:
    # Loading weights and the first pass over a prompt are not bounded by the client's own time-out.
    return InActor(
        partial(local, options), num_cpus=options.cpus, num_gpus=options.gpus, timeout_s=options.timeout_s + 300.0
    )


def _shared(options: LLMOptions) -> Limiter:
    return SharedLimiter(options.account, terms_of(options))
