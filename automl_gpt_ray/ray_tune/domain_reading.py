"""One entry of a Ray Tune `param_space` as one parameter of ours, or what is wrong with it.

Knows Ray's domain and sampler classes (`ray.tune.search.sample`) and no search space.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import ValidationError
from ray.tune.search.sample import Categorical, Domain, Float, Function, Integer, LogUniform, Normal, Quantized, Uniform

from automl_gpt_ray.errors import Problem, problems_of, shown
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, IntParameter, Parameter

_SAMPLERS = "draw uniformly or log-uniformly (tune.uniform, tune.loguniform, tune.randint, tune.lograndint)"
_FUNCTION = "write a bounded domain such as tune.uniform, or compute the value inside the trainable"


def read_domain(name: str, value: Any) -> Parameter | Problem | None:
    """Return the parameter that `value` stands for, a problem, or None where it is not ours to hold.

    Args:
        name: For problems.
        value: A domain, a `grid_search`, a function or a constant. A constant that is no scalar is
            not ours: Ray merges it into each configuration by itself.
    """
    if isinstance(value, Domain):
        return _checked(name, value, _reader(value))
    if isinstance(value, dict) and set(value) == {"grid_search"}:
        return Problem(name, "grids are not searched adaptively", shown(value), "write `tune.choice([...])`")
    if callable(value) and not isinstance(value, type):
        return Problem(name, "functions have no range to search", shown(value), _FUNCTION)
    if holds_domain(value):
        # Ray fills it in without a searcher, and with one hands the domain itself to the trainable.
        remedy = "name each: `{'layers': {'0': tune.randint(1, 5)}}`"
        return Problem(name, "lists must hold no ranges to search", shown(value), remedy)
    scalar = scalar_of(value)
    return ConstantParameter(value=scalar) if _is_scalar(scalar) else None


def holds_domain(value: Any) -> bool:
    """Return whether `value` is, or holds at any depth, something to search or a grid."""
    if isinstance(value, dict):
        return "grid_search" in value or any(map(holds_domain, value.values()))
    return isinstance(value, Domain) or (isinstance(value, list | tuple) and any(map(holds_domain, value)))


def scalar_of(value: Any) -> Any:
    """Return NumPy's scalars as Python's; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


_Reader = Callable[[str, Any], Parameter | Problem]


def _reader(domain: Domain) -> _Reader:
    readers: dict[type, _Reader] = {Float: _float, Integer: _int, Categorical: _choice, Function: _function}
    return next((read for kind, read in readers.items() if isinstance(domain, kind)), _unknown)


def _checked(name: str, domain: Any, read: _Reader) -> Parameter | Problem:
    try:
        return read(name, domain)
    except ValidationError as error:
        first = problems_of(error)[0]
        return Problem(name, first.rule, domain.domain_str, first.remedy)


def _float(name: str, domain: Any) -> Parameter | Problem:
    sampler, step = _unwrapped(domain)
    if fault := _sampler_fault(name, sampler, domain):
        return fault
    if not (math.isfinite(domain.lower) and math.isfinite(domain.upper)):
        return Problem(name, "must be bounded on both sides", domain.domain_str, "give the widest range worth trying")
    low, high = float(domain.lower), float(domain.upper)
    if step is not None:
        # Ray rounds to multiples of the step and moves the bounds inwards onto them.
        low, high = (math.ceil(low / step - 1e-9) * step, math.floor(high / step + 1e-9) * step)
        low, high = float(f"{low:.12g}"), float(f"{high:.12g}")
    return FloatParameter(low=low, high=high, log=isinstance(sampler, LogUniform), step=step)


def _int(name: str, domain: Any) -> Parameter | Problem:
    sampler, q = _unwrapped(domain)
    if fault := _sampler_fault(name, sampler, domain):
        return fault
    step = 1 if q is None else int(q)
    if q is not None and (step != q or step < 1):
        return Problem(name, "`q` of a whole number must be whole and above 0", shown(q), "correct it")
    low, high = math.ceil(domain.lower / step) * step, int(domain.upper // step) * step
    # Ray's upper bound excludes itself, except on a grid.
    high -= 1 if step == 1 else 0
    return IntParameter(low=low, high=high, log=isinstance(sampler, LogUniform), step=step)


def _choice(name: str, domain: Any) -> Parameter | Problem:
    if domain.is_grid():
        return Problem(name, "grids are not searched adaptively", domain.domain_str, "write `tune.choice([...])`")
    choices = [scalar_of(choice) for choice in domain.categories]
    odd = [choice for choice in choices if not _is_scalar(choice)]
    if odd:
        remedy = "choose among names for them, and look the name up inside the trainable"
        got = "an object" if _is_placeholder(odd[0]) else shown(odd[0])
        return Problem(name, "choices must be texts, numbers, booleans or None", got, remedy)
    return ChoiceParameter(choices=choices)


def _function(name: str, domain: Any) -> Parameter | Problem:
    return Problem(name, "functions have no range to search", shown(domain.func), _FUNCTION)


def _unknown(name: str, domain: Any) -> Parameter | Problem:
    return Problem(name, "unknown kind of domain", type(domain).__name__, _SAMPLERS)


def _unwrapped(domain: Any) -> tuple[Any, float | None]:
    sampler = domain.get_sampler()
    return (sampler.sampler, float(sampler.q)) if isinstance(sampler, Quantized) else (sampler, None)


def _sampler_fault(name: str, sampler: Any, domain: Any) -> Problem | None:
    if isinstance(sampler, Normal):
        rule = "a normal distribution has no bounds to search within"
        low, high = sampler.mean - 3 * sampler.sd, sampler.mean + 3 * sampler.sd
        got = f"normal({sampler.mean:g}, {sampler.sd:g})"
        return Problem(name, rule, got, f"write `tune.uniform({low:g}, {high:g})`, for example")
    if not isinstance(sampler, Uniform | LogUniform):
        return Problem(name, "unknown sampler", f"{type(sampler).__name__} on {domain.domain_str}", _SAMPLERS)
    return None


def _is_placeholder(value: Any) -> bool:
    # What the Tuner puts in the place of an object before a searcher sees it (ray/tune/impl/placeholder.py).
    return isinstance(value, tuple) and len(value) == 2 and value[0] in ("__ref_ph", "__fn_ph")


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
