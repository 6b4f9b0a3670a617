"""A job's language model as a run uses it: a local one lives in a Ray actor with its own CPUs or GPUs."""

from __future__ import annotations

from functools import partial

from automl_gpt_ray.config import LLMOptions
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.configured import configured as configured_here
from automl_gpt_ray.llm.configured import local
from automl_gpt_ray.ray_tune.llm_actor import InActor


def configured(options: LLMOptions) -> LLMClient:
    """Return the language model of a job; Ray must be connected by the time it is asked."""
    return configured_here(options, place=_in_actor)


def _in_actor(options: LLMOptions) -> LLMClient:
    # Loading weights and the first pass over a prompt are not bounded by the client's own time-out.
    return InActor(
        partial(local, options), num_cpus=options.cpus, num_gpus=options.gpus, timeout_s=options.timeout_s + 300.0
    )
