"""The search space in Ray Tune's terms, and a Tune user's `param_space` in ours.

    param_space = to_ray(space)                # for `tune.Tuner(..., param_space=param_space)`
    read_config(space, config)                 # what Ray sampled from it, as a configuration of `space`
    space = from_ray(param_space, default={"model": {"lr": 1e-3}})
    nest({"model/lr": 1e-3})                   # -> {"model": {"lr": 1e-3}}

Ray's dicts nest, our names are flat: `model/lr` is `{"model": {"lr": ...}}`. Ray's upper bounds
exclude themselves for whole numbers and include themselves when quantised; ours always include.
Ray's grids hold multiples of the step, ours count from `low`. Knows no trial and starts no Ray.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ray import tune
from ray.tune.search.sample import Domain, Function
from ray.tune.search.variant_generator import RecursiveDependencyError

from automl_gpt_ray.errors import Problem, SpaceError, shown
from automl_gpt_ray.parameters import (
    MAX_GRID,
    ChoiceParameter,
    ConstantParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from automl_gpt_ray.ray_tune.domain_reading import holds_domain, read_domain, scalar_of
from automl_gpt_ray.records import Config, Scalar
from automl_gpt_ray.space import SearchSpace

SEPARATOR = "/"


def to_ray(space: SearchSpace) -> dict[str, Any]:
    """Return `space` as a nested dict of Ray Tune domains and constants.

    A parameter with a condition becomes `tune.sample_from`, drawn where the condition holds and None
    where it does not: Ray cannot leave a key out, `read_config` does. A grid that does not lie on
    multiples of its step becomes a choice over its values, without order or log scale.

    Raises:
        SpaceError: Such a grid has more than `MAX_GRID` values.
    """
    problems: list[Problem] = []
    domains: dict[str, Any] = {}
    for name, parameter in space.parameters.items():
        try:
            domain = _to_domain(parameter)
        except ValueError as error:
            problems.append(_unaligned(name, str(error)))
            continue
        domains[name] = tune.sample_from(Conditional(space, name, domain)) if parameter.when else domain
    if problems:
        raise SpaceError("search space", problems)
    return nest(domains)


def from_ray(param_space: Mapping[str, Any], default: Mapping[str, Any] | None = None) -> SearchSpace:
    """Return a Tune user's `param_space` as a search space with flat names.

    Constants that are no scalar (lists, arrays, object references, dicts whose keys are no texts) stay
    out of the space: Ray itself merges them into every trial's configuration. `from_ray(to_ray(space))` has
    the ranges and conditions of `space`.

    Args:
        param_space: Nested dicts of domains and constants.
        default: The configuration to start from, nested or flat; missing names start at the centre.

    Raises:
        SpaceError: With every problem: grids, functions, unbounded domains, choices that are no
            scalars, and defaults outside their range.
    """
    problems = list(_key_problems(param_space))
    found = flatten(param_space)
    starts = flatten(default or {})
    problems += [Problem(n, "unknown hyperparameter in `default`", shown(starts[n])) for n in starts if n not in found]
    parameters: dict[str, Parameter] = {}
    for name, value in found.items():
        parameter = _from_value(name, value, problems)
        if parameter is not None:
            parameters[name] = _starting(name, parameter, starts, problems)
    if problems:
        raise SpaceError("param_space", problems)
    return SearchSpace(_parents_first(parameters))


def read_config(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that Ray sampled from `to_ray(space)`: flat, without inactive names."""
    flat = flatten(config)
    active: dict[str, Any] = {}
    for name in space.parameters:
        if name in flat and space.is_active(name, active):
            active[name] = flat[name]
    return active


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested dicts as one, keys joined by `/`; empty dicts vanish, and those that are constants stay whole."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and set(value) != {"grid_search"} and not _is_constant(value):
            flat.update({f"{key}{SEPARATOR}{inner}": item for inner, item in flatten(value).items()})
        else:
            flat[str(key)] = value
    return flat


def nest(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """Return flat names as nested dicts, the inverse of `flatten`.

    Raises:
        SpaceError: A name is both a value and the beginning of another (`a` and `a/b`).
    """
    nested: dict[str, Any] = {}
    for name, value in config.items():
        *path, last = name.split(SEPARATOR)
        inner = nested
        for key in path:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise SpaceError("configuration", [_both(name)])
        if isinstance(inner.get(last), dict):
            raise SpaceError("configuration", [_both(name)])
        inner[last] = value
    return nested


class Conditional:
    """What `tune.sample_from` calls for a parameter with a condition; `from_ray` reads it back."""

    def __init__(self, space: SearchSpace, name: str, domain: Any) -> None:
        self.space, self.name, self.domain = space, name, domain

    @property
    def parameter(self) -> Parameter:
        """The parameter it stands for."""
        return self.space.parameters[self.name]

    def __call__(self, config: Mapping[str, Any]) -> Any:
        """Draw a value where the condition holds under `config`; None where it does not."""
        # Ray hands over the configuration, or the experiment around it. Until a parent is drawn it
        # stands there as a domain: this error tells Ray to draw the parent first.
        known = flatten(config if self._is_config(config) else config["config"])
        for parent in self._ancestors():
            if isinstance(known.get(parent), Domain):
                raise RecursiveDependencyError(f"`{self.name}` depends on `{parent}`")
        if not self.space.is_active(self.name, read_config(self.space, known)):
            return None
        return self.domain.sample() if isinstance(self.domain, Domain) else self.domain

    def _is_config(self, config: Mapping[str, Any]) -> bool:
        return next(iter(self.space.parameters)).split(SEPARATOR)[0] in config

    def _ancestors(self) -> set[str]:
        names, waiting = set[str](), [self.name]
        while waiting:
            parents = [p for p in self.space.parameters[waiting.pop()].when if p not in names]
            names.update(parents)
            waiting += parents
        return names


def _to_domain(parameter: Parameter) -> Any:
    if isinstance(parameter, ConstantParameter):
        return parameter.value
    if isinstance(parameter, ChoiceParameter):
        return tune.choice(parameter.choices)
    if parameter.step is not None and (isinstance(parameter, FloatParameter) or parameter.step > 1):
        return _to_grid(parameter, parameter.step, parameter.grid_size or 1)
    if isinstance(parameter, IntParameter):
        return (tune.lograndint if parameter.log else tune.randint)(parameter.low, parameter.high + 1)
    return (tune.loguniform if parameter.log else tune.uniform)(parameter.low, parameter.high)


def _to_grid(parameter: FloatParameter | IntParameter, step: Any, count: int) -> Any:
    low: Any = parameter.low
    top: Any = parameter.clip(parameter.low + (count - 1) * step)
    if math.isclose(low / step, round(low / step)):
        if isinstance(parameter, IntParameter):
            return (tune.qlograndint if parameter.log else tune.qrandint)(low, top, step)
        return (tune.qloguniform if parameter.log else tune.quniform)(low, top, step)
    if count > MAX_GRID:
        raise ValueError(f"{count} values in steps of {step:g} from {low:g}")
    return tune.choice([parameter.clip(low + i * step) for i in range(count)])


def _unaligned(name: str, got: str) -> Problem:
    rule = f"Ray needs `low` to be a multiple of `step`, or at most {MAX_GRID} values"
    return Problem(name, rule, got, "move `low` onto a multiple of `step`, or enlarge or remove `step`")


def _is_constant(value: dict[Any, Any]) -> bool:
    # Such as the weights of classes, {0: 1.0, 1: 5.0}. Ray sorts the keys, and so cannot have texts among them.
    return bool(value) and not any(isinstance(key, str) for key in value) and not holds_domain(value)


def _key_problems(values: Mapping[Any, Any], prefix: str = "") -> Iterator[Problem]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if not isinstance(key, str) or not key or SEPARATOR in key:
            remedy = f"nest a dict instead of writing `{SEPARATOR}`" if SEPARATOR in str(key) else "rename it"
            yield Problem(name or "(empty)", f"keys must be texts without `{SEPARATOR}`", shown(key), remedy)
        if isinstance(value, dict) and not _is_constant(value):
            yield from _key_problems(value, f"{name}{SEPARATOR}")


def _from_value(name: str, value: Any, problems: list[Problem]) -> Parameter | None:
    if isinstance(value, Function) and isinstance(value.func, Conditional):
        return value.func.parameter
    parameter = read_domain(name, value)
    if isinstance(parameter, Problem):
        problems.append(parameter)
        return None
    return parameter


def _starting(name: str, parameter: Parameter, starts: Mapping[str, Any], problems: list[Problem]) -> Parameter:
    if name not in starts:
        return parameter
    start: Scalar = scalar_of(starts[name])
    if fault := parameter.fault(start):
        problems.append(Problem(name, f"`default` {fault}", shown(start), "move the default or widen the range"))
    elif not isinstance(parameter, ConstantParameter):
        return type(parameter).model_validate({**parameter.model_dump(), "default": parameter.clip(start)})
    return parameter


def _both(name: str) -> Problem:
    return Problem(name, "stands for a value and for a group of values", remedy="rename one of them")


def _parents_first(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    # Nesting brings names of one group together, and so a child before the parent of another group.
    ordered: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while ready := [n for n, p in waiting.items() if not any(parent in waiting for parent in p.when)]:
        ordered[ready[0]] = waiting.pop(ready[0])
    return {**ordered, **waiting}
