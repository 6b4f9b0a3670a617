"""What may be given to `LLMSearch`: every argument is checked before anything is built from one.

A wrong one would otherwise come up trials later, as an error far from its cause, or search the wrong direction.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from os import PathLike
from typing import Any, get_args

from automl_gpt_ray.advisors.classical import SamplerName
from automl_gpt_ray.advisors.mixture import PRIORS
from automl_gpt_ray.budget import Budget
from automl_gpt_ray.cards import DataCard, ModelCard, Request
from automl_gpt_ray.errors import JobError, Problem, did_you_mean, shown
from automl_gpt_ray.outages import OutagePolicy
from automl_gpt_ray.ray_tune.results import may_be_metric

MAX_SEED = 2**32
SAMPLERS: tuple[str, ...] = get_args(SamplerName)

# Argument to its class, how that is called, and what makes one.
_OBJECTS: Mapping[str, tuple[type | tuple[type, ...], str, str]] = {
    "model_card": (ModelCard, "a ModelCard", "read the file with `load_model_card`"),
    "data_card": (DataCard, "a DataCard", "read the file with `load_data_card`"),
    "request": (Request, "a Request", "write `parse_request({...})`"),
    "budget": (Budget, "a Budget", "write `Budget(steps=500)`, for example"),
    "outages": (OutagePolicy, "an OutagePolicy", "write `OutagePolicy('wait')`, for example"),
    "default": (Mapping, "a mapping of names to values", "write `{'lr': 1e-2}`, for example"),
    "about": (Mapping, "a mapping", "write `{'note': ...}`, for example"),
    "step_key": (str, "a text", "name one key of what the trainable reports"),
    "journal": ((str, PathLike), "a path", "name a folder"),
}

_NEVER_NONE = ("gpus", "sampler", "priors")


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments of `LLMSearch` that cannot be used.

    Args:
        arguments: Name to value; None is one that was left out, but for those that have another default.

    Raises:
        JobError: With every problem.
    """
    given = {name: value for name, value in arguments.items() if value is not None or name in _NEVER_NONE}
    checks = (_objects, _model, _objective, _whole_numbers, _share_of_gpus, _sampler, _priors)
    problems = [problem for check in checks for problem in check(given)]
    if problems:
        raise JobError("LLMSearch", problems)


def whole(value: Any) -> int | None:
    """Return a whole number of any library as Python's, which the journal can hold."""
    return None if value is None else int(value)


def seed_of(value: Any) -> int:
    """Return the seed of a run; None is any."""
    return random.SystemRandom().randrange(MAX_SEED) if value is None else int(value)


def _objects(given: Mapping[str, Any]) -> Iterator[Problem]:
    for name, (kind, called, remedy) in _OBJECTS.items():
        if name in given and not isinstance(given[name], kind):
            yield Problem(name, f"must be {called}", shown(given[name]), remedy)


def _model(given: Mapping[str, Any]) -> Iterator[Problem]:
    llm, mixture = given.get("llm"), given.get("mixture")
    if llm is not None and (isinstance(llm, type) or not callable(getattr(llm, "complete", None))):
        remedy = f"write `OpenAIClient({llm!r})`, for example" if isinstance(llm, str) else "give an instance of one"
        yield Problem("llm", "must be a client with a method `complete`", shown(llm), remedy)
    if mixture is not None and not (hasattr(mixture, "advisors") and hasattr(mixture, "choose")):
        yield Problem("mixture", "must be a Mixture", shown(mixture), "write `Mixture({'mine': advisor})`, for example")


def _objective(given: Mapping[str, Any]) -> Iterator[Problem]:
    metric, mode = given.get("metric"), given.get("mode")
    if metric is not None and not (isinstance(metric, str) and metric):
        yield Problem(
            "metric", "must be one text", shown(metric), "name the key to optimise; others can be constraints"
        )
    elif metric is not None and not may_be_metric(metric):
        remedy = "report the value under a name of your own and optimise that"
        yield Problem("metric", "must not be one of Ray's own keys, which are no metrics", shown(metric), remedy)
    if mode is not None and mode not in ("max", "min"):
        yield Problem("mode", "must be `max` or `min`", shown(mode), "write `min` where less is better")


def _whole_numbers(given: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("max_steps", "max_prompt_tokens"):
        if name in given and not (_is_count(given[name]) and given[name] >= 1):
            yield Problem(
                name, "must be a whole number of at least 1", shown(given[name]), "leave it out or correct it"
            )
    seed = given.get("seed", 0)
    # A fraction would be cut off, and two seeds would be one.
    if not (_is_whole(seed) and 0 <= seed < MAX_SEED):
        yield Problem("seed", "must be a whole number from 0 to 2**32 - 1", shown(seed), "write None for any seed")


def _share_of_gpus(given: Mapping[str, Any]) -> Iterator[Problem]:
    gpus = given.get("gpus", 0.0)
    if not _is_share(gpus):
        yield Problem(
            "gpus", "must be a number of at least 0", shown(gpus), "write the GPUs of each trial, such as 0.5"
        )


def _sampler(given: Mapping[str, Any]) -> Iterator[Problem]:
    sampler = given.get("sampler", SAMPLERS[0])
    if sampler not in SAMPLERS:
        remedy = f"known: {', '.join(f'`{name}`' for name in SAMPLERS)}"
        yield Problem("sampler", "unknown classical optimiser", shown(sampler), remedy)


def _priors(given: Mapping[str, Any]) -> Iterator[Problem]:
    priors = given.get("priors", PRIORS)
    if not isinstance(priors, Mapping):
        yield Problem("priors", "must be a mapping of sources to shares", shown(priors), f"such as `{dict(PRIORS)}`")
        return
    for source, share in priors.items():
        # A mixture of one's own has sources and shares of its own.
        if source not in PRIORS and "mixture" not in given:
            yield Problem(f"priors.{source}", "unknown source", shown(share), did_you_mean(str(source), PRIORS))
        elif not _is_share(share):
            yield Problem(f"priors.{source}", "must be a number of at least 0", shown(share), "correct it")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and value.is_integer())  # 1e3 is one


def _is_share(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and float(value) >= 0
